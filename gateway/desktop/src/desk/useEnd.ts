// A list that stays at its end while it grows, and leaves it when somebody takes it away from there.

import { type RefObject, useEffect, useRef, useState } from 'react';

/** Pixels from the end of the list that still count as being there. */
export const endZone = 60;
/** Milliseconds without scrolling after which a list has come to rest. */
const restTime = 150;
/** Milliseconds for which a hand on the list explains where it moves. */
const handTime = 1000;

interface Options {
  /** Around the element of role log that scrolls. */
  frame: RefObject<HTMLElement | null>;
  /** How many rows the list has. */
  rows: number;
  beginsThere: boolean;
  toEnd: () => void;
  /** Called when the list has come to rest, at its end or elsewhere. */
  rested: (scroller: Element, atEnd: boolean) => void;
}

/**
 * When rows come faster than the list is drawn, it falls behind its end by itself and is taken back there; only a hand
 * moves it away (touch), or a screen reader while nothing new comes. onEnd takes what the list believes of its place,
 * settle is to be called when it scrolls.
 */
export function useEnd({ frame, rows, beginsThere, toEnd, rested }: Options) {
  const [atEnd, setAtEnd] = useState(beginsThere);
  const now = useRef({ rows, atEnd, toEnd, rested });
  now.current = { rows, atEnd, toEnd, rested };
  const known = useRef(rows); // rows when it last rested at its end
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is new may not move the list, so no scrolling tells of it
  useEffect(settle, [rows]);
  useEffect(() => () => clearTimeout(rest.current), []);

  // The place of the list changes with what is written below it: who looks at the end goes on to see it.
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
