import { describe, expect, it } from 'vitest'
import { bytes, moment } from '../src/panel/format'
import { notShown, problem, words } from '../src/panel/i18n'
import { contrast, ink, palette, parse, type RGB, readable } from '../src/panel/theme'

describe('words', () => {
  it('prefers the site, then the language, then English', () => {
    const texts = { de: { start: 'Los' }, 'pt-BR': { start: 'Começar' }, en: { welcome: 'Ask us.' } }
    expect(words('de-AT', texts).t('start')).toBe('Los')
    expect(words('de-AT', texts).t('cancel')).toBe('Abbrechen')
    expect(words('pt-BR', texts).t('start')).toBe('Começar')
    expect(words('pt', texts).t('welcome')).toBe('Ask us.')
    expect(words('xx').t('start')).toBe('Start chat')
  })
  it('knows the direction', () => {
    const own = { ar: { start: 'x' }, he: { start: 'x' } }
    expect(['ar', 'he-IL', 'de', 'art'].map((l) => words(l, own).dir)).toEqual(['rtl', 'rtl', 'ltr', 'ltr'])
    expect([words('ar').dir, words('ar').lang], 'without Arabic words it is English').toEqual(['ltr', 'en'])
  })
  it('explains codes', () => {
    const { t } = words('en')
    expect(problem(t, 'too_large', '2 MB')).toBe('The file is larger than 2 MB.')
    expect(problem(t, 'quota', '')).toBe('Too many files for now. Please try again in an hour.')
    expect(problem(words('de').t, 'quota', '')).toMatch(/^Zu viele Dateien/)
    expect(problem(t, 'never_heard', '')).toBe('This did not work. Please try again.')
  })
  it.each([
    ['en', 'This file is not available.', 'This kind of message cannot be shown here.'],
    ['de', 'Diese Datei ist nicht verfügbar.', 'Diese Art von Nachricht kann hier nicht angezeigt werden.'],
  ])('tells an attachment that is gone from what cannot be shown (%s)', (locale, gone, other) => {
    const { t } = words(locale)
    expect(notShown(t, { kind: 'unsupported', raw: { kind: 'media' } })).toBe(gone)
    expect(notShown(t, { kind: 'unsupported', raw: { kind: 'sticker' } })).toBe(other)
    expect(notShown(t, { kind: 'unsupported' })).toBe(other)
  })
})

describe('format', () => {
  it.each([
    [5, '5 B'],
    [1536, '1.5 KB'],
    [20 * 2 ** 20, '20 MB'],
  ])('bytes %s', (n, want) => expect(bytes(n, 'en')).toBe(want))
  it('shows the day when it was another', () => {
    const now = new Date('2026-11-23T12:00:00')
    expect(moment('2026-11-23T10:05:00', 'en-GB', now)).toBe('10:05')
    expect(moment('2026-11-20T10:05:00', 'en-GB', now)).toContain('20 Nov')
    expect(moment('nonsense', 'en', now)).toBe('')
  })
})

// WCAG 1.4.3: the contrast suffices whatever accent colour a site picks.
describe('palette', () => {
  const rgb = (css: string) => css.match(/\d+/g)?.map(Number) as RGB
  const colours = [
    '#000000',
    '#ffffff',
    '#ff0000',
    '#00ff00',
    '#0000ff',
    '#ffff00',
    '#808080',
    '#3451b2',
    '#1f5c4a',
    '#e8924a',
  ]
  it.each(
    colours.flatMap(
      (c) =>
        [
          [c, false],
          [c, true],
        ] as const,
    ),
  )('%s dark %s', (colour, dark) => {
    const p = palette(colour, dark)
    const field: RGB = dark ? [38, 40, 46] : [241, 242, 245]
    expect(contrast(rgb(p['--on-accent'] ?? ''), rgb(p['--accent'] ?? ''))).toBeGreaterThanOrEqual(4.5)
    expect(contrast(rgb(p['--accent-text'] ?? ''), field)).toBeGreaterThanOrEqual(4.5)
    expect(contrast(rgb(p['--accent-text'] ?? ''), rgb(p['--accent-soft'] ?? ''))).toBeGreaterThanOrEqual(3)
  })
  it('parses six digits only', () => {
    expect(parse('#3451b2')).toEqual([52, 81, 178])
    expect(parse('red')).toBeNull()
    expect(ink([255, 255, 255])).not.toEqual([255, 255, 255])
    expect(contrast(readable([255, 255, 255], [255, 255, 255]), [255, 255, 255])).toBeGreaterThanOrEqual(4.5)
  })
})
