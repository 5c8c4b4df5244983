import { useEffect, useRef, useState } from 'react';
import { useDeskState } from './context';

/**
 * How the connection's state is shown: `down` at once, `long` when it stays down, `back` for a
 * moment when it is up again. Every state is shown long enough to be read, even when the gateway is
 * back within moments.
 */
export type LineState = 'up' | 'down' | 'long' | 'back';

const longAfter = 1500;
const leastDown = 1200;
const backFor = 2500;

export function useLineState(): LineState {
  const online = useDeskState((s) => s.link.phase === 'online');
  const [state, setState] = useState<LineState>('up');
  const since = useRef(0);

  useEffect(() => {
    if (!online) {
      since.current = Date.now();
      setState('down');
      const timer = setTimeout(() => setState('long'), longAfter);
      return () => clearTimeout(timer);
    }
    if (since.current === 0) return;
    const wait = Math.max(0, leastDown - (Date.now() - since.current));
    since.current = 0;
    const back = setTimeout(() => setState('back'), wait);
    const up = setTimeout(() => setState('up'), wait + backFor);
    return () => {
      clearTimeout(back);
      clearTimeout(up);
    };
  }, [online]);
  return state;
}
