import { Center, Loader } from '@mantine/core';
import { type ComponentType, lazy, Suspense, useState } from 'react';

/** A screen that is loaded when it is first opened. */
export function lazyScreen<P extends object>(load: () => Promise<ComponentType<P>>) {
  const Screen = lazy(async () => ({ default: await load() }));
  return (props: P) => (
    <Suspense
      fallback={
        <Center h="100%" mih={200}>
          <Loader size="sm" />
        </Center>
      }
    >
      <Screen {...props} />
    </Suspense>
  );
}

/**
 * A dialog whose code is loaded when it is first opened, or earlier by load(): then it opens at
 * once, also while the gateway cannot be reached. It shows nothing while it loads.
 */
export function lazyDialog<P extends object>(get: () => Promise<ComponentType<P>>) {
  let loaded: ComponentType<P> | undefined;
  const load = async () => {
    loaded ??= await get();
    return loaded;
  };
  const Lazy = lazy(async () => ({ default: await load() }));
  return Object.assign((props: P) => <Chosen choose={() => loaded ?? Lazy} props={props} />, { load });
}

function Chosen<P extends object>({ choose, props }: { choose: () => ComponentType<P>; props: P }) {
  // Keeps the component that it opened with: another one would lose the dialog's state.
  const [Dialog] = useState(choose);
  return (
    <Suspense fallback={null}>
      <Dialog {...props} />
    </Suspense>
  );
}
