// The frames of the agents' WebSocket, /api/v1/stream (docs/protocol/agent-stream.md). Durations are milliseconds,
// times RFC 3339 in UTC. Unknown frames and fields from the server are ignored.

import type { Author, Capabilities, ConversationEvent, Part, SettleOutcome, Target } from './events';

export type Role = 'agent' | 'supervisor' | 'admin';

export interface User {
  id: string;
  login: string;
  name: string;
  role: Role;
  privileges?: string[] | null;
}

export type AgentStatus = 'logged_out' | 'not_ready' | 'ready' | 'busy' | 'acw';

export type Membership = 'joined' | 'wrapup' | 'parked';

/** The agent's own state, whole. `pending` is the reason of a preset Not Ready (A12), "" without one. */
export interface AgentState {
  seq: number;
  status: AgentStatus;
  reason?: string;
  pending?: string;
  since: string;
  offers?: string[] | null;
  conversations?: { conversation: string; state: Membership; wrapup_until?: string | null }[] | null;
}

/** An offer as the alert shows it (A2-A6). `queued_ms` is 0 when it did not wait. */
export interface Offer {
  offer: string;
  conversation: string;
  request: string;
  title: string;
  icon?: string;
  channel: string;
  service?: { id: string; name: string } | null;
  customer?: { name?: string } | null;
  /** Where the channel's customers are known by one: a telephone number. */
  address?: string;
  queued_ms: number;
  waiting_since?: string;
  offered_at: string;
  expires_at?: string | null;
  invited_by?: { id: string; name: string } | null;
}

export interface Disposition {
  code: string;
  name: string;
}

/** What a reader needs of a conversation beside its events. */
export interface ConversationInfo {
  channel: string;
  icon?: string;
  title?: string;
  service?: {
    id: string;
    name: string;
    dispositions?: Disposition[] | null;
    disposition_needed?: boolean;
    /** Milliseconds; 0: the service has no after-call work. */
    wrapup?: number;
    /** What is switched on for the service (SPEC W2). */
    features?: string[] | null;
  } | null;
  capabilities?: Capabilities;
  account?: { id: string; name: string } | null;
}

export interface BoardAgent {
  id: string;
  name: string;
  status: AgentStatus;
  reason?: string;
  pending?: boolean;
  since?: string;
  active: number;
  offers: number;
  wrapup: number;
  load: number;
}

export interface BoardQueue {
  service: string;
  name: string;
  waiting: number;
  oldest_since?: string | null;
  offered: number;
  active: number;
  agents_ready: number;
  agents_served: number;
}

export interface Board {
  at: string;
  agents?: BoardAgent[] | null;
  queues?: BoardQueue[] | null;
}

/** Unread messages of a customer in an exchange that waits in Recent (O1, N16). */
export interface RecentItem {
  conversation: string;
  unread: number;
  /** When the latest of them came. */
  at: string;
}

export interface WireError {
  code: string;
  message: string;
  /** With `thread_open` (N17): the exchange that is already open, whose it is, and whether one may join it. */
  conversation?: string;
  owner?: { id: string; name: string } | null;
  joinable?: boolean;
}

export interface Ack {
  t: 'ack';
  id: string;
  ok: boolean;
  error?: WireError;
  message?: string;
  seq?: number;
  conversation?: string;
  request?: string;
}

export type EventFrame = ConversationEvent & { t: 'event'; conversation: string; prev: number };

export type ServerFrame =
  | { t: 'welcome'; user: User; time: string; version?: string }
  | { t: 'agent'; agent: AgentState }
  | ({ t: 'offer' } & Offer)
  | { t: 'offer_end'; offer: string; cause: string }
  | { t: 'joined'; conversation: string; state: Membership; info: ConversationInfo }
  | { t: 'live'; conversation: string }
  | { t: 'parted'; conversation: string }
  | EventFrame
  | { t: 'typing'; conversation: string; on: boolean; who: Author; name?: string }
  | { t: 'presence'; conversation: string; on: boolean }
  | Ack
  | { t: 'board'; board: Board }
  | { t: 'recent'; unread: number; items?: RecentItem[] | null }
  | { t: 'error'; error: WireError }
  | { t: 'pong'; id: string }
  | { t: 'bye'; reason: string; retry_ms?: number };

/** Commands by name, without `t`, `cmd` and `id`. */
export interface Commands {
  ready: Record<string, never>;
  not_ready: { reason: string };
  logout: Record<string, never>;
  accept: { offer: string };
  reject: { offer: string };
  send: { conversation: string; client_id: string; parts: Part[]; reply_to?: string };
  mark: { conversation: string; delivered?: number; read?: number };
  end: { conversation: string; queue?: boolean };
  wrapup: { conversation: string; disposition?: string; notes?: string };
  invite: { conversation: string; target: Target; transfer?: boolean };
  cancel_invite: { conversation: string; request: string };
  flag: { conversation: string; on: boolean };
  link_contact: { conversation: string; contact: string };
  text: { service?: string; account?: string; to: string; parts?: Part[]; client_id?: string };
  join: { conversation: string };
  settle: { conversation: string; message: string; outcome: SettleOutcome };
  recent_seen: Record<string, never>;
}

export type ClientFrame =
  | { t: 'hello'; cursors: Record<string, number> }
  | { t: 'watch'; conversation: string; after: number }
  | { t: 'unwatch'; conversation: string }
  | { t: 'typing'; conversation: string; on: boolean }
  | { t: 'board'; on: boolean }
  | { t: 'ping'; id: string };
