import { expect, it } from 'vitest';
import { de } from '../../src/i18n/de';
import { en } from '../../src/i18n/en';

function flat(texts: object, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(texts).flatMap(([key, value]) =>
      typeof value === 'string' ? [[prefix + key, value]] : Object.entries(flat(value, `${prefix}${key}.`)),
    ),
  );
}

const values = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((m) => m[1]).sort();

it('has every text in German, with the same values in it', () => {
  const english = flat(en);
  const german = flat(de);
  expect(Object.keys(german).sort()).toEqual(Object.keys(english).sort());
  for (const [key, text] of Object.entries(english)) {
    expect([key, values(german[key] ?? '')]).toEqual([key, values(text)]);
  }
});

it('has every text that the screens ask for by a fixed key', () => {
  const english = flat(en);
  const known = new Set(Object.keys(english).map((k) => k.replace(/_(one|other)$/, '')));
  const sources = import.meta.glob('../../src/**/*.{ts,tsx}', { query: '?raw', import: 'default', eager: true });
  const missing = Object.values(sources as Record<string, string>)
    .flatMap((text) => [...text.matchAll(/\bt\('([\w.]+)'/g)].map((m) => m[1] ?? ''))
    .filter((key) => !known.has(key) && !(key in english));
  expect(missing).toEqual([]);
});
