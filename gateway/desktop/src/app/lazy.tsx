import { Center, Loader } from '@mantine/core';
import { type ComponentType, lazy, Suspense } from 'react';

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

/** A dialog that is loaded when it is first opened; it shows nothing while it loads. */
export function lazyDialog<P extends object>(load: () => Promise<ComponentType<P>>) {
  const Dialog = lazy(async () => ({ default: await load() }));
  return (props: P) => (
    <Suspense fallback={null}>
      <Dialog {...props} />
    </Suspense>
  );
}
