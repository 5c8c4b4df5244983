// What a reload of this tab brings back besides the events: the focus, where each transcript was scrolled to, and
// messages that the gateway had not confirmed. Kept in sessionStorage: it dies with the tab.

import { restored } from '@parley/shared/outbox';
import type { Outgoing } from './state';

const focusKey = 'parley.focus';
const outgoingKey = 'parley.outgoing';
const scrollKey = 'parley.scroll';

export function keptFocus(): string | null {
  return read<string>(focusKey);
}

export function keepFocus(id: string | null): void {
  write(focusKey, id);
}

/** Messages to be sent again under their client ids; what was still uploading could not be kept. */
export function keptOutgoing(user: string): Outgoing[] {
  const kept = read<{ user: string; list: Outgoing[] }>(outgoingKey);
  return kept?.user === user ? restored(kept.list) : [];
}

export function keepOutgoing(user: string, list: Outgoing[]): void {
  const lasting = list
    .filter((o) => o.uploads.every((u) => u.part))
    .map((o) => ({ ...o, uploads: o.uploads.map(({ file: _f, preview: _p, ...u }) => u) }));
  write(outgoingKey, lasting.length > 0 ? { user, list: lasting } : null);
}

/** The seq of the first visible item per conversation; absent when the end was in view. */
export function keptScroll(conversation: string): number | undefined {
  return read<Record<string, number>>(scrollKey)?.[conversation];
}

export function keepScroll(conversation: string, seq: number | undefined): void {
  const { [conversation]: _, ...others } = read<Record<string, number>>(scrollKey) ?? {};
  write(scrollKey, seq === undefined ? others : { ...others, [conversation]: seq });
}

export function forgetSession(): void {
  for (const key of [focusKey, outgoingKey, scrollKey]) write(key, null);
}

function read<T>(key: string): T | null {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? 'null') as T | null;
  } catch {
    return null;
  }
}

function write(key: string, value: unknown): void {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Full or forbidden storage costs the comfort, not the work.
  }
}
