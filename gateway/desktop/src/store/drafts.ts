// What was typed but not sent, per user and conversation: it survives a reload, and is never shown
// for another customer.

import { createStore } from 'zustand/vanilla';

const prefix = 'parley.draft.';

export interface Drafts {
  /** Texts by "<user>.<conversation>". */
  texts: Record<string, string>;
}

export const drafts = createStore<Drafts>(() => ({ texts: readAll() }));

export function draftKey(user: string, conversation: string): string {
  return `${user}.${conversation}`;
}

export function setDraft(user: string, conversation: string, text: string): void {
  const id = draftKey(user, conversation);
  const { [id]: _, ...others } = drafts.getState().texts;
  drafts.setState({ texts: text ? { ...others, [id]: text } : others });
  try {
    if (text) localStorage.setItem(prefix + id, text);
    else localStorage.removeItem(prefix + id);
  } catch {
    // Without storage a draft lasts as long as the page.
  }
}

/**
 * Removes a user's drafts from storage: after logout no text about a customer may stay on a shared
 * machine.
 */
export function forgetDrafts(user: string): void {
  for (const id of Object.keys(drafts.getState().texts)) {
    if (id.startsWith(`${user}.`)) {
      const conversation = id.slice(user.length + 1);
      setDraft(user, conversation, '');
    }
  }
}

function readAll(): Record<string, string> {
  const texts: Record<string, string> = {};
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      if (key?.startsWith(prefix)) texts[key.slice(prefix.length)] = localStorage.getItem(key) ?? '';
    }
  } catch {
    // No drafts were kept.
  }
  return texts;
}
