// What several screens want to know about a conversation.

import type { MessageStatus } from '@parley/shared/protocol';
import type { Conversation } from './conversation';
import type { DeskState } from './state';
import type { MessageItem } from './timeline';

/** The customer's name, else the number that they write from, or "" if neither is known. */
export function customerName(c: Conversation): string {
  const { name, first_name, last_name } = c.customer;
  return name || [first_name, last_name].filter(Boolean).join(' ') || (byPhone(c) ? (c.customer.address ?? '') : '');
}

/** Whether the customer is reached by a telephone number. */
export function byPhone(c: Conversation): boolean {
  return c.capabilities.address_kind === 'phone';
}

/**
 * Whether a channel reports the status of each message, instead of marks that say how far the
 * customer has read.
 */
export function storesAndForwards(c: Conversation): boolean {
  return c.capabilities.receipts === true && c.capabilities.connected !== true;
}

/**
 * Until when the customer may be written to freely: as the provider has said, else by the channel's hours since
 * the customer's last message. Undefined: without limit; without `until`: not at all, only templates go out.
 */
export function replyWindow(c: Conversation): { until?: string } | undefined {
  const hours = c.capabilities.reply_window;
  if (c.windowSaid || !hours) return c.windowSaid;
  return c.customerAt ? { until: new Date(Date.parse(c.customerAt) + hours * 3_600_000).toISOString() } : {};
}

/**
 * Whether this agent may take up an open exchange in which no agent takes part (N6, N16). `recent`:
 * it waits in Recent.
 */
export function takesUp(c: Conversation, me: string, recent: boolean): boolean {
  if (c.phase !== 'open' || c.member || c.agents.some((a) => a.inside)) return false;
  return c.parkedBy !== undefined || recent || c.requests.some((r) => r.target.agent === me);
}

// A conversation is a new object at every change, so a count is valid for one object.
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
    // The agent has read everything before their own last message.
    else if (item.author.agent === me) break;
  }
  return n;
}

export type Delivery = MessageStatus | 'expired';

/** How far an agent's message got, by its own status or by the customer's marks. */
export function delivery(c: Conversation, m: MessageItem): Delivery {
  // It was given up because its time was over, not because the carrier refused it (N4).
  if (m.status === 'failed' && m.statusCode === 'deadline') return 'expired';
  if (m.status && m.status !== 'accepted') return m.status;
  if (storesAndForwards(c)) return 'accepted';
  const mark = c.marks.customer;
  if (mark && mark.read >= m.seq) return 'read';
  if (mark && mark.delivered >= m.seq) return 'delivered';
  return 'sent';
}

/**
 * Whether a feature is switched on for the conversation's service (SPEC W2); without a service all
 * features are on.
 */
export function allows(c: Conversation, feature: 'files' | 'typing' | 'links' | 'page' | 'flag' | 'counter'): boolean {
  const features = c.info?.service?.features;
  return !features || features.includes(feature);
}

/** Whether files may be sent: the channel carries them and the service allows them. */
export function takesFiles(c: Conversation): boolean {
  return c.capabilities.files === true && allows(c, 'files');
}

/**
 * Whether the user has the privilege to begin texts (N1); there may still be no number to text
 * from.
 */
export function mayText(s: DeskState): boolean {
  return s.user?.privileges?.includes('sms') === true;
}

/** Whether this agent takes part now and the conversation is open. */
export function isActive(c: Conversation | undefined): boolean {
  return c?.member === 'joined' && c.phase === 'open';
}
