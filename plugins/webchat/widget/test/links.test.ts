import { describe, expect, it } from 'vitest'
import { hrefOf, linkify, sameSite } from '../src/panel/links'

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
  ['markup', '<a href="http://a.com">', { 'http://a.com': 'http://a.com/' }],
]

describe('linkify', () => {
  it.each(vectors)('%s', (_, text, links) => {
    const pieces = linkify(text)
    expect(pieces.map((p) => p.text).join('')).toBe(text)
    expect(Object.fromEntries(pieces.flatMap((p) => ('href' in p ? [[p.text, p.href]] : [])))).toEqual(links)
  })

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
    ]
    let seed = 7
    const next = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed
    }
    for (let i = 0; i < 5000; i++) {
      const text = Array.from({ length: next() % 14 }, () => bits[next() % bits.length]).join('')
      const pieces = linkify(text)
      expect(pieces.map((p) => p.text).join('')).toBe(text)
      for (const p of pieces) if ('href' in p) expect(p.href).toMatch(/^https?:\/\/[^/]/)
    }
  })
})

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
  ])('refuses %j', (text) => expect(hrefOf(text)).toBe(''))
})

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
  ])('%s on %s: %s', (href, page, want) => expect(sameSite(href, page)).toBe(want))
})
