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
