import type { ServerFrame } from '@parley/shared/protocol';
import { describe, expect, it } from 'vitest';
import { applyFrames } from '../../src/store/frames';
import { type DeskState, initialState } from '../../src/store/state';
import { agent, frame, fromAgent, fromCustomer, joined, log, offer, started, welcome } from './events';

const run = (frames: ServerFrame[], from: DeskState = initialState()) => applyFrames(from, frames, Date.now());
const state = (frames: ServerFrame[], from?: DeskState) => run(frames, from)[0];

const events = log(started, fromCustomer('a'), fromCustomer('b'), fromAgent('c'));
const frames = events.map((e) => frame('c1', e));
const begin: ServerFrame[] = [welcome(), agent(['c1']), joined('c1')];

describe('events', () => {
  it('ignores repeats', () => {
    const once = state([...begin, ...frames]);
    expect(state(frames, once).conversations.c1).toEqual(once.conversations.c1);
  });

  it('asks once for what is missing, from where it stands, and takes nothing out of order', () => {
    const [s, effects] = run([...begin, frames[0] as ServerFrame, ...frames.slice(2)]);
    expect(effects).toEqual([{ kind: 'watch', conversation: 'c1', after: 1 }]);
    expect(s.conversations.c1?.seq).toBe(1);
    const [healed, more] = run(frames.slice(1), s);
    expect(more).toEqual([]);
    expect(healed.conversations.c1).toMatchObject({ seq: 4, asked: -1 });
  });

  it('takes sequences that skip what this reader may not see', () => {
    const skipping = [frames[0], frame('c1', events[3] as (typeof events)[number], 1)] as ServerFrame[];
    const [s, effects] = run([...begin, ...skipping]);
    expect(effects).toEqual([]);
    expect(s.conversations.c1?.seq).toBe(4);
  });

  it('asks again after a reconnect when the answer was lost with the line', () => {
    const gap = state([...begin, frames[0] as ServerFrame, frames[2] as ServerFrame]);
    const [, effects] = run([welcome(), agent(['c1']), frames[3] as ServerFrame], gap);
    expect(effects).toEqual([{ kind: 'watch', conversation: 'c1', after: 1 }]);
  });

  it('rings for new messages of the customer only: not for a replay, not for an agent', () => {
    const message = (s: [DeskState, { kind: string }[]]) => s[1].filter((e) => e.kind === 'message').length;
    expect(message(run([...begin, ...frames]))).toBe(0);
    const live = state([...begin, frames[0] as ServerFrame, { t: 'live', conversation: 'c1' }]);
    expect(message(run(frames.slice(1), live))).toBe(2);
  });

  it('does not bring back a conversation that has left the list', () => {
    const gone = state([...begin, ...frames.slice(0, 2), { t: 'parted', conversation: 'c1' }, ...frames.slice(2)]);
    expect(gone.conversations).toEqual({});
  });

  it('replaces an unconfirmed message by its event', () => {
    const from = state(begin);
    from.outgoing = [
      { clientId: 'k1', conversation: 'c1', at: '', text: 'c', uploads: [], state: 'sending' },
      { clientId: 'k2', conversation: 'c1', at: '', text: 'd', uploads: [], state: 'queued' },
    ];
    const [own] = log(fromAgent('c', undefined, 'k1'));
    const s = state([frame('c1', own as (typeof events)[number])], from);
    expect(s.outgoing.map((o) => o.clientId)).toEqual(['k2']);
  });
});

describe('texts that were replaced', () => {
  const rewritten = {
    type: 'content.rewritten/1',
    head: { by: { kind: 'agent' }, seqs: [2], reason: 'masked', audience: 'agent' },
  } as const;
  const before = log(started, fromCustomer('4111 1111', 'm1'), rewritten).map((e) => frame('c1', e));
  const after = log(started, fromCustomer('####', 'm1'), rewritten, fromCustomer('and on', 'm2'), rewritten).map((e) =>
    frame('c1', e),
  );
  const texts = (s: DeskState) => JSON.stringify(s.conversations.c1?.items);
  const live: ServerFrame = { t: 'live', conversation: 'c1' };
  const again = [{ kind: 'watch', conversation: 'c1', after: 0 }];

  it('are requested anew, once, and nothing of the old ones is kept', () => {
    const old = state([...begin, ...before.slice(0, 2), live]);
    expect(texts(old)).toContain('4111');
    const [told, effects] = run(before.slice(2), old);
    expect(effects).toEqual(again);
    expect(texts(told)).not.toContain('4111');
    expect(told.conversations.c1).toMatchObject({ member: old.conversations.c1?.member, seq: 0, live: false });
    // An event that was on its way is no reason to ask again.
    const [early, none] = run(after.slice(3, 4), told);
    expect(none).toEqual([]);
    const [anew, more] = run([...after.slice(0, 4), live], early);
    expect(more).toEqual([]);
    expect(texts(anew)).toMatch(/####.*and on/);
    expect(run(after.slice(4), anew)[1]).toEqual(again);
  });

  it('are requested anew when history was read, which may be older than the event that tells', () => {
    const [read, early] = run([...begin, ...before]);
    expect(early).toEqual([]);
    const [caught, effects] = run([live], read);
    expect(effects).toEqual(again);
    expect(run([...after.slice(0, 4), live], caught)[1]).toEqual([]);
  });
});

describe('active list', () => {
  it('gives the focus to the first conversation, and leaves it there (K1)', () => {
    expect(state([...begin, joined('c2')])).toMatchObject({ active: ['c1', 'c2'], focus: 'c1' });
  });

  it('gives it to the one that is wanted (A6, and after a reload)', () => {
    const s = state([agent(['c1', 'c2']), joined('c1'), joined('c2')], { ...initialState(), focusWanted: 'c2' });
    expect(s).toMatchObject({ focus: 'c2', focusWanted: null });
  });

  it('moves it to the neighbour when the focused one goes', () => {
    const s = { ...state([...begin, joined('c2'), joined('c3')]), focus: 'c2' };
    expect(state([{ t: 'parted', conversation: 'c2' }], s).focus).toBe('c3');
    expect(state([{ t: 'parted', conversation: 'c3' }], s).focus).toBe('c2');
  });

  it('drops after a reconnect what is no longer there, keeping the rest and its focus', () => {
    const before = state([...begin, joined('c2')]);
    const [s, effects] = run([welcome(), agent(['c2'])], { ...before, focus: 'c1' });
    expect(s).toMatchObject({ active: ['c2'], focus: 'c2' });
    expect(effects).toMatchObject([{ kind: 'gone', conversation: { id: 'c1' } }]);
    // Only the first state after a reconnect drops what is missing in it; a later one of the same
    // connection does not.
    expect(state([agent([])], s).active).toEqual(['c2']);
  });

  it('follows the membership into wrap-up', () => {
    const wrapup: ServerFrame = {
      t: 'agent',
      agent: {
        seq: 2,
        status: 'acw',
        reason: '',
        pending: '',
        ready_after_work: false,
        since: '',
        offers: [],
        conversations: [{ conversation: 'c1', state: 'wrapup', wrapup_until: '2026-11-23T10:00:00Z' }],
      },
    };
    expect(state([...begin, wrapup]).conversations.c1).toMatchObject({
      member: 'wrapup',
      wrapupUntil: '2026-11-23T10:00:00Z',
    });
  });
});

describe('offers', () => {
  it('stacks them in order, shows a repeat once, and takes them away', () => {
    const s = state([welcome(), agent([], ['o1', 'o2']), offer('o1'), offer('o2'), offer('o1')]);
    expect(s.offers.map((o) => o.offer)).toEqual(['o1', 'o2']);
    expect(state([{ t: 'offer_end', offer: 'o1', cause: 'withdrawn' }], s).offers.map((o) => o.offer)).toEqual(['o2']);
  });

  it('keeps through a reconnect those that are still offered', () => {
    const s = state([welcome(), agent([], ['o1', 'o2']), offer('o1'), offer('o2')]);
    expect(state([welcome(), agent([], ['o2'])], s).offers.map((o) => o.offer)).toEqual(['o2']);
  });
});

describe('typing', () => {
  const on = { t: 'typing', conversation: 'c1', on: true, who: { kind: 'customer' }, name: '' } as const;
  it('ends with the word said or with off', () => {
    const s = state([...begin, frames[0] as ServerFrame, on]);
    expect(Object.keys(s.typing.c1 ?? {})).toEqual(['customer']);
    expect(state([frames[1] as ServerFrame], s).typing.c1).toEqual({});
    expect(state([{ ...on, on: false }], s).typing.c1).toEqual({});
  });
});

it('reckons in the server’s time', () => {
  const s = applyFrames(initialState(), [welcome('2026-11-23T10:00:05Z')], Date.parse('2026-11-23T10:00:00Z'))[0];
  expect(s.skew).toBe(5000);
});
