import { describe, expect, it } from 'vitest'
import { apply, type MessageEntry, nothing, outdated, type View } from '../src/panel/fold'
import type { EventFrame } from '../src/panel/protocol'

let conversation = 'c1'
type Of<T extends EventFrame['type']> = Extract<EventFrame, { type: T }>
/** An event whose head and body are as far as the test tells them, which must be as the log has them. */
function ev<T extends EventFrame['type']>(
  seq: number,
  prev: number,
  type: T | 'something.new/3',
  head: Partial<Of<T>['head']> = {},
  body?: Of<T>['body'],
): EventFrame {
  return {
    t: 'event',
    conversation,
    seq,
    prev,
    at: '2026-11-23T10:00:00Z',
    type,
    head,
    ...(body && { body }),
  } as EventFrame
}
const fold = (events: EventFrame[], from: View = nothing) =>
  events.reduce<View>((v, e) => {
    const next = apply(v, e)
    if (next === 'gap') throw new Error(`gap at ${e.seq}`)
    return next
  }, from)

const ana = { kind: 'agent', agent: 'a1' } as const
const story = () => [
  ev(1, 0, 'conversation.started/1'),
  ev(
    2,
    1,
    'message/1',
    { id: 'm1', author: { kind: 'customer' }, client_id: 'x' },
    { parts: [{ kind: 'text', text: 'hi' }] },
  ),
  ev(5, 2, 'participant.joined/1', { who: ana }, { name: 'Ana' }),
  ev(6, 5, 'message/1', { id: 'm2', author: ana }, { parts: [{ kind: 'text', text: 'hello' }] }),
  ev(8, 6, 'receipt/1', { by: ana, delivered: 5, read: 2 }),
  ev(9, 8, 'receipt/1', { by: { kind: 'customer' }, delivered: 99, read: 99 }),
  ev(10, 9, 'something.new/3'),
  ev(11, 10, 'inactivity.warned/1', {}, { text: 'Still there?' }),
  ev(12, 11, 'participant.left/1', { who: ana }),
  ev(13, 12, 'conversation.ended/1', { by: ana }),
]

describe('changes of earlier messages', () => {
  const me = { kind: 'customer' } as const
  const said = (seq: number, id: string, author: typeof ana | typeof me, parts: object[], replyTo = '') =>
    ev(seq, seq - 1, 'message/1', { id, author, ...(replyTo && { reply_to: replyTo }) }, {
      parts,
    } as Of<'message/1'>['body'])
  const text = (t: string) => ({ kind: 'text', text: t })
  const entries = (...events: EventFrame[]) =>
    fold([
      ev(1, 0, 'conversation.started/1'),
      said(2, 'm1', me, [text('hi')]),
      said(3, 'm2', ana, [text('helo')]),
      ...events,
    ]).entries as MessageEntry[]

  it('edits, takes back and reacts in place', () => {
    const [mine, hers, ...more] = entries(
      said(4, 'm3', ana, [{ kind: 'edit', edit: { message: 'm2', text: 'hello' } }]),
      said(5, 'm4', ana, [{ kind: 'reaction', reaction: { message: 'm1', emoji: '👍' } }]),
      said(6, 'm5', ana, [{ kind: 'reaction', reaction: { message: 'm1', emoji: '🎉' } }]),
      said(7, 'm6', me, [{ kind: 'revoke', revoke: { message: 'm1' } }]),
    )
    expect(more).toEqual([])
    expect(hers).toMatchObject({ edited: true, parts: [text('hello')] })
    expect(mine).toMatchObject({ revoked: true, parts: [] })
    expect(Object.values(mine?.reactions ?? {})).toEqual(['🎉'])
  })

  it("leaves others' messages alone, and names what a message answers", () => {
    const [mine, , answer] = entries(
      said(4, 'm3', ana, [{ kind: 'edit', edit: { message: 'm1', text: 'changed' } }]),
      said(5, 'm4', ana, [{ kind: 'revoke', revoke: { message: 'm1' } }]),
      said(6, 'm5', ana, [text('yes')], 'm1'),
    )
    expect(mine).toMatchObject({ parts: [text('hi')] })
    expect(mine?.edited ?? mine?.revoked).toBeUndefined()
    expect(answer?.replyTo).toBe('m1')
  })
})

it('asks for everything anew after texts were replaced, once for each time', () => {
  const v = fold([ev(1, 0, 'conversation.started/1'), ev(3, 1, 'content.rewritten/1', { seqs: [1] })])
  const anew = outdated(v)
  expect(anew).toMatchObject({ conversation, seq: 0, open: true, entries: [] })
  expect(
    outdated(fold([ev(1, 0, 'conversation.started/1'), ev(3, 1, 'content.rewritten/1', {})], anew)),
  ).toBeUndefined()
})

describe('fold', () => {
  it('tells the story', () => {
    conversation = 'c1'
    const v = fold(story())
    expect(v.open).toBe(false)
    expect(v.seq).toBe(13)
    expect([v.delivered, v.read]).toEqual([5, 2])
    expect(
      v.entries.map((e) =>
        e.kind === 'message'
          ? `${e.mine ? 'me' : e.name}: ${e.parts[0]?.text}`
          : `${e.what} ${e.name || e.text}`,
      ),
    ).toEqual(['me: hi', 'joined Ana', 'Ana: hello', 'warned Still there?', 'left Ana', 'ended '])
  })

  it('is the same when everything comes twice', () => {
    const once = fold(story())
    expect(fold(story(), once)).toEqual(once)
    expect(fold(story().flatMap((e) => [e, e]))).toEqual(once)
  })

  it('finds a gap', () => {
    const [first, , third] = story() as [EventFrame, EventFrame, EventFrame]
    expect(apply(fold([first]), third)).toBe('gap')
    expect(apply(nothing, third)).toBe('gap')
  })

  it('starts again with the next conversation', () => {
    const v = fold(story())
    conversation = 'c2'
    const next = fold([ev(1, 0, 'conversation.started/1')], v)
    expect([next.conversation, next.open, next.entries.length]).toEqual(['c2', true, 0])
    conversation = 'c1'
  })

  it('keeps a tool in sight whose panel was cleared', () => {
    conversation = 'c1'
    const shows = (seq: number, revision: number, blocks: object[]) =>
      ev(seq, seq - 1, 'session.customer_panel/1', { session: 's1', revision }, { blocks })
    const by = { kind: 'agent' } as const
    const head = { session: 's1', kind: 'tool', by, plugin: 'p', audience: 'customer' }
    const seen = (...events: EventFrame[]) =>
      fold([ev(1, 0, 'conversation.started/1'), ev(2, 1, 'session.requested/1', head), ...events])
    const text = { type: 'text', text: 'x' }
    expect(seen(shows(3, 1, [])).tools[0]?.shown, 'it never had anything to show').toBe(false)
    const cleared = seen(shows(3, 1, [text]), shows(4, 2, []))
    expect(cleared.tools[0]).toMatchObject({ shown: true, blocks: [], revision: 2 })
    const ended = ev(5, 4, 'session.ended/1', { ...head, cause: 'finished' })
    expect(fold([ended], cleared).entries.at(-1)).toMatchObject({ kind: 'notice', what: 'tool_ended' })
  })

  it('shows what tools show, and says when they are over', () => {
    conversation = 'c1'
    const by = { kind: 'agent' } as const
    const asked = (session: string, kind = 'tool') => ({
      session,
      kind,
      by,
      plugin: 'p',
      audience: 'customer',
    })
    const button = { type: 'button', action: 'accept', label: 'Yes' }
    let v = fold([
      ev(1, 0, 'conversation.started/1'),
      ev(2, 1, 'session.requested/1', asked('s1')),
      ev(3, 2, 'session.requested/1', asked('s2')),
      ev(4, 3, 'session.requested/1', asked('call', 'call')),
      ev(5, 4, 'session.customer_panel/1', { session: 's1', revision: 4 }, { blocks: [button] }),
      ev(6, 5, 'session.customer_panel/1', { session: 's1', revision: 3 }, { blocks: [] }),
      ev(7, 6, 'session.customer_panel/1', { session: 'strange', revision: 9 }, { blocks: [button] }),
    ])
    expect(v.tools.map((x) => [x.session, x.revision, x.blocks.length])).toEqual([
      ['s1', 4, 1],
      ['s2', 0, 0],
    ])
    const ended = (seq: number, session: string, cause: string) =>
      ev(seq, seq - 1, 'session.ended/1', { session, kind: 'tool', by, cause, audience: 'customer' })
    v = fold(
      [
        ev(8, 7, 'session.noted/1', { session: 's1', audience: 'customer' }, { text: 'Well done.' }),
        ended(9, 's1', 'lost'),
        ended(10, 's2', 'finished'),
        ended(11, 's1', 'finished'),
      ],
      v,
    )
    expect(v.tools).toEqual([])
    expect(v.entries.map((e) => e.kind === 'notice' && [e.what, e.text])).toEqual([
      ['system', 'Well done.'],
      ['tool_lost', ''],
    ])
  })
})
