// Which dialogs and menus are open on the page.

import { create } from 'zustand';
import { focusOwner } from './focus';

export type Dialog =
  | { kind: 'settings' }
  | { kind: 'help' }
  | { kind: 'palette' }
  | { kind: 'info' }
  | { kind: 'logout' }
  | { kind: 'sms'; to?: string; service?: string }
  | { kind: 'invite'; conversation: string; transfer: boolean }
  | { kind: 'end'; conversation: string }
  | { kind: 'contact'; conversation: string }
  | { kind: 'picture'; blob: string; name: string };

interface Ui {
  dialog: Dialog | null;
  /** The state menu is open, opened by its shortcut. */
  stateMenu: boolean;
  /**
   * The conversation whose message field gets the focus as soon as it exists and no dialog is open.
   */
  writeTo: string | null;
}

export const useUi = create<Ui>(() => ({ dialog: null, stateMenu: false, writeTo: null }));

let returnTo: Element | null = null;
let returning: ReturnType<typeof setTimeout> | undefined;

export function openDialog(dialog: Dialog): void {
  // When a dialog opens another one, the focus later goes back to where the first was opened from.
  if (!useUi.getState().dialog && returning === undefined) returnTo = focusOwner();
  clearTimeout(returning);
  returning = undefined;
  // Until the dialog has the focus, keys must go nowhere: they must not end up in the message
  // below.
  if (dialog.kind !== 'info' && document.activeElement instanceof HTMLElement) document.activeElement.blur();
  useUi.setState({ dialog });
}

export function closeDialog(): void {
  useUi.setState({ dialog: null });
  clearTimeout(returning);
  returning = setTimeout(() => {
    returning = undefined;
    const lost = document.activeElement === document.body || !document.activeElement;
    if (lost && returnTo instanceof HTMLElement) returnTo.focus({ preventScroll: true });
  }, 0);
}
