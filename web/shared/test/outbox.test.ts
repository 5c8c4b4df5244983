import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Outbox, type OutboxOptions, type Outgoing, outbox, restored } from '../src/outbox';

interface Message extends Outgoing {
  to: string;
}

let list: Message[];
let sent: string[];
let open: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  list = [];
  sent = [];
  open = true;
});
afterEach(() => vi.useRealTimers());

const make = (more: Partial<OutboxOptions<Message>> = {}) =>
  outbox<Message>({
    list: () => list,
    keep: (to) => {
      list = to;
    },
    open: () => open,
    send: (m) => sent.push(m.clientId),
    ...more,
  });
const write = (o: Outbox<Message>, clientId: string, state: Message['state'] = 'queued', to = 'c') => {
  o.add({ clientId, state, to });
  o.flush();
};
const states = () => list.map((m) => `${m.clientId} ${m.state}`);

it('sends at once, and each message once', () => {
  const o = make();
  write(o, 'a');
  write(o, 'b');
  o.flush();
  expect(sent).toEqual(['a', 'b']);
  expect(states()).toEqual(['a sending', 'b sending']);
});

it('keeps what is written while the line is down, and sends it in order', () => {
  const o = make();
  open = false;
  for (const id of ['a', 'b', 'c']) write(o, id);
  expect(sent).toEqual([]);
  open = true;
  o.flush();
  expect(sent).toEqual(['a', 'b', 'c']);
});

it('sends again under the same id what had no answer when the line was lost, and nothing else', () => {
  const o = make();
  for (const id of ['accepted', 'failed', 'sending']) write(o, id);
  o.accepted('accepted');
  o.change('failed', { state: 'failed' });
  o.lost();
  expect(states()).toEqual(['accepted accepted', 'failed failed', 'sending queued']);
  o.flush();
  expect(sent).toEqual(['accepted', 'failed', 'sending', 'sending']);
});

it('changes nothing when a line is lost that had nothing under way', () => {
  const o = make();
  write(o, 'a');
  o.accepted('a');
  const before = list;
  o.lost();
  expect(list).toBe(before);
});

it('lets all wait a moment when one was refused for now, and keeps their order', () => {
  const o = make();
  write(o, 'a');
  o.later('a');
  write(o, 'b');
  expect(sent).toEqual(['a']);
  vi.advanceTimersByTime(1499);
  expect(sent).toEqual(['a']);
  vi.advanceTimersByTime(1);
  expect(sent).toEqual(['a', 'a', 'b']);
});

it('waits once however many were refused', () => {
  const o = make();
  write(o, 'a');
  write(o, 'b');
  o.later('a');
  vi.advanceTimersByTime(1000);
  o.later('b');
  vi.advanceTimersByTime(500);
  expect(sent).toEqual(['a', 'b', 'a', 'b']);
  vi.advanceTimersByTime(60_000);
  expect(sent).toHaveLength(4);
});

it('tries nothing after it was stopped', () => {
  const o = make();
  write(o, 'a');
  o.later('a');
  o.stop();
  vi.advanceTimersByTime(60_000);
  expect(sent).toEqual(['a']);
  expect(states()).toEqual(['a queued']);
});

it('holds a lane back behind an upload, and no other lane', () => {
  const o = make({ lane: (m) => m.to });
  write(o, 'a', 'uploading', 'one');
  write(o, 'b', 'queued', 'one');
  write(o, 'c', 'queued', 'two');
  expect(sent).toEqual(['c']);
  o.change('a', { state: 'queued' });
  o.flush();
  expect(sent).toEqual(['c', 'a', 'b']);
});

it('holds nobody back where there are no lanes', () => {
  const o = make();
  write(o, 'a', 'uploading');
  write(o, 'b');
  expect(sent).toEqual(['b']);
});

it('holds nobody back behind a refused message', () => {
  const o = make({ lane: (m) => m.to });
  write(o, 'a');
  o.change('a', { state: 'failed' });
  write(o, 'b');
  expect(sent).toEqual(['a', 'b']);
  o.discard('a');
  expect(states()).toEqual(['b sending']);
});

it('has only so many under way, and goes on as they are answered', () => {
  const o = make({ most: 2 });
  for (const id of ['a', 'b', 'c', 'd']) write(o, id);
  expect(sent).toEqual(['a', 'b']);
  o.accepted('b');
  expect(sent).toEqual(['a', 'b', 'c']);
  o.lost();
  o.flush();
  expect(sent).toEqual(['a', 'b', 'c', 'a', 'c']);
});

it('takes an answer that comes while it is sending', () => {
  const o: Outbox<Message> = make({
    send: (m) => {
      sent.push(m.clientId);
      o.accepted(m.clientId);
    },
  });
  open = false;
  for (const id of ['a', 'b', 'c']) write(o, id);
  open = true;
  o.flush();
  expect(sent).toEqual(['a', 'b', 'c']);
  expect(states()).toEqual(['a accepted', 'b accepted', 'c accepted']);
});

it('sends after a reload all but what was refused', () => {
  list = restored(
    (['queued', 'sending', 'accepted', 'failed'] as const).map((state) => ({ clientId: state, state, to: '' })),
  );
  make().flush();
  expect(sent).toEqual(['queued', 'sending', 'accepted']);
});
