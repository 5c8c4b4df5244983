// The agent's own settings, kept in this browser.

import { createStore } from 'zustand/vanilla';

export interface Prefs {
  /** Tone while an offer is presented (A2). */
  offerTone: boolean;
  /** Tone on a customer's message (B4). */
  messageTone: boolean;
  /** 0..1 */
  volume: number;
  notifications: boolean;
  theme: 'auto' | 'light' | 'dark';
  sendKey: 'enter' | 'ctrl-enter';
  /** Which modifiers the shortcuts need; "off" switches them and the ? key off (WCAG 2.1.4). */
  shortcuts: 'alt' | 'alt-shift' | 'off';
  /** Seconds after which an unanswered customer is signalled (B2). */
  lateAfter: number;
  language: 'auto' | 'en' | 'de';
}

export const defaultPrefs: Prefs = {
  offerTone: true,
  messageTone: true,
  volume: 0.6,
  notifications: true,
  theme: 'auto',
  sendKey: 'enter',
  shortcuts: 'alt',
  lateAfter: 60,
  language: 'auto',
};

const key = 'parley.prefs';

export const prefs = createStore<Prefs>(() => ({ ...defaultPrefs, ...read() }));

/** Changes settings, keeps them and tells this browser's other tabs through the storage event. */
export function setPrefs(change: Partial<Prefs>): void {
  prefs.setState(change);
  try {
    localStorage.setItem(key, JSON.stringify(prefs.getState()));
  } catch {
    // A browser without storage keeps them for this page only.
  }
}

/** Follows changes made in other tabs; returns the end of it. */
export function followPrefs(): () => void {
  const onStorage = (e: StorageEvent) => {
    if (e.key === key) prefs.setState({ ...defaultPrefs, ...read() });
  };
  window.addEventListener('storage', onStorage);
  return () => window.removeEventListener('storage', onStorage);
}

function read(): Partial<Prefs> {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Prefs>;
  } catch {
    return {};
  }
}
