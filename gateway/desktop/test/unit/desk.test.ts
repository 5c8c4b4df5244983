import type { Part, ServerFrame } from '@parley/shared/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Desk } from '../../src/store/desk';
import { agent, frame, fromAgent, fromCustomer, joined, log, offer, started, welcome } from './events';

/** A socket whose other end is the test. */
class Line {
  static all: Line[] = [];
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  closed = false;
  constructor() {
    Line.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  say(...frames: ServerFrame[]) {
    for (const f of frames) this.onmessage?.({ data: JSON.stringify(f) });
    vi.advanceTimersByTime(120);
  }
  cut(code = 1006) {
    this.onclose?.({ code });
  }
  commands(name: string) {
    return this.sent.filter((f) => f.cmd === name);
  }
  ack(name: string, fields: object = { ok: true }) {
    const id = String(this.commands(name).at(-1)?.id);
    this.say({ t: 'ack', id, ...fields } as ServerFrame);
  }
}

const last = () => Line.all.at(-1) as Line;
const events = log(started, fromCustomer('a'), fromCustomer('b'));
let desk: Desk;
let loggedIn: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
  localStorage.clear();
  Line.all = [];
  loggedIn = true;
  vi.stubGlobal(
    'fetch',
    async () => new Response(loggedIn ? '{"id":"agent-me"}' : '{}', { status: loggedIn ? 200 : 401 }),
  );
  desk = new Desk({ url: () => 'ws://x', open: () => new Line() as unknown as WebSocket });
});

afterEach(() => {
  desk.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function connect(...frames: ServerFrame[]) {
  last().onopen?.();
  last().say(welcome(), ...frames);
}

function atWork() {
  desk.start();
  connect(agent(['c1']), joined('c1'), ...events.map((e) => frame('c1', e)), { t: 'live', conversation: 'c1' });
}

describe('line', () => {
  it('names its cursors when it comes back', async () => {
    atWork();
    last().cut();
    expect(desk.store.getState().link).toMatchObject({ phase: 'waiting' });
    await vi.advanceTimersByTimeAsync(400);
    expect(Line.all).toHaveLength(2);
    last().onopen?.();
    expect(last().sent[0]).toEqual({ t: 'hello', cursors: { c1: 3 } });
  });

  it('waits as long as the server asks, and comes back at once when the machine wakes', async () => {
    atWork();
    last().say({ t: 'bye', reason: 'restart', retry_ms: 3000 });
    last().cut(1012);
    expect(desk.store.getState().link).toMatchObject({ phase: 'waiting', reason: 'restart' });
    await vi.advanceTimersByTimeAsync(2500);
    expect(Line.all).toHaveLength(1);
    desk.wake();
    expect(Line.all).toHaveLength(2);
  });

  it('notices a dead line by its own ping', async () => {
    atWork();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(last().sent.at(-1)).toMatchObject({ t: 'ping' });
    await vi.advanceTimersByTimeAsync(8_000);
    expect(desk.store.getState().link).toMatchObject({ phase: 'waiting', reason: 'silent' });
  });

  it('stops when the session is over', async () => {
    atWork();
    last().cut(4001);
    expect(desk.store.getState().link).toEqual({ phase: 'stopped', reason: 'revoked' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Line.all).toHaveLength(1);
  });

  it('asks whether the session is over when a connection is refused', async () => {
    desk.start();
    loggedIn = false;
    last().cut();
    await vi.advanceTimersByTimeAsync(10);
    expect(desk.store.getState().link).toEqual({ phase: 'stopped', reason: 'revoked' });
  });

  it('asks for what is missing', () => {
    atWork();
    const [, , , , sixth] = log(started, started, started, started, fromCustomer('f'));
    last().say(frame('c1', sixth as (typeof events)[number]));
    expect(last().sent.at(-1)).toEqual({ t: 'watch', conversation: 'c1', after: 3 });
  });
});

describe('sending', () => {
  it('shows a message at once and gives way to the event', () => {
    atWork();
    desk.outbox.send('c1', 'hi', []);
    expect(desk.store.getState().outgoing).toMatchObject([{ text: 'hi', state: 'sending' }]);
    const [sent] = last().commands('send');
    expect(sent).toMatchObject({ conversation: 'c1', parts: [{ kind: 'text', text: 'hi' }] });
    last().ack('send');
    const [, , , own] = log(started, started, started, fromAgent('hi', undefined, String(sent?.client_id)));
    last().say(frame('c1', own as (typeof events)[number]));
    expect(desk.store.getState().outgoing).toEqual([]);
  });

  it('sends again under the same client id when the answer was lost', async () => {
    atWork();
    desk.outbox.send('c1', 'one', []);
    const first = last().commands('send')[0]?.client_id;
    last().cut();
    expect(desk.store.getState().outgoing).toMatchObject([{ state: 'queued' }]);
    desk.outbox.send('c1', 'two', []);
    await vi.advanceTimersByTimeAsync(400);
    connect(agent(['c1']));
    const again = last().commands('send');
    expect(again.map((c) => (c.parts as { text: string }[])[0]?.text)).toEqual(['one', 'two']);
    expect(again[0]?.client_id).toBe(first);
  });

  it('keeps unconfirmed messages over a reload', async () => {
    atWork();
    last().cut();
    desk.outbox.send('c1', 'kept', []);
    const reloaded = new Desk({ url: () => 'ws://x', open: () => new Line() as unknown as WebSocket });
    reloaded.start();
    connect(agent(['c1']), joined('c1'));
    expect(last().commands('send')).toHaveLength(1);
    reloaded.stop();
  });

  it('tells a refusal, and tries again when asked', async () => {
    atWork();
    desk.outbox.send('c1', 'hi', []);
    last().ack('send', { ok: false, error: { code: 'unsupported', message: 'no' } });
    await vi.advanceTimersByTimeAsync(0);
    const [failed] = desk.store.getState().outgoing;
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'unsupported' } });
    desk.outbox.retry(String(failed?.clientId));
    expect(last().commands('send')).toHaveLength(2);
    desk.outbox.discard(String(failed?.clientId));
    expect(desk.store.getState().outgoing).toEqual([]);
  });
});

/** An upload whose server is the test. */
class Posting {
  static all: Posting[] = [];
  status = 0;
  statusText = '';
  response: unknown = null;
  upload: { onprogress?: (e: object) => void } = {};
  onload: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onabort: (() => void) | null = null;
  constructor() {
    Posting.all.push(this);
  }
  open() {}
  setRequestHeader() {}
  send() {}
  abort() {
    this.onabort?.();
  }
  async answer(status: number, response: object) {
    Object.assign(this, { status, response });
    this.onload?.();
    await vi.advanceTimersByTimeAsync(0);
  }
}

describe('files', () => {
  const choose = (key: string) => {
    const file = new File(['x'], `${key}.txt`, { type: 'text/plain' });
    desk.outbox.stage('c1', [{ key, name: file.name, size: 1, mime: file.type, progress: 0, file }]);
    return Posting.all.at(-1) as Posting;
  };
  const part = (blob: string) => ({ file: { blob, name: 'a', mime: 'text/plain', size: 1 } });
  const staged = () => desk.store.getState().staged.c1;

  beforeEach(() => {
    Posting.all = [];
    vi.stubGlobal('XMLHttpRequest', Posting);
    atWork();
  });

  it('wait by their conversation, and leave with the message', async () => {
    const first = choose('a');
    const second = choose('b');
    first.upload.onprogress?.({ lengthComputable: true, loaded: 1, total: 2 });
    expect(staged()).toMatchObject([
      { key: 'a', progress: 0.5 },
      { key: 'b', progress: 0 },
    ]);
    await second.answer(200, part('B'));
    expect(staged()).toMatchObject([{ key: 'a' }, { key: 'b', progress: 1, part: { file: { blob: 'B' } } }]);
    desk.outbox.send('c1', 'both', desk.outbox.take('c1'));
    expect(staged()).toBeUndefined();
    expect(desk.store.getState().outgoing).toMatchObject([{ text: 'both', state: 'uploading' }]);
    expect(last().commands('send')).toHaveLength(0);
    await first.answer(200, part('A'));
    const blobs = ((last().commands('send')[0]?.parts ?? []) as Part[]).map((p) => p.file?.blob);
    expect(blobs).toEqual([undefined, 'A', 'B']);
  });

  it('go again when asked, after a refusal', async () => {
    await choose('a').answer(507, { code: 'quota', detail: 'too much' });
    expect(staged()).toMatchObject([{ key: 'a', error: { code: 'quota' } }]);
    desk.outbox.send('c1', '', desk.outbox.take('c1'));
    await vi.advanceTimersByTimeAsync(0);
    const [o] = desk.store.getState().outgoing;
    desk.outbox.retry(String(o?.clientId));
    expect(desk.store.getState().outgoing).toMatchObject([{ state: 'uploading', error: undefined }]);
    await (Posting.all.at(-1) as Posting).answer(200, part('A'));
    expect(last().commands('send')).toHaveLength(1);
  });

  it('are let go when taken back, and when the agent logs out', async () => {
    const gone = choose('a');
    desk.outbox.unstage('c1', 'a');
    await gone.answer(200, part('A'));
    expect(staged()).toBeUndefined();
    choose('b');
    desk.stop();
    expect(desk.store.getState().staged).toEqual({});
  });
});

describe('refusals that pass', () => {
  it('keeps the message and tries again by itself', async () => {
    atWork();
    desk.outbox.send('c1', 'hi', []);
    last().ack('send', { ok: false, error: { code: 'rate_limited', message: 'later' } });
    await vi.advanceTimersByTimeAsync(0);
    expect(desk.store.getState().outgoing).toMatchObject([{ state: 'queued' }]);
    await vi.advanceTimersByTimeAsync(1500);
    const [first, again] = last().commands('send');
    expect(again?.client_id).toBe(first?.client_id);
  });

  it('sends a long queue in order, a few at a time', async () => {
    atWork();
    for (let i = 0; i < 40; i++) desk.outbox.send('c1', `m${i}`, []);
    expect(last().commands('send')).toHaveLength(16);
    for (const c of [...last().commands('send')]) last().say({ t: 'ack', id: String(c.id), ok: true });
    await vi.advanceTimersByTimeAsync(0);
    expect(last().commands('send').length).toBeGreaterThan(16);
  });
});

describe('offers', () => {
  it('moves the focus for Open, not for Accept beside an active chat (A6, A7)', async () => {
    atWork();
    const accept = (open: boolean, id: string) => {
      last().say(offer(id));
      const done = desk.accept(offer(id), open);
      last().ack('accept', { ok: true, conversation: `c-${id}` });
      last().say(joined(`c-${id}`));
      return done;
    };
    await accept(false, '2');
    expect(desk.store.getState().focus).toBe('c1');
    await accept(true, '3');
    expect(desk.store.getState().focus).toBe('c-3');
  });

  it('gives the focus to the only chat', async () => {
    desk.start();
    connect(agent(), offer('1'));
    const done = desk.accept(offer('1'), false);
    last().say(joined('c-1'));
    last().ack('accept', { ok: true, conversation: 'c-1' });
    await done;
    expect(desk.store.getState().focus).toBe('c-1');
  });

  it('says why it did not work, but not what a lost line left open', async () => {
    atWork();
    const failed = vi.fn();
    desk.events.failed = failed;
    const refused = desk.accept(offer('1'), false);
    last().ack('accept', { ok: false, error: { code: 'offer_gone', message: '' } });
    expect(await refused).toBeNull();
    expect(failed).toHaveBeenCalledTimes(1);
    const lost = desk.reject('1');
    last().cut();
    expect(await lost).toBeNull();
    expect(failed).toHaveBeenCalledTimes(1);
  });
});

describe('attention', () => {
  it('marks what arrived as delivered and what was looked at as read, gathered', async () => {
    atWork();
    await vi.advanceTimersByTimeAsync(300);
    expect(last().commands('mark')).toMatchObject([{ conversation: 'c1', delivered: 3, read: 0 }]);
    desk.attention.look('c1');
    await vi.advanceTimersByTimeAsync(300);
    expect(last().commands('mark').at(-1)).toMatchObject({ delivered: 3, read: 3 });
    desk.attention.look('c1');
    await vi.advanceTimersByTimeAsync(300);
    expect(last().commands('mark')).toHaveLength(2);
  });

  it('says typing at once, every 4 s, and that it ended', async () => {
    atWork();
    const typing = () =>
      last()
        .sent.filter((f) => f.t === 'typing')
        .map((f) => f.on);
    desk.typing('c1');
    await vi.advanceTimersByTimeAsync(1000);
    desk.typing('c1');
    expect(typing()).toEqual([true]);
    await vi.advanceTimersByTimeAsync(3500);
    desk.typing('c1');
    expect(typing()).toEqual([true, true]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(typing()).toEqual([true, true, false]);
  });
});

it('brings the focus back after a reload', () => {
  desk.start();
  connect(agent(['c1', 'c2']), joined('c1'), joined('c2'));
  desk.focus('c2');
  const reloaded = new Desk({ url: () => 'ws://x', open: () => new Line() as unknown as WebSocket });
  reloaded.start();
  connect(agent(['c1', 'c2']), joined('c1'), joined('c2'));
  expect(reloaded.store.getState().focus).toBe('c2');
  reloaded.stop();
});
