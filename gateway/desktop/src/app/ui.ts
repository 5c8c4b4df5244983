// What is open on the page besides the work itself.

import { create } from 'zustand';

export type Dialog =
  | { kind: 'settings' }
  | { kind: 'help' }
  | { kind: 'palette' }
  | { kind: 'info' }
  | { kind: 'invite'; conversation: string; transfer: boolean }
  | { kind: 'end'; conversation: string }
  | { kind: 'contact'; conversation: string }
  | { kind: 'picture'; blob: string; name: string };

interface Ui {
  dialog: Dialog | null;
  /** Opened from elsewhere: the state menu, by key. */
  stateMenu: boolean;
}

export const useUi = create<Ui>(() => ({ dialog: null, stateMenu: false }));

export function openDialog(dialog: Dialog): void {
  useUi.setState({ dialog });
}

export function closeDialog(): void {
  useUi.setState({ dialog: null });
}
