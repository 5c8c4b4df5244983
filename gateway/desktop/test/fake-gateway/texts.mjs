// Text messages in the fake contact centre: senders, exchanges that agents begin, join and settle,
// parking, direct numbers, and what waits in Recent (SPEC N, O).

/** @import { Agent, Chat } from './world.mjs' */
/** @import { Capabilities, Commands, RecentFrame, Sender, StatusHead, User } from '@parley/shared/protocol' */

import { randomUUID } from 'node:crypto';
import { ChatWorld, fault } from './world.mjs';

/** @type {Capabilities} */
const capabilities = {
  text: true,
  files: true,
  receipts: true,
  outbound_first: true,
  address_kind: 'phone',
  counter: 'gsm7',
  max_length: 1600,
  offer_title: 'SMS',
  icon: 'device-mobile',
  medium: 'chat',
};

export class World extends ChatWorld {
  /**
   * Numbers that an agent may text from.
   * @param {User} user
   * @returns {Sender[]}
   */
  senders(user) {
    if (!user.privileges?.includes('sms')) throw fault('denied');
    return this.lines
      .filter((l) => !l.owner || l.owner === user.id)
      .map((l) => ({
        service: l.service ? { id: l.service.id, name: l.service.name } : null,
        account: { id: l.id, name: l.name },
        channel: 'sms',
        icon: 'device-mobile',
        address_kind: 'phone',
        counter: 'gsm7',
        max_length: 1600,
        files: true,
      }));
  }

  exchange(line, address, kind) {
    /** @type {Chat} */
    const c = {
      id: randomUUID(),
      channel: 'sms',
      title: 'SMS',
      icon: 'device-mobile',
      capabilities: { ...capabilities, ...this.smsCapabilities },
      account: { id: line.id, name: line.name },
      service: line.service ?? null,
      address,
      name: '',
      phase: 'open',
      events: [],
      startedAt: new Date().toISOString(),
      endedAt: null,
      joined: new Map(),
      had: new Set(),
      requests: [],
      present: undefined,
      parked: null,
      optedOut: false,
    };
    this.conversations.set(c.id, c);
    this.append(
      c,
      'conversation.started/1',
      { id: c.id, kind, channel: 'sms', endpoint: { account: line.id, thread: address }, capabilities: c.capabilities },
      { address, thread: address },
    );
    if (c.service) this.append(c, 'service.assigned/1', { service: c.service.id, rules: {} }, { name: c.service.name });
    return c;
  }

  openExchange(line, address) {
    return [...this.conversations.values()].find(
      (c) => c.phase === 'open' && c.account?.id === line.id && c.address === address,
    );
  }

  /** A customer texts a service's number: offered like a chat (N8). */
  smsStarts({ from = '+4930901820', text = 'Hello', queuedFor = 0 } = {}) {
    const c = this.exchange(this.lines[0], from, 'inbound');
    this.customerSays(c.id, { text });
    this.request(c, {
      target: { kind: 'service', service: c.service?.id },
      cause: 'start',
      since: new Date(Date.now() - queuedFor).toISOString(),
    });
    this.dispatch();
    return c;
  }

  /** A customer texts an agent's own number: no offer, straight to that agent's Recent (O1). */
  directText({ login = 'ben', from = '+4930901820', text = 'Hello' } = {}) {
    const owner = this.users.find((u) => u.login === login);
    if (!owner) throw fault('not_found');
    const line = this.lines.find((l) => l.owner === owner.id);
    let c = this.openExchange(line, from);
    if (!c) {
      c = this.exchange(line, from, 'inbound');
      this.setParked(c, owner.id, 'start');
    }
    this.customerSays(c.id, { text });
    this.waits(c, owner.id);
    return c;
  }

  /**
   * The customer replies: to the agents who have joined, or into the owner's Recent when the
   * exchange is parked (N16).
   */
  replies(cid, text) {
    const c = this.conversation(cid);
    this.customerSays(cid, { text });
    if (!c.parked) return;
    const owner = c.parked;
    c.parked = null;
    this.append(c, 'conversation.unparked/1', { owner, cause: 'reply' });
    this.request(c, { target: { kind: 'agent', agent: owner }, cause: 'reply' });
    if (this.agent(owner).ready) this.dispatch();
    else this.waits(c, owner);
  }

  waits(c, owner) {
    const a = this.agent(owner);
    a.recent.set(c.id, { unread: (a.recent.get(c.id)?.unread ?? 0) + 1, at: new Date().toISOString() });
    this.tell({ kind: 'recent', agent: a });
  }

  /**
   * @param {Agent} a
   * @returns {RecentFrame}
   */
  recentView(a) {
    const items = [...a.recent].map(([conversation, r]) => ({ conversation, ...r }));
    return { unread: items.reduce((n, i) => n + i.unread, 0), items };
  }

  recentSeen(a) {
    a.recent.clear();
    this.tell({ kind: 'recent', agent: a });
  }

  setParked(c, owner, cause) {
    c.parked = owner;
    c.had.add(owner);
    this.append(c, 'conversation.parked/1', { owner, cause });
  }

  /** Parks an exchange, as if it had been idle for the service's time (N16). */
  park(cid) {
    const c = this.conversation(cid);
    const [owner = ''] = [...c.joined].find(([, p]) => p.state === 'joined') ?? [];
    const a = this.agent(owner);
    this.append(c, 'participant.left/1', { who: { kind: 'agent', agent: owner }, cause: 'idle' });
    this.setParked(c, owner, 'idle');
    this.part(c, a);
  }

  enter(c, a) {
    c.parked = null;
    const e = this.append(
      c,
      'participant.joined/1',
      { who: { kind: 'agent', agent: a.user.id } },
      { name: a.user.name },
    );
    c.joined.set(a.user.id, { state: 'joined' });
    a.recent.delete(c.id);
    this.tell({ kind: 'recent', agent: a });
    this.tell({ kind: 'joined', conversation: c, agent: a });
    this.changed(a);
    return e.seq;
  }

  /**
   * @param {Agent} a
   * @param {Commands['text']} command
   */
  text(a, { service, account, to, client_id }) {
    const line = this.lines.find((l) => (account ? l.id === account : l.service?.id === service));
    if (!line) throw fault('no_sender');
    if (!a.user.privileges?.includes('sms')) throw fault('denied');
    if (!/^\+[1-9]\d{6,14}$/.test(to) || to.startsWith('+49999')) throw fault('invalid_address');
    if (this.optedOut.has(to)) throw fault('opted_out');
    const open = this.openExchange(line, to);
    if (open) {
      if (client_id && open.begunBy === client_id) return { conversation: open.id, seq: 2 };
      const inside = [...open.joined].find(([, p]) => p.state === 'joined')?.[0] ?? open.parked;
      const user = inside ? this.agent(inside).user : null;
      throw Object.assign(fault('thread_open'), {
        wire: {
          conversation: open.id,
          owner: user ? { id: user.id, name: user.name } : null,
          joinable: this.joinable && !open.joined.has(a.user.id),
        },
      });
    }
    const c = this.exchange(line, to, 'outbound');
    c.begunBy = client_id;
    return { conversation: c.id, seq: this.enter(c, a) };
  }

  /**
   * @param {Agent} a
   * @param {Commands['join']} command
   */
  join(a, { conversation }) {
    const c = this.conversation(conversation);
    if (c.phase !== 'open') throw fault('ended');
    if (c.joined.get(a.user.id)?.state === 'joined') throw fault('already_joined');
    if (c.parked) this.append(c, 'conversation.unparked/1', { owner: c.parked, cause: 'agent' });
    for (const r of [...c.requests]) this.cancelRequest(c, r, 'withdrawn');
    return { seq: this.enter(c, a) };
  }

  /**
   * @param {Agent} a
   * @param {Commands['settle']} command
   */
  settle(a, { conversation, message, outcome }) {
    const c = this.mine(a, conversation);
    const e = this.append(c, 'message.settled/1', { message, outcome, by: a.user.id });
    if (outcome !== 'resend') this.append(c, 'message.status/1', { message, status: outcome, kind: 'manual' });
    return { seq: e.seq };
  }

  /**
   * The carrier reports the status of an agent's message: of the latest one unless `message` names
   * another.
   * @param {string} cid
   * @param {StatusHead['status']} status
   * @param {Partial<StatusHead> & { text?: string }} more
   */
  status(cid, status, { kind, code, text, message } = {}) {
    const c = this.conversation(cid);
    const written = c.events.flatMap((e) =>
      e.type === 'message/1' && e.head.author.kind === 'agent' ? e.head.id : [],
    );
    this.append(
      c,
      'message.status/1',
      { message: message ?? written.at(-1) ?? '', status, ...(kind ? { kind } : {}), ...(code ? { code } : {}) },
      text ? { text } : undefined,
    );
  }

  consent(cid, out, keyword) {
    const c = this.conversation(cid);
    c.optedOut = out;
    this.append(c, 'consent.changed/1', { out }, { keyword });
  }

  /** The provider says until when the customer may be written to freely; null: not any more. */
  window(cid, until) {
    const c = this.conversation(cid);
    c.window = until;
    this.append(c, 'window.changed/1', until ? { expires: until.toISOString() } : {});
  }
}
