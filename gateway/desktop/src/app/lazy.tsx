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
 * A dialog that is loaded when it is first opened, or ahead of that by its load(): then it opens at once, and without a
 * line to the gateway. It shows nothing while it loads.
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
  // What it opened as it stays: another component would begin anew.
  const [Dialog] = useState(choose);
  return (
    <Suspense fallback={null}>
      <Dialog {...props} />
    </Suspense>
  );
}
