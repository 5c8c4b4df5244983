import type { ConversationEvent, MessageStatus, ServerFrame } from '@parley/shared/protocol';
import { describe, expect, it } from 'vitest';
import { type Conversation, emptyConversation, foldEvents } from '../../src/store/conversation';
import { applyFrames } from '../../src/store/frames';
import { allows, customerName, delivery, replyWindow, takesUp } from '../../src/store/select';
import { initialState } from '../../src/store/state';
import type { MessageItem } from '../../src/store/timeline';
import { readPhone } from '../../src/text/phone';
import { agent, fromAgent, fromCustomer, info, joined, joins, log, me, other, welcome } from './events';

type Fact = Parameters<typeof log>[number];

const begun: Fact = {
  type: 'conversation.started/1',
  head: { kind: 'inbound', channel: 'sms', capabilities: { text: true, receipts: true, address_kind: 'phone' } },
  body: { address: '+4930901820' },
};
const status = (is: MessageStatus, code?: string, text?: string): Fact => ({
  type: 'message.status/1',
  head: { message: 'hi', status: is, code, kind: code && 'address' },
  body: text ? { text } : undefined,
});
const fold = (...facts: Fact[]): Conversation => foldEvents(emptyConversation('c1'), log(begun, ...facts));
const message = (c: Conversation) =>
  c.items.find((i) => i.kind === 'message' && i.author.kind === 'agent') as MessageItem;
const shown = (c: Conversation) => delivery(c, message(c));

function permutations<T>(list: T[]): T[][] {
  if (list.length < 2) return [list];
  return list.flatMap((x, i) => permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [x, ...rest]));
}

describe('the status of a text (N4, PR4, PR5)', () => {
  it('is accepted before any word of the carrier', () => expect(shown(fold(fromAgent('hi')))).toBe('accepted'));

  it('ends the same in whatever order the words come, and never goes back', () => {
    const words: MessageStatus[] = ['accepted', 'sent', 'unknown', 'failed', 'delivered'];
    for (const order of permutations(words)) {
      expect(shown(fold(fromAgent('hi'), ...order.map((s) => status(s))))).toBe('delivered');
    }
    expect(shown(fold(fromAgent('hi'), status('sent'), status('unknown')))).toBe('sent');
  });

  it('keeps the code and the words of the status that holds', () => {
    const c = fold(fromAgent('hi'), status('failed', '30005', 'Unknown handset'), status('sent', '1', 'late'));
    expect(message(c)).toMatchObject({ status: 'failed', statusCode: '30005', statusText: 'Unknown handset' });
    expect(message(fold(fromAgent('hi'), status('failed', '30005', 'x'), status('delivered')))).toMatchObject({
      status: 'delivered',
      statusCode: undefined,
      statusText: undefined,
    });
  });

  it('tells a deadline that passed from a refusal', () => {
    expect(shown(fold(fromAgent('hi'), status('failed', 'deadline')))).toBe('expired');
    expect(shown(fold(fromAgent('hi'), status('failed', '30005')))).toBe('failed');
  });

  it('begins again when a person has it sent again, and says who that was', () => {
    const settled: Fact = {
      type: 'message.settled/1',
      head: { message: 'hi', outcome: 'resend', by: me },
    };
    const c = fold(joins(me, 'Ana'), fromAgent('hi'), status('unknown'), settled);
    expect(shown(c)).toBe('accepted');
    expect(message(c).settled).toEqual({ outcome: 'resend', agent: me, who: 'Ana' });
    expect(shown(fold(joins(me, 'Ana'), fromAgent('hi'), status('unknown'), settled, status('unknown')))).toBe(
      'unknown',
    );
  });
});

describe('an exchange by text', () => {
  it('is known by its number until there is a name', () => {
    expect(customerName(fold())).toBe('+4930901820');
    expect(customerName(fold({ type: 'customer.updated/1', body: { name: 'Maria' } }))).toBe('Maria');
  });

  it('closes and opens with the customer’s consent', () => {
    const out: Fact = { type: 'consent.changed/1', head: { out: true }, body: { keyword: 'STOP' } };
    const again: Fact = { type: 'consent.changed/1', head: { out: false }, body: { keyword: 'START' } };
    expect(fold(out)).toMatchObject({ optedOut: true, items: [{ line: 'opted_out', text: 'STOP' }] });
    expect(fold(out, again).optedOut).toBe(false);
  });

  it('has a reply window by the customer’s last message, until the provider says another', () => {
    const started = fold(fromCustomer('hello'));
    expect(replyWindow(started)).toBeUndefined();
    const hours = { ...started, capabilities: { ...started.capabilities, reply_window: 24 } };
    const day = 24 * 3_600_000;
    expect(replyWindow(hours)).toEqual({ until: new Date(Date.parse(hours.customerAt ?? '') + day).toISOString() });
    expect(replyWindow({ ...hours, customerAt: undefined })).toEqual({});
    const until = '2030-01-01T00:00:00Z';
    const said: Fact = { type: 'window.changed/1', head: { expires: until } };
    const other: Fact = { type: 'window.changed/1', head: { endpoint: 1, expires: '2031-01-01T00:00:00Z' } };
    expect(replyWindow(fold(fromCustomer('hello'), said, other))).toEqual({ until });
    expect(replyWindow(fold(said, fromCustomer('more')))).toEqual({ until });
    expect(replyWindow(fold(said, { type: 'window.changed/1', head: {} }))).toEqual({});
  });

  it('tells replies from what began it (N5)', () => {
    const c = fold(fromCustomer('first'), fromAgent('hi'), fromAgent('more'), fromCustomer('reply'));
    expect(c.answeredSeq).toBe(3);
  });

  it('says that it was set aside and answered, not that it began so or was taken up', () => {
    const lines = (cause: string, type: 'conversation.parked/1' | 'conversation.unparked/1') =>
      fold({ type, head: { owner: me, cause } }).items.length;
    expect(lines('idle', 'conversation.parked/1')).toBe(1);
    expect(lines('start', 'conversation.parked/1')).toBe(0);
    expect(lines('reply', 'conversation.unparked/1')).toBe(1);
    expect(lines('agent', 'conversation.unparked/1')).toBe(0);
  });

  it('can be taken up while nobody works on it (N16)', () => {
    const parked: Fact = { type: 'conversation.parked/1', head: { owner: me, cause: 'idle' } };
    const unparked: Fact = { type: 'conversation.unparked/1', head: { owner: me, cause: 'reply' } };
    const asked: Fact = {
      type: 'routing.requested/1',
      head: { request: 'r', target: { kind: 'agent', agent: me }, cause: 'reply', waiting_since: '' },
    };
    const ended: Fact = { type: 'conversation.ended/1', head: { by: { kind: 'system' }, cause: 'inactivity' } };
    expect(takesUp(fold(parked), me, false)).toBe(true);
    expect(takesUp(fold(parked, unparked), me, false)).toBe(false);
    expect(takesUp(fold(parked, unparked), me, true)).toBe(true);
    expect(takesUp(fold(parked, unparked, asked), me, false)).toBe(true);
    expect(takesUp(fold(parked, ended), me, true)).toBe(false);
    expect(takesUp(fold(parked, unparked, joins(other, 'Ben')), me, true)).toBe(false);
    expect(takesUp({ ...fold(parked), member: 'joined' }, me, true)).toBe(false);
  });

  it('counts where the service has the counter on, and on numbers without a service (N9)', () => {
    const of = (features?: string[]) =>
      info({
        channel: 'sms',
        service: features && { id: 's', name: 'S', dispositions: [], disposition_needed: false, wrapup: 0, features },
      });
    expect(allows({ ...fold(), info: of(['files']) }, 'counter')).toBe(false);
    expect(allows({ ...fold(), info: of(['counter']) }, 'counter')).toBe(true);
    expect(allows({ ...fold(), info: of() }, 'counter')).toBe(true);
  });
});

describe('what waits in Recent (O1, O2)', () => {
  const recent = (...counts: [string, number][]): ServerFrame => ({
    t: 'recent',
    unread: counts.reduce((n, [, unread]) => n + unread, 0),
    items: counts.map(([conversation, unread]) => ({ conversation, unread, at: `at${unread}` })),
  });
  const run = (...frames: ServerFrame[]) => applyFrames(initialState(), frames, Date.now());

  it('rings for what grows, not for what waited before', () => {
    expect(run(welcome(), agent(), recent(['c1', 2]))[1]).toEqual([]);
    const [s, effects] = run(welcome(), agent(), recent(['c1', 2]), recent(['c1', 3], ['c2', 1]));
    expect(effects).toEqual([
      { kind: 'recent', conversation: 'c1', at: 'at3' },
      { kind: 'recent', conversation: 'c2', at: 'at1' },
    ]);
    expect(s.recent).toEqual({ unread: 4, items: { c1: { unread: 3, at: 'at3' }, c2: { unread: 1, at: 'at1' } } });
  });

  it('goes to zero, and does not ring after a reconnect', () => {
    const [s, effects] = run(welcome(), agent(), recent(['c1', 2]), recent(), welcome(), agent(), recent(['c1', 1]));
    expect(effects).toEqual([]);
    expect(s.recent.unread).toBe(1);
    expect(run(welcome(), agent(), recent(['c1', 2]), recent())[0].recent).toEqual({ unread: 0, items: {} });
  });

  it('keeps a conversation that is read here when it leaves the active list', () => {
    const from = { ...initialState(), watched: ['c1'] };
    const events = log(begun).map(
      (e: ConversationEvent) => ({ t: 'event', conversation: 'c1', prev: 0, ...e }) as ServerFrame,
    );
    const [s] = applyFrames(
      from,
      [welcome(), agent(['c1']), joined('c1'), ...events, { t: 'parted', conversation: 'c1' }],
      0,
    );
    expect(s.active).toEqual([]);
    expect(s.conversations.c1).toMatchObject({ member: null, seq: 1 });
  });
});

describe('numbers', () => {
  it.each([
    ['+49 30 901820', undefined, '+4930901820'],
    ['0049 30 901820', undefined, '+4930901820'],
    ['030 901820', 'DE', '+4930901820'],
    ['(202) 555-0143', 'US', '+12025550143'],
    [' +44 20 7946 0018 ', 'DE', '+442079460018'],
  ])('reads %s', (text, region, e164) => expect(readPhone(text, region)?.e164).toBe(e164));

  it.each([
    ['', 'DE'],
    ['030 901820', undefined],
    ['+49', 'DE'],
    ['12', 'GB'],
    ['call +49 30 901820 now', 'DE'],
    ['+4930901820 ext. 5', 'DE'],
    ['+999 123456789', 'DE'],
    [`+49${'1'.repeat(300)}`, 'DE'],
    ['030 901820', 'XX'],
  ])('refuses %s', (text, region) => expect(readPhone(text, region)).toBeNull());
});
