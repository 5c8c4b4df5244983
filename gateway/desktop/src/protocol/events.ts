// The events of a conversation as the gateway stores and streams them (core/conversation: events.go, bodies.go,
// parts.go). Only what the desktop reads is typed; unknown types and fields pass through untouched.

export type AuthorKind = 'customer' | 'agent' | 'supervisor' | 'bot' | 'system';

/** Who speaks or acts; `agent` is set for agents and supervisors. */
export interface Author {
  kind: AuthorKind;
  agent?: string;
}

/** What a channel can carry; the desktop offers only that (SPEC X4). */
export interface Capabilities {
  text?: boolean;
  files?: boolean;
  typing?: boolean;
  read?: boolean;
  receipts?: boolean;
  page?: boolean;
  /** How lengths are counted: "gsm7" or none. */
  counter?: string;
  /** Of one message, in the counter's units or UTF-16 units; 0: none. */
  max_length?: number;
  offer_title?: string;
  icon?: string;
  connected?: boolean;
  /** "phone": the customer's address is a telephone number in E.164. */
  address_kind?: string;
  /** An agent may begin. */
  outbound_first?: boolean;
}

/** An attachment; size in bytes, width and height in pixels (absent when it is not a picture). */
export interface FileRef {
  blob: string;
  name: string;
  mime: string;
  size: number;
  width?: number;
  height?: number;
}

/** One piece of a message; `kind` names the field that is set. */
export interface Part {
  kind: string;
  text?: string;
  html?: string;
  file?: FileRef;
  location?: { latitude: number; longitude: number; name?: string; address?: string };
  contact?: { name: string; phones?: string[]; emails?: string[] };
  choices?: { text: string; options: { id: string; title: string; description?: string }[] };
  answer?: { choice: string; title?: string };
  reaction?: { message: string; emoji?: string };
  edit?: { message: string; text: string };
  revoke?: { message: string };
  raw?: { kind: string };
}

export interface PageBody {
  url: string;
  title?: string;
}

/** What is known of the customer: StartedBody and CustomerBody share these fields. */
export interface CustomerData {
  name?: string;
  first_name?: string;
  last_name?: string;
  email?: string;
  phone?: string;
  attributes?: Record<string, string>;
}

export interface StartedBody extends CustomerData {
  address?: string;
  locale?: string;
  subject?: string;
  page?: PageBody;
}

export type MessageStatus = 'accepted' | 'sent' | 'delivered' | 'read' | 'failed' | 'unknown';

/** What a person says of a message whose fate is unknown (PR4). */
export type SettleOutcome = 'sent' | 'failed' | 'resend';

/** A routing target as events and the invite command write it. */
export interface Target {
  kind: 'service' | 'agent' | 'directory';
  service?: string;
  agent?: string;
}

interface Heads {
  'conversation.started/1': { kind: string; channel: string; contact?: string; capabilities?: Capabilities };
  'service.assigned/1': { service: string; rules?: { wrapup_limit?: number; disposition_needed?: boolean } };
  'endpoint.added/1': { channel: string };
  'customer.updated/1': Record<string, never>;
  'contact.linked/1': { contact: string; by: Author };
  'page.visited/1': Record<string, never>;
  'message/1': { id: string; author: Author; client_id?: string; kinds?: string[]; reply_to?: string };
  'message.status/1': { message: string; status: MessageStatus; kind?: string; code?: string };
  'message.settled/1': { message: string; outcome: SettleOutcome; by: Author };
  'receipt/1': { by: Author; delivered?: number; read?: number };
  'routing.requested/1': {
    request: string;
    target: Target;
    cause: string;
    invited_by?: string;
    waiting_since: string;
  };
  'routing.offered/1': { request: string; offer: string; agent: string; expires_at?: string; invite?: boolean };
  'routing.declined/1': { request: string; offer: string; agent: string; cause: string };
  'routing.cancelled/1': { request: string; offer?: string; agent?: string; cause: string };
  'routing.accepted/1': { agent: string; request: string; offer: string };
  'participant.joined/1': { who: Author };
  'participant.left/1': { who: Author; cause: string };
  'wrapup.started/1': { agent: string; until?: string };
  'wrapup.ended/1': { agent: string; disposition?: string; cause: string };
  'inactivity.warned/1': { ends_at?: string };
  'conversation.parked/1': { owner: string; cause: string };
  'conversation.unparked/1': { owner: string; cause: string };
  'flag.set/1': { by: string };
  'flag.cleared/1': { by: string };
  'consent.changed/1': { out: boolean };
  'conversation.ended/1': { by: Author; cause: string };
  'conversation.concluded/1': Record<string, never>;
}

interface Bodies {
  'conversation.started/1': StartedBody;
  'service.assigned/1': { name?: string };
  'endpoint.added/1': { address?: string };
  'customer.updated/1': CustomerData;
  'page.visited/1': PageBody;
  'message/1': { parts?: Part[]; name?: string };
  'message.status/1': { text?: string };
  'participant.joined/1': { name?: string };
  'inactivity.warned/1': { text?: string };
  'consent.changed/1': { keyword?: string };
  'wrapup.ended/1': { notes?: string };
}

export type EventType = keyof Heads;

type Body<T extends EventType> = T extends keyof Bodies ? Bodies[T] : undefined;

/** One fact of a conversation. `seq` counts from 1 without holes; `at` is RFC 3339 in UTC. */
export type ConversationEvent = {
  [T in EventType]: { seq: number; at: string; type: T; head: Heads[T]; body?: Body<T> | null };
}[EventType];
