// A conversation is the fold of its events: pure, so that a reload, a second
// tab and a reconnect all show the same.
import type { EventFrame, Part } from './frames'

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
}

export interface NoticeEntry {
  kind: 'notice'
  seq: number
  at: string
  what: 'joined' | 'left' | 'warned' | 'ended' | 'system'
  name: string
  text: string
}

export type Entry = MessageEntry | NoticeEntry

export interface View {
  conversation: string
  seq: number
  open: boolean
  entries: Entry[]
  /** Display names of the agents who take part, by id. */
  agents: Record<string, string>
  /** How far the other side has received and read. */
  delivered: number
  read: number
}

export const nothing: View = {
  conversation: '',
  seq: 0,
  open: false,
  entries: [],
  agents: {},
  delivered: 0,
  read: 0,
}

/**
 * Adds an event. Repeats change nothing; 'gap' says that events before this
 * one are missing and must be asked for again.
 */
export function apply(view: View, ev: EventFrame): View | 'gap' {
  if (ev.conversation !== view.conversation) {
    if (ev.prev !== 0) return 'gap'
    view = { ...nothing, conversation: ev.conversation, open: true }
  } else if (ev.seq <= view.seq) {
    return view
  } else if (ev.prev > view.seq) {
    return 'gap'
  }
  return step({ ...view, seq: ev.seq }, ev)
}

function step(view: View, ev: EventFrame): View {
  const { head, body } = ev
  switch (ev.type) {
    case 'message/1':
      return message(view, ev)
    case 'receipt/1': {
      if (head.by?.kind === 'customer') return view
      return {
        ...view,
        delivered: Math.max(view.delivered, head.delivered ?? 0, head.read ?? 0),
        read: Math.max(view.read, head.read ?? 0),
      }
    }
    case 'participant.joined/1': {
      if (head.who?.kind !== 'agent') return view
      const name = body?.name ?? ''
      return note({ ...view, agents: { ...view.agents, [head.who.agent ?? '']: name } }, ev, 'joined', name)
    }
    case 'participant.left/1': {
      if (head.who?.kind !== 'agent') return view
      const { [head.who.agent ?? '']: name = '', ...agents } = view.agents
      // After the end everybody leaves; that is no news.
      return view.open ? note({ ...view, agents }, ev, 'left', name) : { ...view, agents }
    }
    case 'inactivity.warned/1':
      return note(view, ev, 'warned')
    case 'conversation.ended/1':
      return { ...note(view, ev, 'ended'), open: false }
    default:
      return view
  }
}

function note(view: View, ev: EventFrame, what: NoticeEntry['what'], name = ''): View {
  const entry: NoticeEntry = { kind: 'notice', seq: ev.seq, at: ev.at, what, name, text: ev.body?.text ?? '' }
  return { ...view, entries: [...view.entries, entry] }
}

function message(view: View, ev: EventFrame): View {
  const author = ev.head.author?.kind ?? 'system'
  const parts = ev.body?.parts ?? []
  if (author === 'system') {
    const text = parts.map((p) => p.text ?? '').join('\n')
    return note(view, { ...ev, body: { text } }, 'system')
  }
  const entry: MessageEntry = {
    kind: 'message',
    seq: ev.seq,
    id: ev.head.id ?? '',
    clientId: ev.head.client_id ?? '',
    mine: author === 'customer',
    bot: author === 'bot',
    name: ev.body?.name ?? view.agents[ev.head.author?.agent ?? ''] ?? '',
    at: ev.at,
    parts,
    keys: ev.file_keys ?? {},
  }
  return { ...view, entries: [...view.entries, entry] }
}
