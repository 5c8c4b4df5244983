import { describe, expect, it } from 'vitest';
// The vectors of the SMS plugin: the desktop's counter and the plugin's have to agree.
import file from '../../../../plugins/sms/segment/testdata/vectors.json';
import { countSms } from '../../src/text/sms';

interface Vector {
  name: string;
  text?: string;
  repeat?: { text: string; n: number }[];
  encoding: string;
  units: number;
  segments: number;
  parts: number[];
  ref16?: { segments: number; parts: number[] };
}

const vectors = file.vectors as Vector[];
const textOf = (v: Vector) => v.text ?? (v.repeat ?? []).map((r) => r.text.repeat(r.n)).join('');

describe('the counter (N10-N15)', () => {
  it('has the vectors', () => expect(vectors.length).toBeGreaterThan(40));

  it.each(vectors.map((v) => [v.name, v] as const))('%s', (_, v) => {
    const { encoding, units, segments, parts } = countSms(textOf(v));
    expect({ encoding, units, segments, parts }).toEqual({
      encoding: v.encoding,
      units: v.units,
      segments: v.segments,
      parts: v.parts,
    });
    if (v.ref16) {
      const wide = countSms(textOf(v), true);
      expect({ segments: wide.segments, parts: wide.parts }).toEqual(v.ref16);
    }
  });

  it('loses nothing and tears nothing, whatever is written', () => {
    let seed = 7;
    const next = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % n;
    };
    const letters = ['a', ']', '€', 'я', '😀', '\u0301', '\ud83d', '\r\n'];
    for (let round = 0; round < 400; round++) {
      const text = Array.from({ length: next(500) }, () => letters[next(round % 2 ? 3 : letters.length)]).join('');
      const { encoding, units, segments, parts } = countSms(text);
      expect(parts.reduce((a, b) => a + b, 0)).toBe(units);
      expect(parts.length).toBe(segments);
      expect(Math.max(...parts)).toBeLessThanOrEqual(encoding === 'gsm7' ? 160 : 70);
      if (encoding === 'ucs2') expect(units).toBe(text.length);
    }
  });
});
