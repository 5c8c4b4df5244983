// The agent's settings, kept in this browser.

import { createStore } from 'zustand/vanilla';

export interface Prefs {
  /** Play a tone while an offer is presented (A2). */
  offerTone: boolean;
  /** Play a tone at a customer's message (B4). */
  messageTone: boolean;
  /** From 0 to 1. */
  volume: number;
  notifications: boolean;
  theme: 'auto' | 'light' | 'dark';
  sendKey: 'enter' | 'ctrl-enter';
  /** The modifier keys that shortcuts need; "off" switches them and the ? key off (WCAG 2.1.4). */
  shortcuts: 'alt' | 'alt-shift' | 'off';
  /** After so many seconds a customer without an answer is marked as late (B2). */
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

/** Changes settings and stores them; this browser's other tabs learn of it by the storage event. */
export function setPrefs(change: Partial<Prefs>): void {
  prefs.setState(change);
  try {
    localStorage.setItem(key, JSON.stringify(prefs.getState()));
  } catch {
    // In a browser without storage settings last as long as the page.
  }
}

/** Applies changes made in other tabs; returns a function that stops this. */
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
