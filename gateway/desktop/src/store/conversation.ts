// One conversation as the desktop knows it, and how events change it: the same idea as the server's
// fold (DESIGN.md 1.1). A value is never changed in place; foldEvents returns a new one.

import { advance, type Mark } from '@parley/shared/fold';
import type {
  Author,
  Capabilities,
  ConversationEvent,
  ConversationInfo,
  CustomerBody,
  Membership,
  MessageStatus,
  PageBody,
  Part,
  Target,
} from '@parley/shared/protocol';
import type { LineItem, MessageItem, SupervisorMode, TimelineItem } from './timeline';

export interface AgentInside {
  id: string;
  name: string;
  inside: boolean;
  joinedAt: string;
}

/** Who supervises now, as far as this reader may know: the gateway tells agents of no monitor (H3). */
export interface SupervisorInside {
  id: string;
  name: string;
  mode: SupervisorMode;
}

/** A routing request that waits in a queue or is offered to an agent. */
export interface LiveRequest {
  id: string;
  target: Target;
  invitedBy?: string;
  waitingSince: string;
  offeredTo?: string;
}

export interface Customer extends CustomerBody {
  address?: string;
  locale?: string;
  subject?: string;
}

export interface Conversation {
  id: string;
  /** The sequence number of the last event that this client has; the cursor in hello. */
  seq: number;
  /** The sequence number from which a watch was requested because events were missing. -1: none. */
  asked: number;
  /** The client has caught up: all events so far have arrived. */
  live: boolean;
  /** The last event that says that bodies before it were replaced in the log; 0: none. */
  rewritten: number;
  /** What `rewritten` was when all events were last requested anew. */
  reread: number;
  info: ConversationInfo | null;
  /** What makes the conversation part of the agent's active list; null when it is not in it. */
  member: Membership | null;
  wrapupUntil?: string;

  phase: 'open' | 'ended' | 'concluded';
  channel: string;
  capabilities: Capabilities;
  startedAt?: string;
  endedAt?: string;
  /**
   * When the first agent joined: the session's timer starts when the offer is accepted (A5, B2).
   */
  sessionAt?: string;
  /** When the latest wrap-up of any agent began. */
  wrapupSince?: string;
  service?: { id: string; name: string };
  customer: Customer;
  contact?: string;
  endpoints: string[];
  page: PageBody | null;
  flagged: boolean;
  agents: AgentInside[];
  supervisors: SupervisorInside[];
  requests: LiveRequest[];
  /** How far each party has received and read: "customer" or an agent's id. */
  marks: Record<string, Mark>;
  /** Milliseconds from the customer's request to the first accept; undefined before that. */
  waited?: number;
  /** When the first message of the customer's came that no agent has answered yet. */
  unansweredSince?: string;
  /** The owner of a parked exchange (N16); undefined while it is not parked. */
  parkedBy?: string;
  /** The customer has opted out of messages (STOP). */
  optedOut: boolean;
  /** When the customer's last message came. */
  customerAt?: string;
  /** The provider's last word on how long the customer may be written to freely; without `until`: not at all. */
  windowSaid?: { until?: string };
  /**
   * The seq of the first message by an agent: what the customer writes after it is a reply (N5).
   */
  answeredSeq?: number;
  /** When the chat ends unless the customer responds. */
  inactivityEndsAt?: string;
  /** Whether the customer is connected; undefined when the channel does not report it. */
  present?: boolean;
  items: TimelineItem[];
}

export function emptyConversation(id: string): Conversation {
  return {
    id,
    seq: 0,
    asked: -1,
    live: false,
    rewritten: 0,
    reread: 0,
    info: null,
    member: null,
    phase: 'open',
    channel: '',
    capabilities: {},
    customer: {},
    endpoints: [],
    page: null,
    flagged: false,
    optedOut: false,
    agents: [],
    supervisors: [],
    requests: [],
    marks: {},
    items: [],
  };
}

/** Applies events in the order given; the caller has checked that nothing is missing between them. */
export function foldEvents(before: Conversation, events: ConversationEvent[]): Conversation {
  if (events.length === 0) return before;
  const c: Conversation = { ...before, items: before.items.slice() };
  for (const event of events) {
    apply(c, event);
    c.seq = event.seq;
  }
  return c;
}

/**
 * A conversation of which all events are to come anew, since the texts that this client has may be those that were
 * replaced. Undefined: what it has is right, or it has not caught up yet.
 */
export function outdated(c: Conversation): Conversation | undefined {
  if (!c.live || c.rewritten <= c.reread) return undefined;
  const { info, member, wrapupUntil, present, rewritten } = c;
  return { ...emptyConversation(c.id), info, member, wrapupUntil, present, rewritten, reread: rewritten, asked: 0 };
}

function apply(c: Conversation, e: ConversationEvent): void {
  switch (e.type) {
    case 'conversation.started/1': {
      const { page, address, ...known } = e.body ?? {};
      c.channel = e.head.channel;
      c.capabilities = e.head.capabilities ?? {};
      c.contact = e.head.contact || undefined;
      c.startedAt = e.at;
      c.customer = { ...known, address };
      c.endpoints = address ? [address] : [];
      c.page = page ?? null;
      return;
    }
    case 'service.assigned/1':
      c.service = { id: e.head.service, name: e.body?.name ?? c.service?.name ?? '' };
      return;
    case 'endpoint.added/1':
      if (e.body?.address) c.endpoints = [...c.endpoints, e.body.address];
      return;
    case 'customer.updated/1':
      c.customer = mergeCustomer(c.customer, e.body ?? {});
      return;
    case 'contact.linked/1':
      c.contact = e.head.contact;
      return;
    case 'page.visited/1':
      if (e.body) c.page = e.body;
      return;
    case 'message/1':
      applyMessage(c, e);
      return;
    case 'message.status/1':
      applyStatus(c, e);
      return;
    case 'message.settled/1':
      applySettled(c, e);
      return;
    case 'receipt/1':
      applyReceipt(c, e);
      return;
    case 'participant.joined/1':
    case 'participant.left/1':
      applyPeople(c, e);
      return;
    case 'supervisor.joined/1':
    case 'supervisor.left/1':
      applySupervision(c, e);
      return;
    case 'note/1':
      c.items.push({
        kind: 'note',
        seq: e.seq,
        at: e.at,
        author: e.head.author,
        name: e.body?.name || nameOf(c, e.head.author.agent),
        parts: e.body?.parts ?? [],
      });
      return;
    case 'routing.requested/1':
    case 'routing.offered/1':
    case 'routing.declined/1':
    case 'routing.cancelled/1':
    case 'routing.accepted/1':
      applyRouting(c, e);
      return;
    case 'inactivity.warned/1':
      c.inactivityEndsAt = e.head.ends_at;
      line(c, e, { line: 'warned', text: e.body?.text });
      return;
    case 'conversation.parked/1':
      c.parkedBy = e.head.owner;
      // A text to an agent's own number begins parked, so no line is shown for that.
      if (e.head.cause !== 'start') line(c, e, { line: 'parked', agent: e.head.owner, who: nameOf(c, e.head.owner) });
      return;
    case 'conversation.unparked/1':
      c.parkedBy = undefined;
      // An agent who takes the exchange up joins, which has a line of its own.
      if (e.head.cause !== 'agent') line(c, e, { line: 'unparked', agent: e.head.owner, who: nameOf(c, e.head.owner) });
      return;
    case 'consent.changed/1':
      c.optedOut = e.head.out;
      line(c, e, { line: c.optedOut ? 'opted_out' : 'opted_in', text: e.body?.keyword });
      return;
    case 'window.changed/1':
      // The agent writes to the first endpoint.
      if (!e.head.endpoint) c.windowSaid = { until: e.head.expires };
      return;
    case 'flag.set/1':
    case 'flag.cleared/1':
      c.flagged = e.type === 'flag.set/1';
      line(c, e, { line: c.flagged ? 'flagged' : 'unflagged', agent: e.head.by, who: nameOf(c, e.head.by) });
      return;
    case 'conversation.ended/1':
      c.phase = 'ended';
      c.endedAt = e.at;
      c.requests = [];
      c.parkedBy = undefined;
      c.unansweredSince = undefined;
      c.inactivityEndsAt = undefined;
      line(c, e, { line: 'ended', by: e.head.by, cause: e.head.cause, who: nameOf(c, e.head.by.agent) });
      return;
    case 'conversation.concluded/1':
      c.phase = 'concluded';
      return;
    case 'content.rewritten/1':
      c.rewritten = e.seq;
      return;
    case 'wrapup.started/1':
      c.wrapupSince = e.at;
      return;
    case 'wrapup.ended/1':
      line(c, e, {
        line: 'wrapup_done',
        agent: e.head.agent,
        who: nameOf(c, e.head.agent),
        cause: e.head.cause,
        disposition: e.head.disposition,
        text: e.body?.notes,
      });
      return;
  }
}

type Of<T extends ConversationEvent['type']> = Extract<ConversationEvent, { type: T }>;

function applyMessage(c: Conversation, e: Of<'message/1'>): void {
  const { author } = e.head;
  const parts = e.body?.parts ?? [];
  if (author.kind === 'customer') {
    c.customerAt = e.at;
    c.unansweredSince ??= e.at;
    c.inactivityEndsAt = undefined;
  } else if (author.kind === 'agent' || author.kind === 'supervisor') {
    c.unansweredSince = undefined;
    c.answeredSeq ??= e.seq;
  }
  for (const part of parts) applyChange(c, author, part);
  // Edits, revocations and reactions change an earlier message and have no lines of their own.
  const said = parts.filter((p) => !p.edit && !p.revoke && !p.reaction);
  if (said.length > 0 || parts.length === 0) {
    c.items.push({
      kind: 'message',
      seq: e.seq,
      at: e.at,
      id: e.head.id,
      author,
      name: e.body?.name || nameOf(c, author.agent),
      parts: said,
      clientId: e.head.client_id,
      replyTo: e.head.reply_to || undefined,
    });
  }
}

/**
 * What a part changes in an earlier message. Only its author can edit a message or take it back:
 * the gateway refuses this to anybody else, but older logs may contain it.
 */
function applyChange(c: Conversation, author: Author, { edit, revoke, reaction }: Part): void {
  const by = markKey(author);
  const own = (m: MessageItem) => m.author.kind === author.kind && m.author.agent === author.agent;
  if (edit) {
    const parts = [{ kind: 'text' as const, text: edit.text }];
    change(c, edit.message, (m) => (own(m) ? { ...m, edited: true, parts } : m));
  } else if (revoke) {
    change(c, revoke.message, (m) => (own(m) ? { ...m, revoked: true, parts: [] } : m));
  } else if (reaction) {
    const { message, emoji } = reaction;
    change(c, message, (m) => {
      const others = (m.reactions ?? []).filter((r) => r.by !== by);
      return { ...m, reactions: emoji ? [...others, { by, emoji }] : others };
    });
  }
}

// Ranked as by the gateway: a status only moves forward (PR5), and `unknown` is replaced by any
// later report.
const ranks: Record<MessageStatus, number> = { accepted: 1, unknown: 2, sent: 3, failed: 4, delivered: 5, read: 6 };

function applyStatus(c: Conversation, e: Of<'message.status/1'>): void {
  const { message, status, code, kind } = e.head;
  change(c, message, (m) => {
    if (m.status && ranks[status] <= ranks[m.status]) return m;
    return { ...m, status, statusCode: code, statusKind: kind, statusText: e.body?.text, statusAt: e.at };
  });
}

function applySettled(c: Conversation, e: Of<'message.settled/1'>): void {
  const { message, outcome, by: agent } = e.head;
  change(c, message, (m) => ({
    ...m,
    settled: { outcome, agent, who: nameOf(c, agent) },
    // The message is sent again, so its status starts over.
    ...(outcome === 'resend'
      ? { status: 'accepted', statusCode: undefined, statusText: undefined, statusAt: e.at }
      : {}),
  }));
}

function applyReceipt(c: Conversation, e: Of<'receipt/1'>): void {
  const who = markKey(e.head.by);
  c.marks = { ...c.marks, [who]: advance(c.marks[who] ?? { delivered: 0, read: 0 }, e.head) };
}

function applyPeople(c: Conversation, e: Of<'participant.joined/1'> | Of<'participant.left/1'>): void {
  const { who } = e.head;
  if (who.kind !== 'agent' && who.kind !== 'bot') return;
  const id = who.agent ?? 'bot';
  const bot = who.kind === 'bot';
  if (e.type === 'participant.joined/1') {
    const name = e.body?.name ?? '';
    const rest = c.agents.filter((a) => a.id !== id);
    if (!bot) {
      c.agents = [...rest, { id, name, inside: true, joinedAt: e.at }];
      c.sessionAt ??= e.at;
    }
    line(c, e, { line: 'joined', agent: id, who: name, bot });
    return;
  }
  c.agents = c.agents.map((a) => (a.id === id ? { ...a, inside: false } : a));
  line(c, e, { line: 'left', agent: id, who: nameOf(c, id), cause: e.head.cause, bot });
}

function applySupervision(c: Conversation, e: Of<'supervisor.joined/1'> | Of<'supervisor.left/1'>): void {
  const { agent: id } = e.head;
  const mode = e.head.mode as SupervisorMode;
  const who = (e.type === 'supervisor.joined/1' && e.body?.name) || nameOf(c, id);
  c.supervisors = c.supervisors.filter((s) => s.id !== id);
  if (e.type === 'supervisor.left/1') {
    line(c, e, { line: 'supervised', agent: id, who, mode, cause: e.head.cause });
    return;
  }
  c.supervisors = [...c.supervisors, { id, name: who, mode }];
  // A change of mode is a leaving and a joining: one line tells of both.
  const before = c.items.at(-1);
  if (before?.kind === 'line' && before.line === 'supervised' && before.agent === id && before.at === e.at)
    c.items.pop();
  line(c, e, { line: 'supervises', agent: id, who, mode });
}

function applyRouting(
  c: Conversation,
  e:
    | Of<'routing.requested/1'>
    | Of<'routing.offered/1'>
    | Of<'routing.declined/1'>
    | Of<'routing.cancelled/1'>
    | Of<'routing.accepted/1'>,
): void {
  const { request: id } = e.head;
  const request = c.requests.find((r) => r.id === id);
  const others = c.requests.filter((r) => r.id !== id);
  switch (e.type) {
    case 'routing.requested/1': {
      const { target, invited_by, waiting_since, cause } = e.head;
      c.requests = [...others, { id, target, invitedBy: invited_by || undefined, waitingSince: waiting_since }];
      if (invited_by) {
        line(c, e, { line: 'invited', agent: invited_by, who: nameOf(c, invited_by), cause });
      } else if (cause === 'requeue') {
        line(c, e, { line: 'requeued', cause });
      }
      return;
    }
    case 'routing.offered/1':
      if (request) c.requests = [...others, { ...request, offeredTo: e.head.agent }];
      return;
    case 'routing.declined/1':
      if (!request) return;
      if (request.invitedBy) {
        line(c, e, { line: 'invite_declined', agent: e.head.agent, who: nameOf(c, e.head.agent), cause: e.head.cause });
      }
      // When one agent was invited, declining ends the invitation; any other request goes back to
      // its queue.
      c.requests =
        request.invitedBy && request.target.kind === 'agent'
          ? others
          : [...others, { ...request, offeredTo: undefined }];
      return;
    case 'routing.cancelled/1':
      c.requests = others;
      if (request?.invitedBy && e.head.cause !== 'ended') {
        line(c, e, { line: 'invite_cancelled', agent: request.invitedBy, cause: e.head.cause });
      }
      return;
    case 'routing.accepted/1':
      c.requests = others;
      if (request && !request.invitedBy) {
        c.waited ??= Math.max(0, Date.parse(e.at) - Date.parse(request.waitingSince));
      }
      return;
  }
}

function line(c: Conversation, e: ConversationEvent, fields: Omit<LineItem, 'kind' | 'seq' | 'at'>): void {
  c.items.push({ kind: 'line', seq: e.seq, at: e.at, ...fields });
}

/**
 * Replaces a message by a changed one. It searches from the end, since mostly recent messages
 * change.
 */
function change(c: Conversation, id: string, to: (m: MessageItem) => MessageItem): void {
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    if (item?.kind === 'message' && item.id === id) {
      c.items[i] = to(item);
      return;
    }
  }
}

function mergeCustomer(old: Customer, update: CustomerBody): Customer {
  const merged: Customer = { ...old };
  for (const key of ['name', 'first_name', 'last_name', 'email', 'phone'] as const) {
    if (update[key]) merged[key] = update[key];
  }
  if (update.attributes) merged.attributes = { ...old.attributes, ...update.attributes };
  return merged;
}

function markKey(by: { kind: string; agent?: string }): string {
  return by.kind === 'customer' ? 'customer' : (by.agent ?? by.kind);
}

function nameOf(c: Conversation, agent: string | undefined): string {
  return (agent && [...c.agents, ...c.supervisors].find((a) => a.id === agent)?.name) || '';
}
