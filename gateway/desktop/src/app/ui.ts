// What is open on the page besides the work itself.

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
  /** Opened from elsewhere: the state menu, by key. */
  stateMenu: boolean;
  /** The conversation whose message field takes the focus as soon as it is there and no dialog is open. */
  writeTo: string | null;
}

export const useUi = create<Ui>(() => ({ dialog: null, stateMenu: false, writeTo: null }));

let returnTo: Element | null = null;
let returning: ReturnType<typeof setTimeout> | undefined;

export function openDialog(dialog: Dialog): void {
  // A dialog opened out of another one gives the focus back to where the first was opened.
  if (!useUi.getState().dialog && returning === undefined) returnTo = focusOwner();
  clearTimeout(returning);
  returning = undefined;
  // Until the dialog has the focus, what is typed is nobody's: it must not end in the message below.
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
