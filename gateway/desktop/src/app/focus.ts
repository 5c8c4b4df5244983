// Who has the focus when something opens. Mantine's focus trap moves it some frames and a timer after the thing can be
// seen; the keys of a fast typist have gone to the field below by then, and Enter sends a draft.

/** A ref that gives its element the focus as it comes, before another key can be pressed. */
export function focusNow(element: HTMLElement | null): void {
  element?.focus({ preventScroll: true });
}

/** Props of what has the focus first in a dialog: at once, and again when the dialog's focus trap looks for it. */
export const firstFocus = { ref: focusNow, 'data-autofocus': true };

const openers = new WeakMap<Element, Element>();

/** Who has the focus; of an item of a menu: who had it when the menu came, for the menu will be gone. */
export function focusOwner(): Element | null {
  const now = document.activeElement;
  const menu = now?.closest('[role="menu"]');
  return (menu && openers.get(menu)) ?? now;
}

/** A ref of a menu: its first item has the focus as it comes, who had it before has it again as it goes. */
export function holdFocus(menu: HTMLElement | null): (() => void) | undefined {
  if (!menu) return undefined;
  const before = document.activeElement;
  if (before) openers.set(menu, before);
  focusNow(menu.querySelector<HTMLElement>('[role="menuitem"]'));
  return () => {
    if (before instanceof HTMLElement && menu.contains(document.activeElement)) focusNow(before);
  };
}
