import { describe, expect, it } from 'vitest';
import { emptyConversation, foldEvents } from '../../src/store/conversation';
import { customerName, delivery, unreadCount } from '../../src/store/select';
import type { MessageItem } from '../../src/store/timeline';
import { fromAgent, fromCustomer, joins, log, me, other, started } from './events';

const fold = (...facts: Parameters<typeof log>) => foldEvents(emptyConversation('c'), log(...facts));
const lines = (c: ReturnType<typeof fold>) => c.items.map((i) => (i.kind === 'line' ? i.line : 'message'));

describe('fold', () => {
  it('fills what is known of the customer and keeps what an update leaves out', () => {
    const c = fold(started, {
      type: 'customer.updated/1',
      body: { phone: '+4930123', attributes: { tariff: 'premium' } },
    });
    expect(customerName(c)).toBe('Kim Lee');
    expect(c.customer).toMatchObject({
      email: 'kim@example.org',
      phone: '+4930123',
      attributes: { tariff: 'premium' },
    });
    expect(c.endpoints).toEqual(['web:1']);
  });

  it('follows the page that the customer has open (B5)', () => {
    const c = fold(started, { type: 'page.visited/1', body: { url: 'https://shop.example/cart', title: 'Cart' } });
    expect(c.page).toEqual({ url: 'https://shop.example/cart', title: 'Cart' });
  });

  it('shows the first message above all others (B1) and who came and went, in order', () => {
    const c = fold(
      started,
      fromCustomer('hello'),
      joins(me, 'Ana'),
      fromAgent('hi'),
      joins(other, 'Ben'),
      { type: 'participant.left/1', head: { who: { kind: 'agent', agent: me }, cause: 'agent' } },
      { type: 'conversation.ended/1', head: { by: { kind: 'customer' }, cause: 'customer' } },
    );
    expect(lines(c)).toEqual(['message', 'joined', 'message', 'joined', 'left', 'ended']);
    expect(c.agents.map((a) => [a.name, a.inside])).toEqual([
      ['Ana', false],
      ['Ben', true],
    ]);
    expect(c.phase).toBe('ended');
  });

  it('shows notes apart from messages, and who supervises in which mode (H2, H3)', () => {
    const supervisor = (type: 'supervisor.joined/1' | 'supervisor.left/1', mode: string) => ({
      type,
      head: { agent: 'sue', mode, audience: 'agent', cause: 'supervisor' },
      body: type === 'supervisor.joined/1' ? { name: 'Sue' } : undefined,
    });
    const note = (by: object, text: string) => ({
      type: 'note/1' as const,
      head: { id: text, author: by, kinds: ['text'] },
      body: { parts: [{ kind: 'text', text }] },
    });
    const events = log(
      started,
      fromCustomer('hello'),
      joins(me, 'Ana'),
      supervisor('supervisor.joined/1', 'coach'),
      note({ kind: 'supervisor', agent: 'sue' }, 'say sorry'),
      note({ kind: 'agent', agent: me }, 'ok'),
      supervisor('supervisor.left/1', 'coach'),
      supervisor('supervisor.joined/1', 'barge'),
    );
    const [left, joined] = events.slice(-2);
    if (left && joined) joined.at = left.at; // a change of mode is one append
    const c = foldEvents(emptyConversation('c'), events);
    expect(c.items.map((i) => (i.kind === 'line' ? i.line : i.kind))).toEqual([
      'message',
      'joined',
      'supervises',
      'note',
      'note',
      'supervises',
    ]);
    expect(c.items.flatMap((i) => (i.kind === 'note' ? [[i.name, i.parts[0]?.text]] : []))).toEqual([
      ['Sue', 'say sorry'],
      ['Ana', 'ok'],
    ]);
    expect(c.supervisors).toEqual([{ id: 'sue', name: 'Sue', mode: 'barge' }]);
    expect(c.unansweredSince).toBeDefined(); // a note is no answer to the customer
    const gone = { ...log(supervisor('supervisor.left/1', 'barge'))[0], seq: 9 } as (typeof events)[number];
    const after = foldEvents(c, [gone]);
    expect(after.supervisors).toEqual([]);
    expect(after.items.at(-1)).toMatchObject({ kind: 'line', line: 'supervised', who: 'Sue' });
  });

  it('gives the same for one batch and for one event at a time', () => {
    const events = log(started, fromCustomer('a'), fromAgent('b'), fromCustomer('c'), joins(me, 'Ana'));
    const once = foldEvents(emptyConversation('c'), events);
    const stepwise = events.reduce((c, e) => foldEvents(c, [e]), emptyConversation('c'));
    expect(stepwise).toEqual(once);
  });

  it('does not change the value it was given', () => {
    const before = fold(started, fromCustomer('a'));
    const copy = structuredClone(before);
    foldEvents(before, [{ ...log(fromCustomer('b'))[0], seq: 3 } as ReturnType<typeof log>[number]]);
    expect(before).toEqual(copy);
  });

  it('measures the wait from the wish to the first accept', () => {
    const c = fold(
      started,
      {
        type: 'routing.requested/1',
        head: { request: 'r', target: { kind: 'service' }, cause: 'start', waiting_since: '2026-11-23T08:57:00Z' },
      },
      { type: 'routing.offered/1', head: { request: 'r', offer: 'o', agent: me } },
      { type: 'routing.accepted/1', head: { request: 'r', offer: 'o', agent: me } },
    );
    expect(c.waited).toBe(183_000);
    expect(c.requests).toEqual([]);
  });

  it('keeps a declined queue request waiting, and ends a declined invitation of one agent', () => {
    const c = fold(
      started,
      {
        type: 'routing.requested/1',
        head: { request: 'q', target: { kind: 'service' }, cause: 'start', waiting_since: '2026-11-23T09:00:00Z' },
      },
      {
        type: 'routing.requested/1',
        head: {
          request: 'i',
          target: { kind: 'agent', agent: other },
          cause: 'invite',
          invited_by: me,
          waiting_since: '2026-11-23T09:00:00Z',
        },
      },
      { type: 'routing.declined/1', head: { request: 'q', offer: 'o', agent: me, cause: 'rejected' } },
      { type: 'routing.declined/1', head: { request: 'i', offer: 'p', agent: other, cause: 'expired' } },
    );
    expect(c.requests.map((r) => r.id)).toEqual(['q']);
    expect(lines(c)).toEqual(['invited', 'invite_declined']);
  });

  it('edits, revokes and reacts to earlier messages in place', () => {
    const about = (part: object) => ({
      type: 'message/1' as const,
      head: { id: 'x', author: { kind: 'customer' }, kinds: [] },
      body: { parts: [part] },
    });
    const c = fold(
      started,
      fromCustomer('one', 'm1'),
      fromCustomer('two', 'm2'),
      about({ kind: 'edit', edit: { message: 'm1', text: 'uno' } }),
      about({ kind: 'revoke', revoke: { message: 'm2' } }),
      about({ kind: 'reaction', reaction: { message: 'm1', emoji: '👍' } }),
    );
    const [first, second] = c.items as MessageItem[];
    expect(first).toMatchObject({
      edited: true,
      parts: [{ text: 'uno' }],
      reactions: [{ by: 'customer', emoji: '👍' }],
    });
    expect(second).toMatchObject({ revoked: true, parts: [] });
    expect(c.items).toHaveLength(2);
  });

  it("never shows other words as somebody else's, also from older logs", () => {
    const by = (author: object, part: object) => ({
      type: 'message/1' as const,
      head: { id: 'x', author, kinds: [] },
      body: { parts: [part] },
    });
    const c = fold(
      started,
      fromCustomer('theirs', 'm1'),
      fromAgent('m2'),
      by({ kind: 'customer' }, { kind: 'edit', edit: { message: 'm2', text: 'forged' } }),
      by({ kind: 'customer' }, { kind: 'revoke', revoke: { message: 'm2' } }),
      by({ kind: 'agent', agent: me }, { kind: 'edit', edit: { message: 'm1', text: 'forged' } }),
      by({ kind: 'agent', agent: other }, { kind: 'edit', edit: { message: 'm2', text: 'forged' } }),
    );
    const [theirs, mine] = c.items as MessageItem[];
    expect(theirs).toMatchObject({ parts: [{ text: 'theirs' }] });
    expect(theirs?.edited).toBeUndefined();
    expect(mine).toMatchObject({ parts: [{ text: 'm2' }] });
    expect(mine?.edited ?? mine?.revoked).toBeUndefined();
  });

  it('keeps one reaction of each author', () => {
    const reacts = (author: object, emoji: string) => ({
      type: 'message/1' as const,
      head: { id: 'x', author, kinds: [] },
      body: { parts: [{ kind: 'reaction', reaction: { message: 'm1', emoji } }] },
    });
    const [customer, ana, ben] = [{ kind: 'customer' }, { kind: 'agent', agent: me }, { kind: 'agent', agent: other }];
    const reactions = (...more: Parameters<typeof log>) =>
      (fold(started, fromCustomer('one', 'm1'), ...more).items[0] as MessageItem).reactions?.map((r) => r.emoji);
    expect(reactions(reacts(customer, '👍'), reacts(ana, '🎉'), reacts(ben, '👍'))).toEqual(['👍', '🎉', '👍']);
    expect(reactions(reacts(customer, '👍'), reacts(ana, '🎉'), reacts(customer, '❤️'))).toEqual(['🎉', '❤️']);
    expect(reactions(reacts(customer, '👍'), reacts(ana, '🎉'), reacts(customer, ''))).toEqual(['🎉']);
  });

  it('keeps what is said beside a reaction', () => {
    const c = fold(started, fromCustomer('one', 'm1'), {
      type: 'message/1',
      head: { id: 'x', author: { kind: 'customer' }, kinds: [] },
      body: {
        parts: [
          { kind: 'reaction', reaction: { message: 'm1', emoji: '👍' } },
          { kind: 'text', text: 'and two' },
        ],
      },
    });
    const [one, two] = c.items as MessageItem[];
    expect(one?.reactions).toEqual([{ by: 'customer', emoji: '👍' }]);
    expect(two?.parts).toEqual([{ kind: 'text', text: 'and two' }]);
  });

  it('notes since when the customer waits for an answer (B2)', () => {
    expect(fold(started, fromCustomer('a'), fromCustomer('b')).unansweredSince).toBe('2026-11-23T09:00:01.000Z');
    expect(fold(started, fromCustomer('a'), fromAgent('b')).unansweredSince).toBeUndefined();
  });

  it('takes the inactivity warning back when the customer writes (Q3)', () => {
    const warned = { type: 'inactivity.warned/1' as const, head: { ends_at: '2026-11-23T09:10:00Z' } };
    expect(fold(started, warned).inactivityEndsAt).toBe('2026-11-23T09:10:00Z');
    expect(fold(started, warned, fromAgent('hello?')).inactivityEndsAt).toBe('2026-11-23T09:10:00Z');
    expect(fold(started, warned, fromCustomer('here')).inactivityEndsAt).toBeUndefined();
  });

  it('passes over types that it does not know', () => {
    const c = fold(started, { type: 'call.started/1' as 'message/1' }, fromCustomer('a'));
    expect(c.seq).toBe(3);
    expect(c.items).toHaveLength(1);
  });
});

describe('delivery', () => {
  const of = (...facts: Parameters<typeof log>) => {
    const c = fold(started, fromAgent('m'), ...facts);
    return delivery(c, c.items.find((i) => i.kind === 'message') as MessageItem);
  };
  const receipt = (head: object) => ({ type: 'receipt/1' as const, head: { by: { kind: 'customer' }, ...head } });
  const status = (s: string) => ({ type: 'message.status/1' as const, head: { message: 'm', status: s } });
  it.each([
    ['nothing yet', [], 'sent'],
    ['delivered', [receipt({ delivered: 2 })], 'delivered'],
    ['read counts as delivered', [receipt({ read: 2 })], 'read'],
    ['a mark below it', [receipt({ read: 1 })], 'sent'],
    ['marks never go back', [receipt({ read: 2 }), receipt({ delivered: 1, read: 1 })], 'read'],
    ['a carrier failed', [status('failed')], 'failed'],
    ['a carrier delivered', [status('sent'), status('delivered')], 'delivered'],
  ])('%s', (_, facts, want) => expect(of(...facts)).toBe(want));
});

describe('unread', () => {
  it('counts what others wrote after the own mark and the own last words', () => {
    const c = fold(
      started,
      fromCustomer('a'),
      fromAgent('b'),
      fromCustomer('c'),
      fromAgent('d', other),
      fromCustomer('e'),
    );
    expect(unreadCount(c, me)).toBe(3);
    expect(unreadCount(c, me, 4)).toBe(2);
    expect(unreadCount({ ...c, marks: { [me]: { delivered: 6, read: 6 } } }, me)).toBe(0);
  });
});
