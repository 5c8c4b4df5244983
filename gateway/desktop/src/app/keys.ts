// The keyboard shortcuts: which there are, how they are shown, and how a key press is recognised.

export type Action =
  | 'accept'
  | 'open'
  | 'reject'
  | 'previous'
  | 'next'
  | 'end'
  | 'transfer'
  | 'attach'
  | 'info'
  | 'state'
  | 'sms'
  | 'composer'
  | 'palette'
  | 'help';

export interface Shortcut {
  action: Action;
  /**
   * KeyboardEvent.code names the place on the keyboard, so that layouts and the special characters
   * that Alt makes do not matter.
   */
  code: string;
  /** How the key is shown. */
  label: string;
}

/** Shortcuts that need the modifier keys chosen in the settings. */
export const shortcuts: Shortcut[] = [
  { action: 'accept', code: 'KeyA', label: 'A' },
  { action: 'open', code: 'KeyO', label: 'O' },
  { action: 'reject', code: 'KeyR', label: 'R' },
  { action: 'previous', code: 'ArrowUp', label: '↑' },
  { action: 'next', code: 'ArrowDown', label: '↓' },
  { action: 'composer', code: 'KeyC', label: 'C' },
  { action: 'attach', code: 'KeyU', label: 'U' },
  { action: 'end', code: 'KeyE', label: 'E' },
  { action: 'transfer', code: 'KeyT', label: 'T' },
  { action: 'info', code: 'KeyI', label: 'I' },
  { action: 'state', code: 'KeyS', label: 'S' },
  { action: 'sms', code: 'KeyW', label: 'W' },
];

export type Modifiers = 'alt' | 'alt-shift' | 'off';

export type Pressed = { action: Action } | { jump: number } | null;

/**
 * What a key press means. `typing` says that it happened in a text field, where keys without
 * modifiers are text.
 */
export function recognise(e: KeyboardEvent, modifiers: Modifiers, typing: boolean): Pressed {
  // AltGr arrives as Ctrl+Alt or as AltGraph: it makes characters, so it is never a shortcut.
  if (e.isComposing || e.getModifierState?.('AltGraph')) return null;
  if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.code === 'KeyK') return { action: 'palette' };
  if (modifiers === 'off') return null;
  if (e.key === '?' && !e.ctrlKey && !e.metaKey && !e.altKey && !typing) return { action: 'help' };
  if (!e.altKey || e.ctrlKey || e.metaKey || e.shiftKey !== (modifiers === 'alt-shift')) return null;
  const found = shortcuts.find((s) => s.code === e.code);
  if (found) return { action: found.action };
  const digit = /^Digit([1-9])$/.exec(e.code);
  return digit ? { jump: Number(digit[1]) } : null;
}

export function isMac(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.platform);
}

/** The keys of a shortcut as they are printed on keyboards. */
export function keysOf(label: string, modifiers: Modifiers): string[] {
  const alt = isMac() ? '⌥' : 'Alt';
  return modifiers === 'alt-shift' ? [alt, isMac() ? '⇧' : 'Shift', label] : [alt, label];
}

/** The value of aria-keyshortcuts; undefined when shortcuts are off. */
export function ariaKeys(label: string, modifiers: Modifiers): string | undefined {
  return modifiers === 'off' ? undefined : `${modifiers === 'alt' ? 'Alt' : 'Alt+Shift'}+${label}`;
}
