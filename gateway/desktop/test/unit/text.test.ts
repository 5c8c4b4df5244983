import { describe, expect, it } from 'vitest';
import { linkify, safeHref } from '../../src/text/links';
import { clock, fileSize, queueTime, remaining } from '../../src/text/time';

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
