import { describe, expect, it } from 'vitest';
import { advance, order } from '../src/fold';

describe('order', () => {
  it.each([
    ['the first event', 0, 1, 0, 'next'],
    ['the first that the reader may see', 0, 3, 0, 'next'],
    ['the following one', 4, 5, 4, 'next'],
    ['one after others that the reader may not see', 4, 9, 4, 'next'],
    ['one that the reader has', 4, 4, 3, 'repeat'],
    ['an old one', 4, 1, 0, 'repeat'],
    ['one after a missing one', 4, 6, 5, 'gap'],
    ['one of the middle to who has nothing', 0, 6, 5, 'gap'],
  ] as const)('%s', (_, have, seq, prev, want) => {
    expect(order(have, { seq, prev })).toBe(want);
  });

  it('takes a log once, in order, however its events are repeated', () => {
    const log = [1, 2, 5, 6].map((seq, i, all) => ({ seq, prev: all[i - 1] ?? 0 }));
    let have = 0;
    const taken: number[] = [];
    for (const e of [...log, ...log, ...log].flatMap((e) => [e, e])) {
      if (order(have, e) !== 'next') continue;
      have = e.seq;
      taken.push(e.seq);
    }
    expect(taken).toEqual([1, 2, 5, 6]);
  });
});

describe('advance', () => {
  const mark = { delivered: 5, read: 3 };
  it('moves forward only', () => {
    expect(advance(mark, { delivered: 4, read: 2 })).toEqual(mark);
    expect(advance(mark, { delivered: 8 })).toEqual({ delivered: 8, read: 3 });
  });
  it('takes what was read for received', () => {
    expect(advance(mark, { read: 7 })).toEqual({ delivered: 7, read: 7 });
  });
});
