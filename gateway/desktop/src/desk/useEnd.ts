// Keeps a list scrolled to its end while it grows, unless the agent scrolls away from the end.

import { type RefObject, useEffect, useRef, useState } from 'react';

/** A list within this many pixels of its end counts as being at its end. */
export const endZone = 60;
/** Milliseconds without scrolling after which a list has come to rest. */
const restTime = 150;
/**
 * For this many milliseconds after the agent's touch or key, scrolling counts as the agent's doing.
 */
const handTime = 1000;

interface Options {
  /** Contains the element of role log that scrolls. */
  frame: RefObject<HTMLElement | null>;
  /** How many rows the list has. */
  rows: number;
  beginsThere: boolean;
  toEnd: () => void;
  /** Called when the list has stopped scrolling, at its end or elsewhere. */
  rested: (scroller: Element, atEnd: boolean) => void;
}

/**
 * When rows come faster than the list is drawn, the list falls behind its end by itself, and is
 * scrolled back there. It leaves the end only if the agent has just touched it (touch), or if it
 * moves while no new rows come, as a screen reader makes it do. The list calls onEnd with whether
 * it is at its end, and settle when it scrolls.
 */
export function useEnd({ frame, rows, beginsThere, toEnd, rested }: Options) {
  const [atEnd, setAtEnd] = useState(beginsThere);
  const now = useRef({ rows, atEnd, toEnd, rested });
  now.current = { rows, atEnd, toEnd, rested };
  const known = useRef(rows); // number of rows when the list was last at rest at its end
  const hand = useRef(Number.NEGATIVE_INFINITY);
  const touch = () => {
    hand.current = performance.now();
  };
  const held = () => performance.now() - hand.current < handTime;
  const rest = useRef<ReturnType<typeof setTimeout>>(undefined);
  const settle = () => {
    clearTimeout(rest.current);
    rest.current = setTimeout(() => {
      const { rows, atEnd, toEnd, rested } = now.current;
      const scroller = scrollerIn(frame);
      if (!scroller) return;
      if (atEnd && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight > endZone) {
        if (held()) setAtEnd(false);
        else toEnd();
        return;
      }
      if (atEnd) known.current = rows;
      rested(scroller, atEnd);
    }, restTime);
  };
  const onEnd = (end: boolean) => {
    if (end || held() || now.current.rows === known.current) setAtEnd(end);
    settle();
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: new rows may not move the list, so no scroll event comes
  useEffect(settle, [rows]);
  useEffect(() => () => clearTimeout(rest.current), []);

  // The list's height changes with what is written below it; if its end was in view, it must stay
  // in view.
  useEffect(() => {
    const scroller = scrollerIn(frame);
    if (!scroller) return;
    let height = scroller.clientHeight;
    const watch = new ResizeObserver(() => {
      const below = scroller.scrollHeight - scroller.scrollTop - height;
      const shrunk = scroller.clientHeight < height;
      height = scroller.clientHeight;
      if (shrunk && below < endZone) scroller.scrollTop = scroller.scrollHeight;
    });
    watch.observe(scroller);
    return () => watch.disconnect();
  }, [frame]);

  return { atEnd, onEnd, settle, touch };
}

function scrollerIn(frame: RefObject<HTMLElement | null>): Element | null | undefined {
  return frame.current?.querySelector('[role="log"]');
}
