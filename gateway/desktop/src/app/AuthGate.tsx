// Shows the login until a user is logged in, and opens and closes the connection to the gateway
// accordingly.

import { Center, Loader, Stack, Text } from '@mantine/core';
import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { logout, me } from '../api/http';
import { forgetDrafts } from '../store/drafts';
import { forgetSession } from '../store/session';
import { useDesk, useDeskState } from './context';
import { lazyScreen } from './lazy';
import { LogoutContext } from './logout';

const Login = lazyScreen(() => import('./Login').then((m) => m.Login));

type Phase = 'checking' | 'unreachable' | 'out' | 'revoked' | 'in';

const checkAgain = 2000;

export function AuthGate({ children }: { children: ReactNode }) {
  const desk = useDesk();
  const { t } = useTranslation();
  const [phase, setPhase] = useState<Phase>('checking');
  const revoked = useDeskState((s) => s.link.phase === 'stopped' && s.link.reason === 'revoked');
  const known = useDeskState((s) => s.user !== null);

  useEffect(() => {
    if (phase !== 'checking' && phase !== 'unreachable') return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const check = () =>
      me().then(
        (user) => !over && setPhase(user ? 'in' : 'out'),
        () => {
          if (over) return;
          setPhase('unreachable');
          timer = setTimeout(check, checkAgain);
        },
      );
    void check();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [phase]);

  useEffect(() => {
    if (phase === 'in') desk.start();
  }, [phase, desk]);

  useEffect(() => {
    if (!revoked) return;
    desk.stop();
    setPhase('revoked');
  }, [revoked, desk]);

  const leave = useCallback(async () => {
    const user = desk.store.getState().user?.id;
    await desk.logout();
    await logout().catch(() => undefined);
    if (user) forgetDrafts(user);
    forgetSession();
    desk.stop();
    setPhase('out');
  }, [desk]);

  if (phase === 'out' || phase === 'revoked') {
    return <Login revoked={phase === 'revoked'} onDone={() => setPhase('in')} />;
  }
  if (phase !== 'in' || !known) {
    return (
      <Center component="main" h="100%">
        <Stack align="center" gap="sm" role="status">
          <Loader size="sm" aria-hidden />
          <Text c="dimmed">{t(phase === 'unreachable' ? 'link.unreachable' : 'link.loading')}</Text>
        </Stack>
      </Center>
    );
  }
  return <LogoutContext value={leave}>{children}</LogoutContext>;
}
