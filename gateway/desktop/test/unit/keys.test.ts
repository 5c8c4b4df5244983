import { describe, expect, it } from 'vitest';
import { recognise } from '../../src/app/keys';

const press = (init: KeyboardEventInit & { altGraph?: boolean }) => {
  const e = new KeyboardEvent('keydown', init);
  Object.defineProperty(e, 'getModifierState', { value: (k: string) => k === 'AltGraph' && init.altGraph === true });
  return e;
};

describe('shortcuts', () => {
  it.each([
    ['Alt+A accepts', { altKey: true, code: 'KeyA', key: 'å' }, { action: 'accept' }],
    ['Alt+R rejects', { altKey: true, code: 'KeyR', key: 'r' }, { action: 'reject' }],
    ['Alt+3 jumps', { altKey: true, code: 'Digit3', key: '3' }, { jump: 3 }],
    ['Ctrl+K', { ctrlKey: true, code: 'KeyK', key: 'k' }, { action: 'palette' }],
    ['Cmd+K', { metaKey: true, code: 'KeyK', key: 'k' }, { action: 'palette' }],
    ['a bare letter is text', { code: 'KeyA', key: 'a' }, null],
    ['AltGr makes characters', { altKey: true, altGraph: true, code: 'KeyE', key: '€' }, null],
    ['AltGr as Ctrl+Alt too', { altKey: true, ctrlKey: true, code: 'KeyE', key: '€' }, null],
    ['the other set needs Shift', { altKey: true, shiftKey: true, code: 'KeyA', key: 'A' }, null],
  ])('%s', (_, init, want) => expect(recognise(press(init), 'alt', true)).toEqual(want));

  it('has a second set', () => {
    const e = press({ altKey: true, shiftKey: true, code: 'KeyA', key: 'A' });
    expect(recognise(e, 'alt-shift', true)).toEqual({ action: 'accept' });
  });

  it('opens the sheet by ? outside of text only, and can be switched off (WCAG 2.1.4)', () => {
    const e = press({ shiftKey: true, code: 'Slash', key: '?' });
    expect(recognise(e, 'alt', false)).toEqual({ action: 'help' });
    expect(recognise(e, 'alt', true)).toBeNull();
    expect(recognise(e, 'off', false)).toBeNull();
    expect(recognise(press({ altKey: true, code: 'KeyA' }), 'off', false)).toBeNull();
  });
});
