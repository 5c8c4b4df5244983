import type { Part } from '@parley/shared/protocol';
import { renderToStaticMarkup } from 'react-dom/server';
import { beforeAll, describe, expect, it } from 'vitest';
import { PartView } from '../../src/desk/MessageRow';
import { i18n, startI18n } from '../../src/i18n';
import { de } from '../../src/i18n/de';

const shown = (part: Part) => renderToStaticMarkup(<PartView part={part} links={false} />);

beforeAll(async () => {
  await startI18n();
  i18n.addResourceBundle('de', 'translation', de);
});

describe('a template', () => {
  beforeAll(() => i18n.changeLanguage('en'));
  it('is shown as the customer sees it, and else by its name and values', () => {
    const placed = [{ place: 'body', text: 'Parcel 7' }];
    const template = { name: 'order', language: 'en', placed };
    expect(shown({ kind: 'template', template: { ...template, rendered: 'Parcel 7 is <b>here</b>' } })).toContain(
      'Parcel 7 is &lt;b&gt;here&lt;/b&gt;',
    );
    expect(shown({ kind: 'template', template })).toMatch(/Template “order”\s*Parcel 7/);
    expect(shown({ kind: 'template', template: { name: 'order', language: 'en', values: ['A', 'B'] } })).toMatch(
      /order”\s*A\s*B/,
    );
  });
  it('shows the place in its header', () => {
    const placed = [{ place: 'header', location: { latitude: 1, longitude: 2, name: 'Shop' } }];
    expect(shown({ kind: 'template', template: { name: 'x', language: 'en', placed, rendered: 'Here' } })).toMatch(
      /Shop[\s\S]*Here/,
    );
  });
});

describe('a change of a message that nobody found', () => {
  const raw = (kind: string, data: object): Part => ({ kind: 'unsupported', raw: { kind, data } });
  it.each([
    ['reaction', { reaction: { emoji: '👍' } }, ['👍', 'reaction to a message that is not available']],
    ['edit', { edit: { text: 'other words' } }, ['other words', 'new text of a message that is not available']],
    ['revoke', { revoke: {} }, ['was taken back']],
    ['edit', {}, ['new text of a message that is not available']],
  ])('is told in words (%s)', async (kind, data, wanted) => {
    await i18n.changeLanguage('en');
    const html = shown(raw(kind, data));
    for (const w of wanted) expect(html).toContain(w);
  });
});

describe('a part that cannot be shown', () => {
  it.each([
    ['en', 'it is not available', 'cannot be shown here'],
    ['de', 'der nicht verfügbar ist', 'nicht gezeigt werden'],
  ])('tells an attachment that is gone from the rest (%s)', async (language, gone, other) => {
    await i18n.changeLanguage(language);
    expect(shown({ kind: 'unsupported', raw: { kind: 'media' } })).toContain(gone);
    expect(shown({ kind: 'unsupported', raw: { kind: 'sticker' } })).toContain(other);
    expect(shown({ kind: 'unsupported' })).toContain(other);
  });
});
