// What a conversation's panel lists: messages and the lines between them, in the order of their sequence numbers.

import type { Author, MessageStatus, Part } from '../protocol/events';

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
  /** The provider's own words about a failure. */
  statusText?: string;
  edited?: boolean;
  revoked?: boolean;
  reactions?: string[];
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
