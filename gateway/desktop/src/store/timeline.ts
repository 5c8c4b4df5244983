// What a conversation's panel lists: messages and the lines between them, in the order of their sequence numbers.

import type { Author, MessageStatus, Part, SettleOutcome } from '@parley/shared/protocol';

export interface MessageItem {
  kind: 'message';
  seq: number;
  at: string;
  id: string;
  author: Author;
  /** The author's display name at the time, "" when the event gave none. */
  name: string;
  parts: Part[];
  clientId?: string;
  replyTo?: string;
  /** Of a store-and-forward channel; connected channels have the customer's marks instead. */
  status?: MessageStatus;
  /** The provider's own code and words, and what kind of failure it was. */
  statusCode?: string;
  statusText?: string;
  statusKind?: string;
  /** When the status was learnt. */
  statusAt?: string;
  /** Who settled its unknown fate, and how (PR4). */
  settled?: { outcome: SettleOutcome; agent: string; who: string };
  edited?: boolean;
  revoked?: boolean;
  /** One of each author: "customer", an agent's id, or "bot". */
  reactions?: { by: string; emoji: string }[];
}

export type LineKind =
  | 'joined'
  | 'left'
  | 'requeued'
  | 'invited'
  | 'invite_declined'
  | 'invite_cancelled'
  | 'warned'
  | 'parked'
  | 'unparked'
  | 'opted_out'
  | 'opted_in'
  | 'flagged'
  | 'unflagged'
  | 'ended'
  | 'wrapup_done';

export interface LineItem {
  kind: 'line';
  seq: number;
  at: string;
  line: LineKind;
  /** Who it is about: a name, "" when not known. */
  who?: string;
  /** The id of the agent it is about, for "you". */
  agent?: string;
  bot?: boolean;
  cause?: string;
  by?: Author;
  text?: string;
  disposition?: string;
}

export type TimelineItem = MessageItem | LineItem;
