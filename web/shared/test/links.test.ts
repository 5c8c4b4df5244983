import { describe, expect, it } from 'vitest';
import { hrefOf, linkify, safeHref, sameSite } from '../src/links';

// SPEC B6, B7: what becomes a link, and where it leads.
const vectors: [name: string, text: string, links: Record<string, string>][] = [
  ['http', 'see http://example.com now', { 'http://example.com': 'http://example.com/' }],
  ['http and www', 'http://www.example.com/a', { 'http://www.example.com/a': 'http://www.example.com/a' }],
  ['https', 'https://example.com/a?b=c#d', { 'https://example.com/a?b=c#d': 'https://example.com/a?b=c#d' }],
  ['www alone', 'www.example.com/x', { 'www.example.com/x': 'https://www.example.com/x' }],
  ['upper case', 'HTTPS://EXAMPLE.COM', { 'HTTPS://EXAMPLE.COM': 'https://example.com/' }],
  ['two', 'www.a.com, http://b.com', { 'www.a.com': 'https://www.a.com/', 'http://b.com': 'http://b.com/' }],
  [
    'end of a sentence',
    'Go to http://a.com/b. Or (www.c.com)!',
    { 'http://a.com/b': 'http://a.com/b', 'www.c.com': 'https://www.c.com/' },
  ],
  ['brackets of its own', 'http://a.com/x_(y)', { 'http://a.com/x_(y)': 'http://a.com/x_(y)' }],
  ['quoted', '"http://a.com"', { 'http://a.com': 'http://a.com/' }],
  ['port', 'http://localhost:8080/p', { 'http://localhost:8080/p': 'http://localhost:8080/p' }],
  [
    'umlauts',
    'https://bücher.example/straße',
    { 'https://bücher.example/straße': 'https://xn--bcher-kva.example/stra%C3%9Fe' },
  ],
  ['after a newline', 'a\nwww.b.com', { 'www.b.com': 'https://www.b.com/' }],
  ['bare domain', 'example.com and sub.example.com/x', {}],
  ['javascript', 'javascript:alert(1)', {}],
  ['data', 'data:text/html,<b>x</b>', {}],
  ['scheme around one', 'javascript:http://a.com', {}],
  ['ftp and mailto', 'ftp://a.com mailto:a@b.com a@www.b.com', {}],
  ['inside a word', 'xhttp://a.com foowww.b.com', {}],
  ['nothing after', 'http:// www. https://.', {}],
  ['credentials', 'https://bank.example@evil.example/', {}],
  ['empty credentials', 'https://@evil.example https:///@evil.example https://:@evil.example', {}],
  ['at sign in the path', 'https://a.com/@user', { 'https://a.com/@user': 'https://a.com/@user' }],
  ['after a colon', 'Link:https://a.com', { 'https://a.com': 'https://a.com/' }],
  ['typographic quotes', '\u201ehttps://a.com\u201c', { 'https://a.com': 'https://a.com/' }],
  [
    'braces',
    'https://a.com/{x}, {https://b.com}',
    { 'https://a.com/{x}': 'https://a.com/%7Bx%7D', 'https://b.com': 'https://b.com/' },
  ],
  ['markup', '<a href="http://a.com">', { 'http://a.com': 'http://a.com/' }],
];

describe('linkify', () => {
  it.each(vectors)('%s', (_, text, links) => {
    const pieces = linkify(text);
    expect(pieces.map((p) => p.text).join('')).toBe(text);
    expect(Object.fromEntries(pieces.flatMap((p) => ('href' in p ? [[p.text, p.href]] : [])))).toEqual(links);
  });

  it('never loses text and never makes another scheme, whatever comes', () => {
    const bits = [
      'http://',
      'https://',
      'www.',
      'javascript:',
      'a',
      '.',
      ')',
      '(',
      ' ',
      '\n',
      '@',
      '😀',
      '%',
      ':',
      '/',
      '"',
      '<',
      'com',
    ];
    let seed = 7;
    const next = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed;
    };
    for (let i = 0; i < 5000; i++) {
      const text = Array.from({ length: next() % 14 }, () => bits[next() % bits.length]).join('');
      const pieces = linkify(text);
      expect(pieces.map((p) => p.text).join('')).toBe(text);
      for (const p of pieces) if ('href' in p) expect(p.href).toMatch(/^https?:\/\/[^/]/);
    }
  });
});

describe('hrefOf', () => {
  it.each([
    'javascript:alert(1)',
    ' javascript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    '//evil.example',
    'https://@evil.example',
    'https://\\@evil.example',
    'https://\t@evil.example',
    '/path',
    'evil.example',
    'java\nscript:x',
    '',
  ])('refuses %j', (text) => expect(hrefOf(text)).toBe(''));
});

// SPEC B8.
describe('sameSite', () => {
  it.each([
    ['https://shop.example/a', 'https://shop.example/b', true],
    ['https://www.shop.example/a', 'http://shop.example/', true],
    ['https://shop.example/a', 'https://www.shop.example/', true],
    ['https://help.shop.example/', 'https://www.shop.example/', true],
    ['https://shop.example.evil.example/', 'https://shop.example/', false],
    ['https://evilshop.example/', 'https://shop.example/', false],
    ['https://shop.example/', 'https://help.shop.example/', false],
    ['https://shop.example/', '', false],
  ])('%s on %s: %s', (href, page, want) => expect(sameSite(href, page)).toBe(want));
});

const links = (text: string) => linkify(text).flatMap((p) => ('href' in p ? [[p.text, p.href]] : []));

describe('links (B6, B7)', () => {
  it.each([
    ['see http://example.com now', [['http://example.com', 'http://example.com/']]],
    ['see https://example.com/a?b=c#d.', [['https://example.com/a?b=c#d', 'https://example.com/a?b=c#d']]],
    ['http://www.example.com', [['http://www.example.com', 'http://www.example.com/']]],
    ['www.example.com', [['www.example.com', 'https://www.example.com/']]],
    ['WWW.Example.COM/x', [['WWW.Example.COM/x', 'https://www.example.com/x']]],
    ['(www.example.com/a_(b))', [['www.example.com/a_(b)', 'https://www.example.com/a_(b)']]],
    [
      'two: www.a.de, www.b.de!',
      [
        ['www.a.de', 'https://www.a.de/'],
        ['www.b.de', 'https://www.b.de/'],
      ],
    ],
    ['example.com is bare', []],
    ['mail kim@www.example.com', []],
    ['javascript:alert(1)', []],
    ['data:text/html,<b>x', []],
    ['ftp://www.example.com', []],
    ['xhttp://example.com', []],
    ['http://', []],
    ['www.', []],
    ['"https://example.com"', [['https://example.com', 'https://example.com/']]],
    ['https://desk.example@evil.example/', []],
    ['https://desk.example:443@evil.example/', []],
    ['https://desk.example%2F@evil.example', []],
    ['https://@evil.example', []],
    ['https:///@evil.example/x', []],
    ['https://:@evil.example', []],
    ['www.desk.example@evil.example', []],
    ['https://a.de/@user', [['https://a.de/@user', 'https://a.de/@user']]],
    ['https://a.de<script>', [['https://a.de', 'https://a.de/']]],
  ])('%s', (text, want) => expect(links(text)).toEqual(want));

  it('loses no character', () => {
    const text = 'ä www.a.de,\n(http://b.de) 🎉 https://c.de. x';
    expect(
      linkify(text)
        .map((p) => p.text)
        .join(''),
    ).toBe(text);
  });

  it('opens http and https only', () => {
    expect(safeHref('https://a.de/x')).toBe('https://a.de/x');
    for (const url of [
      'javascript:alert(1)',
      'data:,x',
      'blob:x',
      '/path',
      '',
      'https://@b.de',
      ' https:\\/@b.de',
      'https:/\t/@b.de',
      'htt\nps://@b.de',
    ])
      expect(safeHref(url)).toBe('');
  });
});
