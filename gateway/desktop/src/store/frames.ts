// What a batch of frames changes in the desktop's state. It has no side effects: what else has to
// be done (ask for missing events, ring, notify) is returned as effects.

import { order } from '@parley/shared/fold';
import type { ConversationEvent, EventFrame, ServerFrame } from '@parley/shared/protocol';
import { type Conversation, emptyConversation, foldEvents, outdated } from './conversation';
import type { DeskState } from './state';

export type Effect =
  | { kind: 'watch'; conversation: string; after: number }
  | { kind: 'message'; conversation: string; seq: number }
  /** A message came for an exchange that waits in Recent. */
  | { kind: 'recent'; conversation: string; at: string }
  | { kind: 'gone'; conversation: Conversation };

const typingLasts = 6000;

/** Applies frames in order. `now` is local time in milliseconds. */
export function applyFrames(before: DeskState, frames: ServerFrame[], now: number): [DeskState, Effect[]] {
  const effects: Effect[] = [];
  let s = before;
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i] as ServerFrame;
    if (frame.t !== 'event') {
      s = applyFrame(s, frame, now, effects);
      continue;
    }
    // Successive events of one conversation are folded together, so that a long replay copies the
    // conversation once.
    const run = [frame];
    while (i + 1 < frames.length) {
      const next = frames[i + 1] as ServerFrame;
      if (next.t !== 'event' || next.conversation !== frame.conversation) break;
      run.push(next);
      i++;
    }
    s = applyEvents(s, run, effects);
  }
  return [s, effects];
}

function applyFrame(s: DeskState, f: Exclude<ServerFrame, EventFrame>, now: number, effects: Effect[]): DeskState {
  switch (f.t) {
    case 'welcome':
      return {
        ...s,
        user: f.user,
        version: f.version ?? '',
        skew: Date.parse(f.time) - now,
        typing: {},
        unconfirmed: s.active,
        recentFresh: false,
        snapshotDue: true,
        conversations: mapConversations(s, (c) => (c.asked < 0 ? c : { ...c, asked: -1 })),
      };
    case 'agent': {
      let next: DeskState = { ...s, agent: f.agent };
      const entries = f.agent.conversations ?? [];
      const known = new Set(entries.map((e) => e.conversation));
      if (s.snapshotDue) {
        // The first state after hello shows which conversations ended while the connection was
        // down.
        for (const id of s.unconfirmed) if (!known.has(id)) next = part(next, id, effects);
        const offered = new Set(f.agent.offers ?? []);
        next = {
          ...next,
          unconfirmed: [],
          snapshotDue: false,
          focusWanted: next.focusWanted && known.has(next.focusWanted) ? next.focusWanted : null,
          offers: next.offers.filter((o) => offered.has(o.offer)),
        };
      }
      for (const entry of entries) {
        const c = next.conversations[entry.conversation];
        const wrapupUntil = entry.wrapup_until ?? undefined;
        if (c?.member && (c.member !== entry.state || c.wrapupUntil !== wrapupUntil)) {
          next = put(next, { ...c, member: entry.state, wrapupUntil });
        }
      }
      return next;
    }
    case 'offer': {
      const { t: _, ...offer } = f;
      const known = s.offers.some((o) => o.offer === offer.offer);
      return {
        ...s,
        offers: known ? s.offers.map((o) => (o.offer === offer.offer ? offer : o)) : [...s.offers, offer],
      };
    }
    case 'offer_end':
      return { ...s, offers: s.offers.filter((o) => o.offer !== f.offer) };
    case 'joined': {
      const c = s.conversations[f.conversation] ?? emptyConversation(f.conversation);
      const until = s.agent?.conversations?.find((e) => e.conversation === f.conversation)?.wrapup_until;
      let next = put(s, { ...c, member: f.state, info: f.info, wrapupUntil: until ?? c.wrapupUntil });
      if (!next.active.includes(f.conversation)) next = { ...next, active: [...next.active, f.conversation] };
      next.unconfirmed = next.unconfirmed.filter((id) => id !== f.conversation);
      if (next.focusWanted === f.conversation || next.focus === null) {
        next.focus = f.conversation;
        if (next.focusWanted === f.conversation) next.focusWanted = null;
      }
      return next;
    }
    case 'parted':
      return part({ ...s }, f.conversation, effects);
    case 'live': {
      const c = s.conversations[f.conversation];
      return c && !c.live ? reread(put(s, { ...c, live: true }), f.conversation, effects) : s;
    }
    case 'typing': {
      const key = f.who.agent ?? f.who.kind;
      const { [key]: _, ...others } = s.typing[f.conversation] ?? {};
      if (f.on) {
        const kind = f.who.kind === 'customer' ? 'customer' : 'agent';
        others[key] = { kind, name: f.name ?? '', until: now + typingLasts };
      }
      return { ...s, typing: { ...s.typing, [f.conversation]: others } };
    }
    case 'presence': {
      const c = s.conversations[f.conversation];
      return c && c.present !== f.on ? put(s, { ...c, present: f.on }) : s;
    }
    case 'board':
      return { ...s, board: f.board };
    case 'recent':
      return applyRecent(s, f, effects);
    default:
      return s;
  }
}

/**
 * Updates the badge (O1). The first count on a connection is about earlier messages; when it grows
 * later, a message has just come.
 */
function applyRecent(s: DeskState, f: Extract<ServerFrame, { t: 'recent' }>, effects: Effect[]): DeskState {
  const list = f.items ?? [];
  for (const item of list) {
    const grown = item.unread > (s.recent.items[item.conversation]?.unread ?? 0);
    if (grown && s.recentFresh) effects.push({ kind: 'recent', conversation: item.conversation, at: item.at });
  }
  const items = Object.fromEntries(list.map(({ conversation, unread, at }) => [conversation, { unread, at }]));
  return { ...s, recent: { unread: f.unread, items }, recentFresh: true };
}

function applyEvents(s: DeskState, run: EventFrame[], effects: Effect[]): DeskState {
  const id = (run[0] as EventFrame).conversation;
  const known = s.conversations[id];
  // The conversation was removed from the list: events that were still on their way are ignored.
  if (!known) return s;
  let seq = known.seq;
  let asked = known.asked;
  const fresh: ConversationEvent[] = [];
  for (const f of run) {
    const place = order(seq, f);
    if (place === 'repeat') continue;
    if (place === 'gap') {
      if (asked !== seq) effects.push({ kind: 'watch', conversation: id, after: seq });
      asked = seq;
      continue;
    }
    fresh.push(f);
    seq = f.seq;
    if (f.type === 'message/1' && f.head.author.kind === 'customer' && known.live) {
      effects.push({ kind: 'message', conversation: id, seq: f.seq });
    }
  }
  const c: Conversation = { ...foldEvents(known, fresh), asked: asked === seq ? asked : -1 };
  let next = put(s, c);
  next = confirmOutgoing(next, fresh);
  return stopTyping(reread(next, id, effects), id, fresh);
}

/** Requests all events of a conversation anew if texts in it were replaced since it was read. */
function reread(s: DeskState, id: string, effects: Effect[]): DeskState {
  const c = s.conversations[id];
  const anew = c && outdated(c);
  if (!anew) return s;
  effects.push({ kind: 'watch', conversation: id, after: 0 });
  return put(s, anew);
}

/** The event of a message replaces the unconfirmed copy. */
function confirmOutgoing(s: DeskState, events: ConversationEvent[]): DeskState {
  if (s.outgoing.length === 0) return s;
  const ids = new Set(events.map((e) => (e.type === 'message/1' ? e.head.client_id : undefined)));
  const outgoing = s.outgoing.filter((o) => !ids.has(o.clientId));
  return outgoing.length === s.outgoing.length ? s : { ...s, outgoing };
}

/** A party whose message has arrived is no longer typing. */
function stopTyping(s: DeskState, id: string, events: ConversationEvent[]): DeskState {
  let typing = s.typing[id];
  if (!typing || Object.keys(typing).length === 0) return s;
  for (const e of events) {
    if (e.type !== 'message/1') continue;
    const { [e.head.author.agent ?? e.head.author.kind]: _, ...rest } = typing;
    typing = rest;
  }
  return { ...s, typing: { ...s.typing, [id]: typing } };
}

/** Removes a conversation from the active list; if it had the focus, its neighbour gets it. */
function part(s: DeskState, id: string, effects: Effect[]): DeskState {
  const index = s.active.indexOf(id);
  if (index < 0) return s;
  const active = s.active.filter((a) => a !== id);
  const { [id]: gone, ...others } = s.conversations;
  if (gone) effects.push({ kind: 'gone', conversation: gone });
  // The Recent screen may still show it.
  const conversations = gone && s.watched.includes(id) ? { ...others, [id]: { ...gone, member: null } } : others;
  return {
    ...s,
    active,
    conversations,
    focus: s.focus === id ? (active[index] ?? active[index - 1] ?? null) : s.focus,
    outgoing: s.outgoing.filter((o) => o.conversation !== id),
  };
}

function put(s: DeskState, c: Conversation): DeskState {
  return { ...s, conversations: { ...s.conversations, [c.id]: c } };
}

function mapConversations(s: DeskState, to: (c: Conversation) => Conversation): Record<string, Conversation> {
  return Object.fromEntries(Object.entries(s.conversations).map(([id, c]) => [id, to(c)]));
}
