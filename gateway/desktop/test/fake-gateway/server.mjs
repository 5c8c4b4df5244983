// HTTP and WebSocket for the fake contact centre: /api/v1 as the gateway serves it, the built
// desktop with the gateway's headers, and /__fake/<call> for tests to act as customers and to break
// things.

/**
 * @import { IncomingMessage, ServerResponse } from 'node:http'
 * @import { AckFrame, ClientFrame, Commands, FileRef, Problem, Routes, ServerFrame, Summary, User } from '@parley/shared/protocol'
 * @import { Agent, Chat } from './world.mjs'
 */

import { randomUUID } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { WebSocketServer } from 'ws';
import { World } from './texts.mjs';
import { fault, serviceRef } from './world.mjs';

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.png': 'image/png',
};
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');
/** @type {Record<string, number>} */
const statuses = { not_found: 404, denied: 403 };
const password = 'parley-demo';

/** @typedef {{ port?: number, root: string, offerTimeout?: number, wrapup?: number, capacity?: number }} Options */

/** @param {Options} options */
export async function startFake({ port = 0, root, ...rules }) {
  const world = new World(rules);
  /** @type {Map<string | undefined, User>} */
  const sessions = new Map();
  /** @type {any} */
  const fake = { world, sessions, refuse: false, mute: false, breakAt: '', sockets: new Set(), received: [] };

  const http = createServer((req, res) => {
    handle(fake, root, req, res).catch((err) => {
      if (!res.headersSent) refuse(res, statuses[err.code] ?? 409, err.code, err.message);
    });
  });
  const wss = new WebSocketServer({ noServer: true, maxPayload: 64 << 10 });
  http.on('upgrade', (req, socket, head) => {
    const user = userOf(fake, req);
    if (fake.refuse || !user) {
      socket.end('HTTP/1.1 503 Unavailable\r\n\r\n');
      return;
    }
    wss.handleUpgrade(req, socket, head, (ws) => serve(fake, ws, user));
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', () => resolve(null)));
  const address = /** @type {import('node:net').AddressInfo} */ (http.address());
  fake.url = `http://127.0.0.1:${address.port}`;
  fake.close = async () => {
    world.stop();
    for (const s of fake.sockets) s.ws.terminate();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  /** Cuts off every socket as a killed gateway does; with `ms` nothing answers for that long. */
  fake.kill = (ms = 0) => {
    fake.refuse = ms > 0;
    for (const s of fake.sockets) s.ws.terminate();
    if (ms > 0)
      setTimeout(() => {
        fake.refuse = false;
      }, ms);
  };
  return fake;
}

async function handle(fake, root, req, res) {
  const url = new URL(req.url, fake.url);
  const path = url.pathname;
  if (path.startsWith('/__fake/')) return control(fake, path.slice(8), await json(req), res);
  if (fake.refuse) return req.socket.destroy();
  if (path.startsWith('/api/v1/')) return api(fake, req, res, path.slice(7), url);
  if (path.startsWith('/files/')) return serveFile(fake, path.slice(7), url, res);
  return serveDesktop(root, path, res);
}

async function control(fake, name, args, res) {
  const { world } = fake;
  /** @type {any} */
  let result = null;
  if (name === 'kill') fake.kill(args.ms ?? 0);
  else if (name === 'set') Object.assign(fake, args);
  else if (name === 'call') result = world[args.method](...(args.args ?? []));
  else throw fault('not_found');
  reply(res, 200, { result: result?.id ?? null });
}

/**
 * @param {any} fake
 * @param {IncomingMessage} req
 * @param {ServerResponse} res
 * @param {string} path
 * @param {URL} url
 */
async function api(fake, req, res, path, url) {
  /** @type {World} */
  const world = fake.world;
  const { sessions } = fake;
  if (req.method !== 'GET' && req.headers['parley-csrf'] !== '1') return refuse(res, 403, 'forged', 'forged');
  if (path === '/login') {
    const { login, password: given } = await json(req);
    const user = world.users.find((u) => u.login === login);
    if (fake.loginWait) {
      res.setHeader('Retry-After', String(fake.loginWait));
      return refuse(res, 429, 'rate_limited', 'too many requests, try again later');
    }
    if (!user || given !== password) return refuse(res, 401, 'credentials', 'wrong login or password');
    const token = randomUUID();
    sessions.set(token, user);
    res.setHeader('Set-Cookie', `parley=${token}; Path=/; HttpOnly; SameSite=Lax`);
    return answer('POST /login', res, { user, expires: new Date(Date.now() + 43_200_000).toISOString() });
  }
  const user = userOf(fake, req);
  if (!user) return refuse(res, 401, 'unauthenticated', 'log in first');
  const part = path.split('/').slice(1);
  if (path === '/logout') {
    sessions.delete(tokenOf(req));
    return reply(res, 204);
  }
  if (path === '/me') return answer('GET /me', res, user);
  if (part[0] === 'contacts') {
    if (part[1]) {
      const contact = world.contacts.find((c) => c.id === part[1]);
      if (!contact) throw fault('not_found');
      return answer('GET /contacts/{id}', res, contact);
    }
    const q = (url.searchParams.get('q') ?? '').toLowerCase();
    const items = world.contacts.filter((c) => JSON.stringify(c).toLowerCase().includes(q));
    return answer('GET /contacts', res, { items });
  }
  if (path === '/directory') {
    return answer('GET /directory', res, {
      agents: [...world.agents.values()].map((a) => ({ id: a.user.id, name: a.user.name, status: a.status })),
      services: world.services.map((s) => ({ id: s.id, name: s.name })),
    });
  }
  if (part[0] === 'files') {
    const suffix = url.searchParams.get('thumbnail') ? '?thumbnail=true' : '';
    return answer('GET /files/{id}/url', res, {
      url: `/files/${part[1]}${suffix}`,
      expires: new Date(Date.now() + 300_000).toISOString(),
    });
  }
  if (path === '/senders') {
    if (fake.noSenders) return refuse(res, 500, 'internal', 'broken');
    return answer('GET /senders', res, { senders: world.senders(user) });
  }
  if (path === '/conversations') {
    const phase = url.searchParams.get('phase');
    const conversations = recent(world, user).filter((c) => !phase || c.phase === phase);
    return answer('GET /conversations', res, { conversations });
  }
  if (part[0] === 'conversations') {
    const c = world.conversation(part[1] ?? '');
    if (part[2] === 'files')
      return answer('POST /conversations/{id}/files', res, { file: await receive(fake, req) }, 201);
    if (part[2] === 'events') {
      const after = Number(url.searchParams.get('after') ?? 0);
      const limit = Number(url.searchParams.get('limit') ?? 100);
      const events = c.events.filter((e) => e.seq > after).slice(0, limit);
      return answer('GET /conversations/{id}/events', res, { events });
    }
    return answer('GET /conversations/{id}', res, { ...summary(world, c), info: world.infoView(c) });
  }
  throw fault('not_found');
}

/**
 * @param {World} world
 * @param {User} user
 */
function recent(world, user) {
  return [...world.conversations.values()]
    .filter((c) => c.had.has(user.id) || c.joined.has(user.id) || c.parked === user.id)
    .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1))
    .map((c) => summary(world, c));
}

/**
 * @param {World} world
 * @param {Chat} c
 * @returns {Summary}
 */
function summary(world, c) {
  return {
    id: c.id,
    phase: c.phase,
    display: c.parked ? 'parked' : c.joined.size > 0 ? 'active' : c.phase === 'open' ? 'queued' : c.phase,
    channel: c.channel,
    icon: c.icon,
    title: c.title,
    service: serviceRef(c) ?? undefined,
    account: c.account,
    customer: { name: c.name },
    address: c.address,
    agents: [...c.joined.keys(), ...c.had].map((id) => ({ id, name: world.agent(id).user.name })),
    flagged: c.flagged ?? false,
    started_at: c.startedAt,
    ended_at: c.endedAt ?? undefined,
    seq: c.events.length,
  };
}

/** Reads the one file of a multipart form; it handles as much of RFC 7578 as browsers send. */
async function receive(fake, req) {
  const body = await buffer(req);
  const boundary = /boundary=(.+)$/.exec(req.headers['content-type'] ?? '')?.[1];
  const headEnd = body.indexOf('\r\n\r\n');
  const head = body.subarray(0, headEnd).toString();
  const content = body.subarray(headEnd + 4, body.lastIndexOf(`\r\n--${boundary}`));
  const name = /filename="([^"]*)"/.exec(head)?.[1] ?? 'file';
  const mime = /content-type: *([^\r\n]+)/i.exec(head)?.[1] ?? 'application/octet-stream';
  return addFile(fake.world, name, mime, content);
}

/**
 * @param {World} world
 * @param {string} name
 * @param {string} mime
 * @param {Buffer} content
 */
export function addFile(world, name, mime, content) {
  /** @type {FileRef} */
  const file = { blob: randomUUID(), name, mime, size: content.length, ...pngSize(mime, content) };
  world.files.set(file.blob, { file, content });
  return file;
}

function pngSize(mime, content) {
  if (mime !== 'image/png') return {};
  return { width: content.readUInt32BE(16), height: content.readUInt32BE(20) };
}

function serveFile(fake, blob, url, res) {
  const entry = fake.world.files.get(blob);
  if (!entry) return reply(res, 404, {});
  res.setHeader('Content-Type', entry.file.mime);
  if (!url.searchParams.get('thumbnail') && !entry.file.mime.startsWith('image/')) {
    res.setHeader('Content-Disposition', `attachment; filename*=UTF-8''${encodeURIComponent(entry.file.name)}`);
  }
  res.end(entry.content);
}

function serveDesktop(root, path, res) {
  let file = normalize(join(root, path));
  if (!file.startsWith(root) || !existsSync(file) || statSync(file).isDirectory()) file = join(root, 'index.html');
  res.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream');
  res.setHeader('Content-Security-Policy', policy);
  res.setHeader('Cache-Control', path.startsWith('/assets/') ? 'max-age=31536000, immutable' : 'no-cache');
  createReadStream(file).pipe(res);
}

// --- the socket

/**
 * @param {any} fake
 * @param {any} ws
 * @param {User} user
 */
function serve(fake, ws, user) {
  /** @type {World} */
  const world = fake.world;
  const agent = world.agent(user.id);
  const s = { ws, user, board: false, reading: new Map() };
  fake.sockets.add(s);
  /** @param {ServerFrame} frame */
  const out = (frame) => !fake.mute && ws.readyState === 1 && ws.send(JSON.stringify(frame));
  /**
   * @param {Chat} c
   * @param {number} after
   */
  const read = (c, after) => {
    s.reading.set(c.id, true);
    for (const e of c.events) if (e.seq > after) out({ t: 'event', conversation: c.id, ...e });
    out({ t: 'live', conversation: c.id });
  };
  /**
   * @param {Chat} c
   * @param {number} after
   */
  const joined = (c, after) => {
    const state = c.joined.get(user.id)?.state ?? 'joined';
    out({ t: 'joined', conversation: c.id, state, info: world.infoView(c) });
    if (c.present !== undefined) out({ t: 'presence', conversation: c.id, on: c.present });
    read(c, after);
  };
  const listener = (change) => {
    switch (change.kind) {
      case 'event':
        if (s.reading.has(change.conversation.id))
          out({ t: 'event', conversation: change.conversation.id, ...change.event });
        break;
      case 'typing':
      case 'presence': {
        const { kind, conversation, ...fields } = change;
        if (s.reading.has(conversation.id) && fields.who?.agent !== user.id)
          out({ t: kind, conversation: conversation.id, ...fields });
        break;
      }
      case 'offer':
        if (change.offer.a === agent) out({ t: 'offer', ...world.offerView(change.offer) });
        break;
      case 'offer_end':
        if (change.offer.a === agent) out({ t: 'offer_end', offer: change.offer.id, cause: change.cause });
        break;
      case 'agent':
        if (change.agent === agent) out({ t: 'agent', agent: world.agentView(agent) });
        break;
      case 'joined':
        if (change.agent === agent) joined(change.conversation, 0);
        break;
      case 'recent':
        if (change.agent === agent) out({ t: 'recent', ...world.recentView(agent) });
        break;
      case 'parted':
        if (change.agent !== agent) break;
        s.reading.delete(change.conversation.id);
        out({ t: 'parted', conversation: change.conversation.id });
        break;
    }
    if (s.board) boardSoon();
  };
  let boardTimer;
  const boardSoon = () => {
    boardTimer ??= setTimeout(() => {
      boardTimer = undefined;
      if (s.board) out({ t: 'board', board: world.boardView() });
    }, 100);
  };

  ws.on('message', (data) => {
    /** @type {ClientFrame | Command} */
    const f = JSON.parse(String(data));
    fake.received.push({ user: user.login, ...f });
    if (fake.mute) return;
    switch (f.t) {
      case 'hello':
        world.connected(agent);
        out({ t: 'welcome', user, time: new Date().toISOString(), version: 'fake' });
        out({ t: 'agent', agent: world.agentView(agent) });
        out({ t: 'recent', ...world.recentView(agent) });
        if (agent.offer) out({ t: 'offer', ...world.offerView(agent.offer) });
        for (const { c } of world.workOf(agent)) joined(c, f.cursors?.[c.id] ?? 0);
        world.listeners.add(listener);
        break;
      case 'cmd': {
        // The connection breaks at this command: it is carried out, but no answer gets back.
        if (fake.breakAt === f.cmd) {
          fake.breakAt = '';
          ws.terminate();
        }
        out(run(world, agent, f));
        break;
      }
      case 'watch':
        read(world.conversation(f.conversation), f.after);
        break;
      case 'unwatch':
        if (!world.conversation(f.conversation).joined.has(user.id)) s.reading.delete(f.conversation);
        break;
      case 'typing':
        world.tell({
          kind: 'typing',
          conversation: world.conversation(f.conversation),
          on: f.on,
          who: { kind: 'agent', agent: user.id },
          name: user.name,
        });
        break;
      case 'board':
        s.board = f.on;
        if (f.on) boardSoon();
        break;
      case 'ping':
        out({ t: 'pong', id: f.id });
        break;
    }
  });
  ws.on('close', () => {
    clearTimeout(boardTimer);
    world.listeners.delete(listener);
    fake.sockets.delete(s);
  });
}

/** @returns {undefined} */
function absent() {
  throw fault('denied');
}

/** @typedef {{ [N in keyof Commands]: { t: 'cmd', id: string, cmd: N } & Commands[N] }[keyof Commands]} Command */

/**
 * @param {World} world
 * @param {Agent} agent
 * @param {any} f
 * @returns {ServerFrame}
 */
function run(world, agent, f) {
  /** @type {{ [N in keyof Commands]: () => Partial<AckFrame> | undefined | void }} */
  const commands = {
    ready: () => world.setReady(agent),
    not_ready: () => world.askNotReady(agent, f.reason),
    logout: () => world.logout(agent),
    accept: () => world.accept(agent, f.offer),
    reject: () => world.decline(world.offerOf(agent, f.offer), 'rejected'),
    send: () => world.send(agent, f),
    mark: () => world.mark(agent, f),
    end: () => world.end(agent, f),
    wrapup: () => world.wrapup(agent, f),
    invite: () => world.invite(agent, f),
    cancel_invite: () => world.cancelInvite(agent, f),
    flag: () => world.flag(agent, f),
    link_contact: () => world.linkContact(agent, f),
    text: () => world.text(agent, f),
    join: () => world.join(agent, f),
    settle: () => world.settle(agent, f),
    recent_seen: () => world.recentSeen(agent),
    // The desktop has no screen for these yet, so this double knows neither supervision nor notes: a
    // page that asks for them is refused.
    supervise: absent,
    unsupervise: absent,
    note: absent,
  };
  try {
    const command = commands[/** @type {keyof Commands} */ (f.cmd)];
    if (!command) throw fault('malformed');
    return { t: 'ack', id: f.id, ok: true, ...command() };
  } catch (err) {
    if (!err.code) throw err;
    return { t: 'ack', id: f.id, ok: false, error: { code: err.code, message: err.message, ...err.wire } };
  }
}

// --- small things

function tokenOf(req) {
  return /(?:^|; )parley=([^;]+)/.exec(req.headers.cookie ?? '')?.[1];
}

function userOf(fake, req) {
  return fake.sessions.get(tokenOf(req));
}

/**
 * Answers a route as the gateway does.
 * @template {keyof Routes} R
 * @param {R} _route
 * @param {ServerResponse} res
 * @param {Routes[R]['answer']} body
 */
function answer(_route, res, body, status = 200) {
  reply(res, status, body);
}

/**
 * @param {ServerResponse} res
 * @param {number} status
 * @param {string} code
 * @param {string} detail
 */
function refuse(res, status, code, detail) {
  /** @type {Problem} */
  const problem = { title: '', status, code, detail };
  reply(res, status, problem);
}

/**
 * @param {ServerResponse} res
 * @param {number} status
 * @param {unknown} [body]
 */
function reply(res, status, body) {
  res.statusCode = status;
  res.setHeader('Content-Type', 'application/json');
  res.end(body === undefined ? undefined : JSON.stringify(body));
}

async function buffer(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function json(req) {
  const body = await buffer(req);
  return body.length > 0 ? JSON.parse(body.toString()) : {};
}
