// What a conversation's panel shows: messages and the lines between them, in the order of their
// sequence numbers.

import type { Author, MessageStatus, Part, SettleOutcome } from '@parley/shared/protocol';

export interface MessageItem {
  kind: 'message';
  seq: number;
  at: string;
  id: string;
  author: Author;
  /** The author's display name at that time, "" if the event has none. */
  name: string;
  parts: Part[];
  clientId?: string;
  replyTo?: string;
  /**
   * The status on a store-and-forward channel; connected channels have the customer's marks
   * instead.
   */
  status?: MessageStatus;
  /** The provider's own code and text, and the kind of failure. */
  statusCode?: string;
  statusText?: string;
  statusKind?: string;
  /** When the status came. */
  statusAt?: string;
  /** Who settled the message of unknown status, and how (PR4). */
  settled?: { outcome: SettleOutcome; agent: string; who: string };
  edited?: boolean;
  revoked?: boolean;
  /** One from each author: "customer", an agent's id, or "bot". */
  reactions?: { by: string; emoji: string }[];
}

/**
 * What agents and supervisors say among themselves. It is no message, so that nothing that looks for messages meets one
 * by mistake.
 */
export interface NoteItem {
  kind: 'note';
  seq: number;
  at: string;
  author: Author;
  /** The author's display name at that time, "" if the event has none. */
  name: string;
  parts: Part[];
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
  | 'supervises'
  | 'supervised'
  | 'ended'
  | 'wrapup_done';

export interface LineItem {
  kind: 'line';
  seq: number;
  at: string;
  line: LineKind;
  /** The name of the party that the line is about, "" if not known. */
  who?: string;
  /** The id of the agent that the line is about, to show "you". */
  agent?: string;
  bot?: boolean;
  cause?: string;
  by?: Author;
  text?: string;
  disposition?: string;
  /** How the supervisor takes part whom the line is about. */
  mode?: SupervisorMode;
}

/** How a supervisor takes part: seen by supervisors only, by agents too, by everybody. */
export type SupervisorMode = 'monitor' | 'coach' | 'barge';

export type TimelineItem = MessageItem | NoteItem | LineItem;
