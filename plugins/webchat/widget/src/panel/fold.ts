// A conversation is the fold of its events: pure, so that a reload, a second
// tab and a reconnect all show the same.
import { advance, order } from '@parley/shared/fold'
import type { Part as StoredPart } from '@parley/shared/protocol'
import { type Block, panel } from './panels'
import type { EventFrame, FilePart } from './protocol'

/** A part as it is shown: of an event, or sent from here. */
export type Part = Omit<StoredPart, 'file'> & { file?: FilePart & { caption?: string } }

type Of<T extends EventFrame['type']> = Extract<EventFrame, { type: T }>

export interface MessageEntry {
  kind: 'message'
  seq: number
  id: string
  clientId: string
  mine: boolean
  bot: boolean
  name: string
  at: string
  parts: Part[]
  keys: Record<string, string>
  /** The message that this one answers, '' for none. */
  replyTo: string
  edited?: boolean
  revoked?: boolean
  /** The latest reaction of each author, by kind and id of the author. */
  reactions?: Record<string, string>
  /** Who wrote it, as `reactions` names authors. */
  author: string
}

export interface NoticeEntry {
  kind: 'notice'
  seq: number
  at: string
  what: 'joined' | 'left' | 'warned' | 'ended' | 'system' | 'tool_ended' | 'tool_lost'
  name: string
  text: string
}

export type Entry = MessageEntry | NoticeEntry

/** A tool that is used in the conversation and that the customer knows of. */
export interface Tool {
  session: string
  /** The customer asked for it. */
  mine: boolean
  /** The panel's, and the event's that showed it; 0: there was none yet. */
  revision: number
  seq: number
  blocks: Block[]
  /** The customer has seen something of it, which may have been cleared since. */
  shown: boolean
}

export interface View {
  conversation: string
  seq: number
  open: boolean
  entries: Entry[]
  /** Display names of the agents who take part, by id. */
  agents: Record<string, string>
  tools: Tool[]
  /** How far the other side has received and read. */
  delivered: number
  read: number
  /** The last event that says that texts before it were replaced, 0 for none. */
  rewritten: number
  /** What `rewritten` was when all events were last requested anew. */
  reread: number
}

export const nothing: View = {
  conversation: '',
  seq: 0,
  open: false,
  entries: [],
  agents: {},
  tools: [],
  delivered: 0,
  read: 0,
  rewritten: 0,
  reread: 0,
}

/**
 * The view before all events come anew, since some texts in it may be those that were replaced;
 * undefined: it is right as it is.
 */
export function outdated({ rewritten, reread, conversation, open }: View): View | undefined {
  return rewritten > reread ? { ...nothing, conversation, open, rewritten, reread: rewritten } : undefined
}

/**
 * Adds an event. Repeats change nothing; 'gap' says that events before this
 * one are missing and must be asked for again.
 */
export function apply(view: View, ev: EventFrame): View | 'gap' {
  const { conversation, seq } = ev
  const same = conversation === view.conversation
  const place = order(same ? view.seq : 0, ev)
  if (place === 'gap') return 'gap'
  if (place === 'repeat') return view
  return step(same ? { ...view, seq } : { ...nothing, conversation, seq, open: true }, ev)
}

function step(view: View, ev: EventFrame): View {
  switch (ev.type) {
    case 'message/1':
      return message(view, ev)
    case 'content.rewritten/1':
      return { ...view, rewritten: ev.seq }
    case 'receipt/1': {
      if (ev.head.by.kind === 'customer') return view
      return { ...view, ...advance(view, ev.head) }
    }
    case 'participant.joined/1': {
      const { who } = ev.head
      if (who.kind !== 'agent') return view
      const name = ev.body?.name ?? ''
      return note({ ...view, agents: { ...view.agents, [who.agent ?? '']: name } }, ev, 'joined', name)
    }
    case 'participant.left/1': {
      const { who } = ev.head
      if (who.kind !== 'agent') return view
      const { [who.agent ?? '']: name = '', ...agents } = view.agents
      // After the end everybody leaves; that is no news.
      return view.open ? note({ ...view, agents }, ev, 'left', name) : { ...view, agents }
    }
    case 'inactivity.warned/1':
      return note(view, ev, 'warned', '', ev.body?.text)
    case 'conversation.ended/1':
      return { ...note(view, ev, 'ended'), open: false, tools: [] }
    case 'session.requested/1': {
      const { session, kind, by } = ev.head
      if (kind !== 'tool') return view
      const one: Tool = {
        session,
        mine: by.kind === 'customer',
        revision: 0,
        seq: 0,
        blocks: [],
        shown: false,
      }
      return { ...view, tools: [...view.tools, one] }
    }
    case 'session.customer_panel/1': {
      const { session, revision } = ev.head
      const blocks = panel(ev.body?.blocks)
      return {
        ...view,
        tools: view.tools.map((x) =>
          x.session === session && revision > x.revision
            ? { ...x, revision, seq: ev.seq, blocks, shown: x.shown || blocks.length > 0 }
            : x,
        ),
      }
    }
    case 'session.noted/1':
      return note(view, ev, 'system', '', ev.body?.text)
    case 'session.ended/1':
      return ended(view, ev)
    default:
      return view
  }
}

function ended(view: View, ev: Of<'session.ended/1'>): View {
  const { session, cause } = ev.head
  const known = view.tools.find((x) => x.session === session)
  if (!known) return view
  const after = { ...view, tools: view.tools.filter((x) => x !== known) }
  // One that was never shown is no news, except to who asked for it.
  if (!known.mine && !known.shown) return after
  return note(after, ev, cause === 'lost' || cause === 'failed' ? 'tool_lost' : 'tool_ended')
}

function note(view: View, ev: EventFrame, what: NoticeEntry['what'], name = '', text = ''): View {
  const entry: NoticeEntry = { kind: 'notice', seq: ev.seq, at: ev.at, what, name, text }
  return { ...view, entries: [...view.entries, entry] }
}

function message(view: View, ev: Of<'message/1'>): View {
  const { id, author, client_id = '', reply_to: replyTo = '' } = ev.head
  const all = ev.body?.parts ?? []
  const by = `${author.kind}:${author.agent ?? ''}`
  for (const part of all) view = changed(view, by, part)
  const parts = all.filter((p) => !p.edit && !p.revoke && !p.reaction)
  if (all.length && !parts.length) return view
  if (author.kind === 'system') {
    return note(view, ev, 'system', '', parts.map((p) => p.text ?? '').join('\n'))
  }
  const entry: MessageEntry = {
    kind: 'message',
    seq: ev.seq,
    id,
    clientId: client_id,
    mine: author.kind === 'customer',
    bot: author.kind === 'bot',
    name: ev.body?.name ?? view.agents[author.agent ?? ''] ?? '',
    at: ev.at,
    parts,
    keys: ev.file_keys ?? {},
    replyTo,
    author: by,
  }
  return { ...view, entries: [...view.entries, entry] }
}

/** What a part changes in an earlier message, which only its author edits or takes back. */
function changed(view: View, by: string, { edit, revoke, reaction }: StoredPart): View {
  const id = (edit ?? revoke ?? reaction)?.message
  if (!id) return view
  const entries = view.entries.map((e): Entry => {
    if (e.kind !== 'message' || e.id !== id) return e
    if (reaction) return { ...e, reactions: { ...e.reactions, [by]: reaction.emoji ?? '' } }
    if (e.author !== by) return e
    if (edit) return { ...e, edited: true, parts: [{ kind: 'text', text: edit.text }] }
    return { ...e, revoked: true, parts: [] }
  })
  return { ...view, entries }
}
