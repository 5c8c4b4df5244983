// Questions that several screens ask of a conversation.

import type { Conversation } from './conversation';
import type { MessageItem } from './timeline';

/** The customer's name, or "" when it is not known. */
export function customerName(c: Conversation): string {
  const { name, first_name, last_name } = c.customer;
  return name || [first_name, last_name].filter(Boolean).join(' ');
}

// A conversation is a new value with every change: its count is good as long as the value is.
const counted = new WeakMap<Conversation, { me: string; readHere: number; count: number }>();

/** Messages of others that this agent has not read. */
export function unreadCount(c: Conversation, me: string, readHere = 0): number {
  const known = counted.get(c);
  if (known && known.me === me && known.readHere === readHere) return known.count;
  const count = countUnread(c, me, readHere);
  counted.set(c, { me, readHere, count });
  return count;
}

function countUnread(c: Conversation, me: string, readHere: number): number {
  const read = Math.max(c.marks[me]?.read ?? 0, readHere);
  let n = 0;
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    if (!item || item.seq <= read) break;
    if (item.kind !== 'message') continue;
    if (item.author.kind === 'customer' || (item.author.kind === 'agent' && item.author.agent !== me)) n++;
    // What I said last, I said having seen what came before.
    else if (item.author.agent === me) break;
  }
  return n;
}

export type Delivery = 'sent' | 'delivered' | 'read' | 'failed' | 'unknown';

/** How far an agent's message got, by its own status or by the customer's cumulative marks. */
export function delivery(c: Conversation, m: MessageItem): Delivery {
  if (m.status && m.status !== 'accepted') return m.status;
  const mark = c.marks.customer;
  if (mark && mark.read >= m.seq) return 'read';
  if (mark && mark.delivered >= m.seq) return 'delivered';
  return 'sent';
}

/** Whether a feature is switched on for the conversation's service (SPEC W2); all are where there is no service. */
export function allows(c: Conversation, feature: 'files' | 'typing' | 'links' | 'page' | 'flag'): boolean {
  const features = c.info?.service?.features;
  return !features || features.includes(feature);
}

/** Whether files may be sent: the channel carries them and the service has them on. */
export function takesFiles(c: Conversation): boolean {
  return c.capabilities.files === true && allows(c, 'files');
}

/** Whether this agent takes part now and the conversation goes on. */
export function isActive(c: Conversation | undefined): boolean {
  return c?.member === 'joined' && c.phase === 'open';
}
