import { describe, expect, it } from 'vitest';
import { clock, fileSize, queueTime, remaining } from '../../src/text/time';

describe('times', () => {
  it.each([
    [0, '0:00'],
    [7_999, '0:07'],
    [60_000, '1:00'],
    [3_599_000, '59:59'],
    [3_661_000, '1:01:01'],
    [-5, '0:00'],
  ])('clock(%d)', (ms, want) => expect(clock(ms)).toBe(want));

  it('rounds what is left up and ends at zero', () => {
    expect([remaining(1), remaining(1000), remaining(1001), remaining(0), remaining(-1)]).toEqual([
      '0:01',
      '0:01',
      '0:02',
      '0:00',
      '0:00',
    ]);
  });

  it('writes a queue time as minutes and seconds (A4)', () => {
    expect([queueTime(177_000), queueTime(59_999), queueTime(4_503_000)]).toEqual(['2:57', '0:59', '75:03']);
  });

  it('writes sizes for people', () => {
    expect([fileSize(812, 'en'), fileSize(48_211, 'en'), fileSize(3_210_000, 'en')]).toEqual([
      '812 byte',
      '48 kB',
      '3.2 MB',
    ]);
  });
});
