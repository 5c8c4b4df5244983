// A small contact centre in memory: agents, a queue, conversations as logs of events, with the
// rules of SPEC.md that a desktop can see (A1-A16, R1-R4, Q1-Q2, T1-T6). It tells its sockets what
// has changed and knows nothing of HTTP.

/** @import { AccountRef, AgentState, AgentStatus, Author, Board, Bodies, Capabilities, Commands, Contact, ConversationInfo, FileRef, Heads, Offer, Part, ServiceInfo, StoredEvent, Target, User } from '@parley/shared/protocol' */

import { randomUUID } from 'node:crypto';

const capabilities = {
  text: true,
  files: true,
  typing: true,
  read: true,
  receipts: true,
  links: true,
  page: true,
  offer_title: 'Web Chat',
  icon: 'chat',
  connected: true,
};

const chatFeatures = ['files', 'flag', 'links', 'page', 'read', 'typing'];
const textFeatures = ['counter', 'files', 'flag', 'links'];

/** @type {Set<string>} */
const agentOnly = new Set([
  'service.assigned/1',
  'endpoint.added/1',
  'customer.updated/1',
  'page.visited/1',
  'message.status/1',
  'routing.requested/1',
  'routing.offered/1',
  'routing.declined/1',
  'routing.cancelled/1',
  'routing.accepted/1',
  'wrapup.started/1',
  'wrapup.ended/1',
  'flag.set/1',
  'flag.cleared/1',
  'conversation.concluded/1',
]);

/**
 * @typedef {Omit<ServiceInfo, 'features'> & { features?: string[] }} Service
 * @typedef {{ state: 'joined' | 'wrapup', until?: string, timer?: NodeJS.Timeout }} Place
 *
 * @typedef {object} Agent
 * @property {number} seq
 * @property {User} user
 * @property {boolean} ready
 * @property {string} reason
 * @property {string} [shownReason]
 * @property {string} pending
 * @property {string} since
 * @property {boolean} loggedIn
 * @property {AgentStatus} status
 * @property {Map<string, { unread: number, at: string }>} recent
 * @property {Presented | null} offer
 *
 * @typedef {object} Request
 * @property {string} id
 * @property {Target} target
 * @property {string} cause
 * @property {string} since
 * @property {string} invitedBy
 * @property {boolean} transfer
 * @property {'queued' | 'offered'} state
 * @property {Set<string>} declinedBy
 * @property {Presented | null} offer
 *
 * @typedef {object} Presented
 * @property {string} id
 * @property {Chat} c
 * @property {Request} r
 * @property {Agent} a
 * @property {string} at
 * @property {string} expires
 * @property {number} queued
 * @property {NodeJS.Timeout} [timer]
 *
 * @typedef {object} Chat
 * @property {string} id
 * @property {string} channel
 * @property {string} title
 * @property {string} icon
 * @property {Capabilities} capabilities
 * @property {AccountRef} account
 * @property {Service | null} service
 * @property {string} [address]
 * @property {string} name
 * @property {'open' | 'ended' | 'concluded'} phase
 * @property {StoredEvent[]} events
 * @property {string} startedAt
 * @property {string | null} endedAt
 * @property {Map<string, Place>} joined
 * @property {Set<string>} had
 * @property {Request[]} requests
 * @property {boolean} [flagged]
 * @property {boolean} [present]
 * @property {string | null} [parked]
 * @property {boolean} [optedOut]
 * @property {Date | null} [window] until when the provider lets free texts pass; null: not at all
 * @property {string} [begunBy]
 */

export class ChatWorld {
  constructor({ offerTimeout = 30_000, wrapup = 120_000, capacity = 4 } = {}) {
    this.offerTimeout = offerTimeout;
    this.capacity = capacity;
    /** @type {Service[]} */
    this.services = [
      {
        id: id(),
        name: 'Customer Service',
        wrapup,
        disposition_needed: true,
        dispositions: [
          { code: 'solved', name: 'Solved' },
          { code: 'callback', name: 'Call back' },
          { code: 'spam', name: 'Spam' },
        ],
      },
      { id: id(), name: 'Sales', wrapup: 0, disposition_needed: false, dispositions: [] },
      { id: id(), name: 'Text Line', wrapup: 0, disposition_needed: false, dispositions: [], features: textFeatures },
    ];
    /** @type {User[]} */
    this.users = [
      { id: id(), login: 'ana', name: 'Ana Petrova', role: 'agent', privileges: ['sms'] },
      { id: id(), login: 'ben', name: 'Ben Okafor', role: 'agent', privileges: ['sms'] },
      { id: id(), login: 'sue', name: 'Sue Martin', role: 'supervisor', privileges: [] },
    ];
    /** @type {Map<string, Agent>} */
    this.agents = new Map(
      this.users.map((u) => [
        u.id,
        {
          seq: 1,
          user: u,
          ready: false,
          reason: 'login',
          pending: '',
          since: now(),
          loggedIn: false,
          status: 'logged_out',
          recent: new Map(),
          offer: null,
        },
      ]),
    );
    /** @type {Contact[]} */
    this.contacts = [
      {
        id: id(),
        name: 'Santos, Maria',
        company: 'Santos Ceramics',
        addresses: ['maria@example.org', '+4930901820'],
        attributes: { Tier: 'Gold' },
      },
    ];
    // The numbers: the text service's, and Ben's own.
    /** @type {{ id: string, name: string, service?: Service, owner?: string }[]} */
    this.lines = [
      { id: id(), name: '+44 20 7946 0018', service: this.services[2] },
      { id: id(), name: '+44 20 7946 0019', owner: this.users.find((u) => u.login === 'ben')?.id },
    ];
    this.optedOut = new Set();
    this.joinable = true;
    this.smsCapabilities = {};
    /** @type {Map<string, Chat>} */
    this.conversations = new Map();
    /** @type {Map<string, { file: FileRef, content: Buffer }>} */
    this.files = new Map();
    /** @type {Set<(change: any) => void>} */
    this.listeners = new Set();
    this.timers = new Set();
  }

  stop() {
    for (const t of this.timers) clearTimeout(t);
  }

  tell(change) {
    for (const listener of this.listeners) listener(change);
  }

  later(ms, act) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      act();
    }, ms);
    this.timers.add(timer);
    return timer;
  }

  // --- the log

  /**
   * @template {keyof Heads} T
   * @param {Chat} c
   * @param {T} type
   * @param {Heads[T]} head
   * @param {T extends keyof Bodies ? Bodies[T] : undefined} [body]
   */
  append(c, type, head, body) {
    const event = { seq: c.events.length + 1, prev: c.events.length, at: now(), type, head, ...(body ? { body } : {}) };
    c.events.push(/** @type {any} */ (event));
    this.tell({ kind: 'event', conversation: c, event });
    return event;
  }

  /**
   * @param {string} idOf
   * @returns {Chat}
   */
  conversation(idOf) {
    const c = this.conversations.get(idOf);
    if (!c) throw fault('not_found');
    return c;
  }

  /**
   * @param {string} idOf
   * @returns {Agent}
   */
  agent(idOf) {
    const a = this.agents.get(idOf);
    if (!a) throw fault('not_found');
    return a;
  }

  // --- the customer

  /** @param {{ [name: string]: any }} options */
  customerStarts({
    name = '',
    email,
    phone,
    text = 'Hello',
    service = 'Customer Service',
    page,
    queuedFor = 0,
    subject,
    attributes,
    locale = 'en',
  } = {}) {
    const s = this.services.find((x) => x.name === service) ?? this.services[0] ?? null;
    /** @type {Chat} */
    const c = {
      id: id(),
      channel: 'webchat',
      title: 'Web Chat',
      icon: 'chat',
      capabilities,
      account: { id: 'a', name: 'Demo shop' },
      service: s,
      name,
      phase: 'open',
      events: [],
      startedAt: now(),
      endedAt: null,
      joined: new Map(),
      had: new Set(),
      requests: [],
      flagged: false,
      present: true,
    };
    this.conversations.set(c.id, c);
    this.append(
      c,
      'conversation.started/1',
      { id: c.id, kind: 'inbound', channel: 'webchat', endpoint: { account: 'x', thread: 'y' }, capabilities },
      { address: `web:${c.id.slice(0, 12)}`, thread: 'y', name, email, phone, locale, subject, attributes, page },
    );
    if (s) this.append(c, 'service.assigned/1', { service: s.id, rules: {} }, { name: s.name });
    if (text) this.customerSays(c.id, { text });
    this.request(c, {
      target: { kind: 'service', service: s?.id },
      cause: 'start',
      since: new Date(Date.now() - queuedFor).toISOString(),
    });
    this.dispatch();
    return c;
  }

  /**
   * @param {string} cid
   * @param {{ text?: string, file?: FileRef, bot?: boolean }} said
   */
  customerSays(cid, { text, file, bot = false } = {}) {
    const c = this.conversation(cid);
    /** @type {Part[]} */
    const parts = [];
    if (text) parts.push({ kind: 'text', text });
    if (file) parts.push({ kind: 'file', file });
    /** @type {Author} */
    const author = bot ? { kind: 'bot' } : { kind: 'customer' };
    return this.append(
      c,
      'message/1',
      { id: id(), author, kinds: parts.map((p) => p.kind) },
      { parts, name: bot ? 'Guide' : c.name },
    );
  }

  /**
   * @param {string} cid
   * @param {{ delivered?: number, read?: number }} marks
   */
  customerReads(cid, { delivered, read } = {}) {
    const c = this.conversation(cid);
    this.append(c, 'receipt/1', { by: { kind: 'customer' }, delivered: delivered ?? c.events.length, read: read ?? 0 });
  }

  customerTypes(cid, on) {
    this.tell({ kind: 'typing', conversation: this.conversation(cid), on, who: { kind: 'customer' }, name: '' });
  }

  customerPresent(cid, on) {
    const c = this.conversation(cid);
    c.present = on;
    this.tell({ kind: 'presence', conversation: c, on });
  }

  customerVisits(cid, page) {
    this.append(this.conversation(cid), 'page.visited/1', {}, page);
  }

  warn(cid, ms) {
    this.append(
      this.conversation(cid),
      'inactivity.warned/1',
      { ends_at: new Date(Date.now() + ms).toISOString() },
      { text: 'Are you still there? This chat ends soon if you do not respond.' },
    );
  }

  customerEnds(cid, cause = 'customer') {
    const c = this.conversation(cid);
    if (c.phase === 'open')
      this.endConversation(c, cause === 'inactivity' ? { kind: 'system' } : { kind: 'customer' }, cause);
  }

  // --- routing

  /**
   * @param {Chat} c
   * @param {Pick<Request, 'target' | 'cause'> & Partial<Request>} wish
   * @returns {Request}
   */
  request(c, { target, cause, since, invitedBy = '', transfer = false }) {
    /** @type {Request} */
    const r = {
      id: id(),
      target,
      cause,
      since: since ?? now(),
      invitedBy,
      transfer,
      state: 'queued',
      declinedBy: new Set(),
      offer: null,
    };
    c.requests.push(r);
    this.append(c, 'routing.requested/1', {
      request: r.id,
      target,
      cause,
      ...(invitedBy ? { invited_by: invitedBy } : {}),
      waiting_since: r.since,
    });
    return r;
  }

  dispatch() {
    const waiting = [...this.conversations.values()]
      .filter((c) => c.phase === 'open')
      .flatMap((c) => c.requests.filter((r) => r.state === 'queued').map((r) => ({ c, r })))
      .sort((a, b) => (a.r.since < b.r.since ? -1 : 1));
    for (const { c, r } of waiting) {
      const a = this.agentFor(c, r);
      if (a) this.offer(c, r, a);
    }
  }

  agentFor(c, r) {
    const outside = (a) => a.loggedIn && !a.offer && !c.joined.has(a.user.id);
    if (r.target.kind === 'agent') {
      const a = this.agents.get(r.target.agent);
      return a && outside(a) ? a : undefined;
    }
    const able = [...this.agents.values()].filter(
      (a) => outside(a) && a.ready && !a.pending && this.load(a) < this.capacity,
    );
    return (
      able.find((a) => !r.declinedBy.has(a.user.id)) ??
      (able.length > 0 && r.declinedBy.size >= this.loggedIn() ? able[0] : undefined)
    );
  }

  loggedIn() {
    return [...this.agents.values()].filter((a) => a.loggedIn).length;
  }

  load(a) {
    return [...this.conversations.values()].filter((c) => c.joined.has(a.user.id)).length;
  }

  /**
   * @param {Chat} c
   * @param {Request} r
   * @param {Agent} a
   */
  offer(c, r, a) {
    const ms = this.offerTimeout;
    /** @type {Presented} */
    const offer = {
      id: id(),
      c,
      r,
      a,
      at: now(),
      expires: new Date(Date.now() + ms).toISOString(),
      queued: r.invitedBy ? 0 : Math.max(0, Date.now() - Date.parse(r.since)),
    };
    // A request that found an agent at once counts as not having waited.
    if (offer.queued < 1000) offer.queued = 0;
    r.state = 'offered';
    r.offer = offer;
    a.offer = offer;
    this.append(c, 'routing.offered/1', {
      request: r.id,
      offer: offer.id,
      agent: a.user.id,
      expires_at: offer.expires,
      invite: Boolean(r.invitedBy),
    });
    this.tell({ kind: 'offer', offer });
    this.changed(a);
    offer.timer = this.later(ms, () => this.decline(offer, 'expired'));
  }

  offerOf(a, idOf) {
    if (a.offer?.id !== idOf) throw fault('offer_gone');
    return a.offer;
  }

  withdraw(offer, cause) {
    clearTimeout(offer.timer);
    offer.a.offer = null;
    offer.r.offer = null;
    offer.r.state = 'queued';
    this.tell({ kind: 'offer_end', offer, cause });
    this.changed(offer.a);
  }

  decline(offer, cause) {
    const { c, r, a } = offer;
    this.withdraw(offer, cause);
    r.declinedBy.add(a.user.id);
    this.append(c, 'routing.declined/1', { request: r.id, offer: offer.id, agent: a.user.id, cause });
    if (r.invitedBy) {
      if (r.target.kind === 'agent') c.requests = c.requests.filter((x) => x !== r);
    } else if (this.load(a) > 0) {
      a.pending ||= cause;
      this.changed(a);
    } else {
      this.setNotReady(a, cause);
    }
    this.dispatch();
  }

  accept(a, idOf) {
    const offer = this.offerOf(a, idOf);
    const { c, r } = offer;
    this.withdraw(offer, 'accepted');
    c.requests = c.requests.filter((x) => x !== r);
    this.append(c, 'routing.accepted/1', { agent: a.user.id, request: r.id, offer: offer.id });
    const e = this.append(
      c,
      'participant.joined/1',
      { who: { kind: 'agent', agent: a.user.id } },
      { name: a.user.name },
    );
    c.joined.set(a.user.id, { state: 'joined' });
    this.tell({ kind: 'joined', conversation: c, agent: a });
    this.changed(a);
    if (r.transfer) {
      if (c.joined.get(r.invitedBy)?.state === 'joined') this.leave(this.agent(r.invitedBy), c.id, true);
    }
    return { conversation: c.id, seq: e.seq };
  }

  // --- the agent

  connected(a) {
    if (a.loggedIn) return;
    a.loggedIn = true;
    a.ready = false;
    a.reason = 'login';
    this.changed(a);
  }

  setReady(a) {
    a.pending = '';
    if (!a.ready) {
      a.ready = true;
      a.reason = '';
    }
    this.changed(a);
    this.dispatch();
  }

  askNotReady(a, reason) {
    if (this.load(a) > 0) {
      a.pending = reason;
      this.changed(a);
      return;
    }
    this.setNotReady(a, reason);
  }

  setNotReady(a, reason) {
    a.ready = false;
    a.reason = reason;
    a.pending = '';
    this.changed(a);
  }

  logout(a) {
    if (a.offer) this.decline(a.offer, 'logout');
    for (const c of this.conversations.values()) {
      if (c.joined.get(a.user.id)?.state === 'joined') this.leave(a, c.id, true, 'logout');
      if (c.joined.has(a.user.id)) this.part(c, a);
    }
    a.loggedIn = false;
    this.changed(a);
  }

  /**
   * @param {Agent} a
   * @param {Commands['send']} command
   */
  send(a, { conversation, client_id, parts, reply_to }) {
    const c = this.mine(a, conversation);
    if (c.optedOut) throw fault('opted_out');
    const windowOver = c.window === null || (c.window && c.window <= new Date());
    if (windowOver && !parts?.every((p) => p.template)) throw fault('reply_window');
    for (const e of c.events) {
      if (e.type === 'message/1' && e.head.client_id === client_id) return { message: e.head.id, seq: e.seq };
    }
    const e = this.append(
      c,
      'message/1',
      {
        id: id(),
        author: { kind: 'agent', agent: a.user.id },
        client_id,
        kinds: (parts ?? []).map((p) => p.kind),
        ...(reply_to ? { reply_to } : {}),
      },
      { parts, name: a.user.name },
    );
    return { message: e.head.id, seq: e.seq };
  }

  mine(a, cid) {
    const c = this.conversation(cid);
    if (c.phase !== 'open') throw fault('ended');
    if (c.joined.get(a.user.id)?.state !== 'joined') throw fault('not_joined');
    return c;
  }

  /**
   * @param {Agent} a
   * @param {Commands['mark']} command
   */
  mark(a, { conversation, delivered = 0, read = 0 }) {
    const c = this.mine(a, conversation);
    this.append(c, 'receipt/1', { by: { kind: 'agent', agent: a.user.id }, delivered, read });
  }

  /**
   * @param {Agent} a
   * @param {Commands['flag']} command
   */
  flag(a, { conversation, on }) {
    const c = this.mine(a, conversation);
    this.append(c, on ? 'flag.set/1' : 'flag.cleared/1', { by: a.user.id });
  }

  /**
   * @param {Agent} a
   * @param {Commands['link_contact']} command
   */
  linkContact(a, { conversation, contact }) {
    const c = this.mine(a, conversation);
    this.append(c, 'contact.linked/1', { contact, by: { kind: 'agent', agent: a.user.id } });
  }

  /**
   * @param {Agent} a
   * @param {Commands['invite']} command
   */
  invite(a, { conversation, target, transfer = false }) {
    const c = this.mine(a, conversation);
    if (target.kind === 'agent') {
      const b = this.agents.get(target.agent ?? '');
      if (!b?.loggedIn) throw fault('not_here');
      if (c.joined.has(b.user.id)) throw fault('already_joined');
    }
    const r = this.request(c, { target, cause: transfer ? 'transfer' : 'invite', invitedBy: a.user.id, transfer });
    this.dispatch();
    return { request: r.id };
  }

  /**
   * @param {Agent} a
   * @param {Commands['cancel_invite']} command
   */
  cancelInvite(a, { conversation, request }) {
    const c = this.mine(a, conversation);
    const r = c.requests.find((x) => x.id === request);
    if (!r) throw fault('no_such_request');
    this.cancelRequest(c, r, 'cancelled');
  }

  cancelRequest(c, r, cause) {
    const offer = r.offer;
    if (offer) this.withdraw(offer, cause);
    c.requests = c.requests.filter((x) => x !== r);
    this.append(c, 'routing.cancelled/1', {
      request: r.id,
      cause,
      ...(offer ? { offer: offer.id, agent: offer.a.user.id } : {}),
    });
  }

  /**
   * @param {Agent} a
   * @param {Commands['end']} command
   */
  end(a, { conversation, queue = false }) {
    const c = this.mine(a, conversation);
    const others = [...c.joined.values()].filter((p) => p.state === 'joined').length > 1;
    const pending = c.requests.some((r) => r.invitedBy);
    if (others || queue) this.leave(a, c.id, true);
    else if (pending) throw fault('invite_pending');
    else this.endConversation(c, { kind: 'agent', agent: a.user.id }, 'agent');
  }

  leave(a, cid, keepOpen, cause = 'agent') {
    const c = this.conversation(cid);
    this.append(c, 'participant.left/1', { who: { kind: 'agent', agent: a.user.id }, cause });
    const alone = ![...c.joined].some(([u, p]) => u !== a.user.id && p.state === 'joined');
    if (alone && keepOpen && c.requests.length === 0) {
      this.request(c, { target: { kind: 'service', service: c.service?.id }, cause: 'requeue', since: c.startedAt });
    }
    this.startWrapup(c, a);
    this.dispatch();
  }

  endConversation(c, by, cause) {
    for (const r of [...c.requests]) {
      const offer = r.offer;
      if (offer) this.withdraw(offer, 'customer_left');
    }
    c.requests = [];
    c.phase = 'ended';
    c.endedAt = now();
    this.append(c, 'conversation.ended/1', { by, cause });
    for (const [u, p] of [...c.joined]) if (p.state === 'joined') this.startWrapup(c, this.agent(u));
    if (c.joined.size === 0) this.append(c, 'conversation.concluded/1', {});
    this.dispatch();
  }

  /**
   * @param {Chat} c
   * @param {Agent} a
   */
  startWrapup(c, a) {
    if (!c.service?.wrapup) {
      this.part(c, a);
      return;
    }
    const until = new Date(Date.now() + c.service.wrapup).toISOString();
    /** @type {Place} */
    const p = { state: 'wrapup', until };
    c.joined.set(a.user.id, p);
    this.append(c, 'wrapup.started/1', { agent: a.user.id, until });
    p.timer = this.later(c.service.wrapup, () => this.endWrapup(c, a, {}, 'expired'));
    this.changed(a);
  }

  /**
   * @param {Agent} a
   * @param {Commands['wrapup']} command
   */
  wrapup(a, { conversation, disposition = '', notes = '' }) {
    const c = this.conversation(conversation);
    if (c.joined.get(a.user.id)?.state !== 'wrapup') throw fault('no_wrapup');
    if (c.service?.disposition_needed && !disposition) throw fault('disposition_needed');
    this.endWrapup(c, a, { disposition, notes }, 'finished');
  }

  /**
   * @param {Chat} c
   * @param {Agent} a
   * @param {{ disposition?: string, notes?: string }} outcome
   * @param {string} cause
   */
  endWrapup(c, a, { disposition, notes }, cause) {
    const p = c.joined.get(a.user.id);
    if (p?.state !== 'wrapup') return;
    clearTimeout(p.timer);
    this.append(
      c,
      'wrapup.ended/1',
      { agent: a.user.id, ...(disposition ? { disposition } : {}), cause },
      notes ? { notes } : undefined,
    );
    this.part(c, a);
  }

  part(c, a) {
    c.joined.delete(a.user.id);
    c.had.add(a.user.id);
    this.tell({ kind: 'parted', conversation: c, agent: a });
    if (c.phase === 'ended' && c.joined.size === 0) {
      c.phase = 'concluded';
      this.append(c, 'conversation.concluded/1', {});
    }
    if (this.load(a) === 0 && a.pending) this.setNotReady(a, a.pending);
    else this.changed(a);
    this.dispatch();
  }

  /** Derives the agent's status (DESIGN.md 4) and tells the agent's sockets. */
  changed(a) {
    const work = [...this.conversations.values()].map((c) => c.joined.get(a.user.id)?.state).filter(Boolean);
    const status = !a.loggedIn
      ? 'logged_out'
      : work.includes('joined') || (a.offer && !a.offer.r.invitedBy)
        ? 'busy'
        : work.includes('wrapup')
          ? 'acw'
          : a.ready
            ? 'ready'
            : 'not_ready';
    if (status !== a.status || a.reason !== a.shownReason) a.since = now();
    a.status = status;
    a.shownReason = a.reason;
    a.seq++;
    this.tell({ kind: 'agent', agent: a });
  }

  // --- what sockets and requests show

  /**
   * @param {Agent} a
   * @returns {AgentState}
   */
  agentView(a) {
    return {
      seq: a.seq,
      status: a.status,
      reason: a.status === 'not_ready' ? a.reason : '',
      pending: a.pending,
      since: a.since,
      ready_after_work: !a.pending,
      offers: a.offer ? [a.offer.id] : [],
      conversations: this.workOf(a).map(({ c, p }) => ({
        conversation: c.id,
        state: p.state,
        ...(p.until ? { wrapup_until: p.until } : {}),
      })),
    };
  }

  /** @param {Agent} a */
  workOf(a) {
    return [...this.conversations.values()].flatMap((c) => {
      const p = c.joined.get(a.user.id);
      return p ? [{ c, p }] : [];
    });
  }

  /**
   * @param {Presented} o
   * @returns {Offer}
   */
  offerView(o) {
    return {
      offer: o.id,
      conversation: o.c.id,
      request: o.r.id,
      title: o.c.title,
      icon: o.c.icon,
      channel: o.c.channel,
      service: serviceRef(o.c),
      customer: { name: o.c.name },
      ...(o.c.address ? { address: o.c.address } : {}),
      queued_ms: o.queued,
      waiting_since: o.r.since,
      offered_at: o.at,
      expires_at: o.expires,
      invited_by: o.r.invitedBy ? { id: o.r.invitedBy, name: this.agent(o.r.invitedBy).user.name } : null,
    };
  }

  /**
   * @param {Chat} c
   * @returns {ConversationInfo}
   */
  infoView(c) {
    const { channel, icon, title, capabilities: caps, account } = c;
    if (!c.service) return { channel, icon, title, capabilities: caps, account };
    const { id: sid, name, dispositions, disposition_needed, wrapup, features = chatFeatures } = c.service;
    return {
      channel,
      icon,
      title,
      service: { id: sid, name, dispositions, disposition_needed, wrapup, features },
      capabilities: caps,
      account,
    };
  }

  /** @returns {Board} */
  boardView() {
    const open = [...this.conversations.values()].filter((c) => c.phase === 'open');
    return {
      at: now(),
      agents: [...this.agents.values()].map((a) => ({
        id: a.user.id,
        name: a.user.name,
        status: a.status,
        reason: a.reason,
        pending: Boolean(a.pending),
        since: a.since,
        active: this.workOf(a).filter(({ p }) => p.state === 'joined').length,
        offers: a.offer ? 1 : 0,
        wrapup: this.workOf(a).filter(({ p }) => p.state === 'wrapup').length,
        load: this.load(a) * 25,
      })),
      queues: this.services.map((s) => {
        const of = open.filter((c) => c.service === s);
        const waiting = of.filter((c) => c.requests.some((r) => r.state === 'queued' && r.target.kind !== 'agent'));
        const since = waiting.flatMap((c) => c.requests.find((r) => r.state === 'queued')?.since ?? []).sort();
        const logged = [...this.agents.values()].filter((a) => a.loggedIn);
        return {
          service: s.id,
          name: s.name,
          waiting: waiting.length,
          oldest_since: since[0] ?? null,
          offered: of.filter((c) => c.requests.some((r) => r.state === 'offered')).length,
          active: of.filter((c) => c.joined.size > 0).length,
          agents_ready: logged.filter((a) => a.status === 'ready').length,
          agents_served: logged.length,
        };
      }),
    };
  }

  visible(event, user) {
    return user.role !== 'customer' || !agentOnly.has(event.type);
  }
}

/** @param {Chat} c */
export function serviceRef({ service }) {
  return service ? { id: service.id, name: service.name } : null;
}

export function fault(code) {
  return Object.assign(new Error(code), { code });
}

function id() {
  return randomUUID();
}

function now() {
  return new Date().toISOString();
}
