import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { BrowserRouter, Navigate, Route, Routes } from 'react-router';
import { HttpError } from '../api/http';
import { Workspace } from '../desk/Workspace';
import { resolver, theme } from '../theme/theme';
import { AuthGate } from './AuthGate';
import { usePrefs } from './context';
import { lazyScreen } from './lazy';
import { Shell } from './Shell';

const queries = new QueryClient({
  defaultOptions: { queries: { retry: again, refetchOnWindowFocus: false, staleTime: 30_000 } },
});

/**
 * Whether to repeat a failed query: not when the gateway refused it, since it would refuse it
 * again, but when the connection failed, which may be back.
 */
function again(failures: number, err: Error): boolean {
  const refused = err instanceof HttpError && err.status >= 400 && err.status < 500 && err.status !== 429;
  return !refused && failures < 2;
}

const Recent = lazyScreen(() => import('../screens/Recent').then((m) => m.Recent));
const BoardScreen = lazyScreen(() => import('../screens/BoardScreen').then((m) => m.BoardScreen));

export function App() {
  const setting = usePrefs((p) => p.theme);
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={resolver}
      defaultColorScheme="auto"
      forceColorScheme={setting === 'auto' ? undefined : setting}
    >
      <QueryClientProvider client={queries}>
        <BrowserRouter>
          <Notifications position="bottom-right" limit={4} autoClose={6000} />
          <AuthGate>
            <Routes>
              <Route element={<Shell />}>
                <Route path="/" element={<Workspace />} />
                <Route path="/recent/:conversation?" element={<Recent />} />
                <Route path="/board" element={<BoardScreen />} />
                <Route path="*" element={<Navigate to="/" replace />} />
              </Route>
            </Routes>
          </AuthGate>
        </BrowserRouter>
      </QueryClientProvider>
    </MantineProvider>
  );
}
