// Tells the gateway which messages have reached this agent and which were read. Each mark covers
// all before it, so marks can be collected for a moment.

import type { StreamClient } from '../socket/client';
import type { Conversation } from './conversation';
import { isActive } from './select';
import type { DeskStore } from './state';

const gather = 250;

export class Attention {
  private readonly store: DeskStore;
  private readonly client: StreamClient;
  private readonly said = new Map<string, { delivered: number; read: number }>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(store: DeskStore, client: StreamClient) {
    this.store = store;
    this.client = client;
  }

  /** Records that the agent sees everything up to the end of the focused conversation. */
  look(conversation: string): void {
    const c = this.store.getState().conversations[conversation];
    const last = c && lastFromOthers(c, this.me());
    if (!c || !last || (this.store.getState().readHere[conversation] ?? 0) >= last) return;
    this.store.setState((s) => ({ readHere: { ...s.readHere, [conversation]: last } }));
    this.changed();
  }

  /** Something arrived or was read, so marks are sent shortly. */
  changed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.send();
    }, gather);
  }

  /** There is a new connection: marks that were sent on the old one may not have arrived. */
  reset(): void {
    this.said.clear();
    this.changed();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private me(): string {
    return this.store.getState().user?.id ?? '';
  }

  private send(): void {
    const { conversations, active, readHere, link } = this.store.getState();
    if (link.phase !== 'online') return;
    for (const id of active) {
      const c = conversations[id];
      if (!c || !isActive(c)) continue;
      const said = this.said.get(id) ?? c.marks[this.me()] ?? { delivered: 0, read: 0 };
      const delivered = Math.max(said.delivered, lastFromOthers(c, this.me()));
      const read = Math.max(said.read, readHere[id] ?? 0);
      if (delivered <= said.delivered && read <= said.read) continue;
      this.said.set(id, { delivered: Math.max(delivered, read), read });
      // A mark that fails is covered by the next one.
      this.client.command('mark', { conversation: id, delivered, read }).catch(() => this.said.delete(id));
    }
  }
}

/** The seq of the last message by anybody else; 0 if there is none. */
function lastFromOthers(c: Conversation, me: string): number {
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    if (item?.kind === 'message' && !(item.author.kind === 'agent' && item.author.agent === me)) return item.seq;
  }
  return 0;
}
