// Which element has the focus when something opens. Mantine's focus trap moves the focus only some
// frames and a timer after a dialog is visible; until then a fast typist's keys would go to the
// field below, where Enter sends a draft.

/** A ref that gives its element the focus when it appears, before another key can be pressed. */
export function focusNow(element: HTMLElement | null): void {
  element?.focus({ preventScroll: true });
}

/**
 * Props for the element of a dialog that gets the focus first: it takes the focus at once, and the
 * dialog's focus trap finds it by the attribute.
 */
export const firstFocus = { ref: focusNow, 'data-autofocus': true };

const openers = new WeakMap<Element, Element>();

/**
 * The element that has the focus; if that is in a menu, the element that had it when the menu
 * opened, because the menu is about to close.
 */
export function focusOwner(): Element | null {
  const now = document.activeElement;
  const menu = now?.closest('[role="menu"]');
  return (menu && openers.get(menu)) ?? now;
}

/**
 * A ref of a menu: its first item gets the focus when the menu opens, and the element that had the
 * focus gets it back when the menu closes.
 */
export function holdFocus(menu: HTMLElement | null): (() => void) | undefined {
  if (!menu) return undefined;
  const before = document.activeElement;
  if (before) openers.set(menu, before);
  focusNow(menu.querySelector<HTMLElement>('[role="menuitem"]'));
  return () => {
    if (before instanceof HTMLElement && menu.contains(document.activeElement)) focusNow(before);
  };
}
