import { describe, expect, it } from 'vitest';
import { clock, initials } from '../src/format';

describe('format', () => {
  it.each([
    [0, '0:00'],
    [177, '2:57'],
    [3600, '1:00:00'],
    [-5, '0:00'],
  ])('clock %s', (s, want) => expect(clock(s)).toBe(want));
  it.each([
    ['Ana Berg', 'AB'],
    ['ana', 'A'],
    ['', ''],
    ['Ana von der Berg', 'AB'],
    ['😀 x', '😀X'],
  ])('initials %s', (name, want) => expect(initials(name)).toBe(want));
});
