// The chat's life: who the visitor is, what was said, what waits to be sent.
// It knows no DOM but WebSocket and fetch.
import { randomId } from '@parley/shared/id'
import { type Outbox, type OutgoingState, outbox, restored } from '@parley/shared/outbox'
import { type Connection, connection, type Status } from './connection'
import { apply, nothing, outdated, type View } from './fold'
import { asks, type Value } from './panels'
import type { ClientFrame, Cursor, EventFrame, Fields, FilePart, ServerFrame } from './protocol'
import type { Keep } from './storage'
import { upload } from './upload'

/** A frame that the customer sent and the gateway has not made durable yet. */
export interface Pending {
  clientId: string
  at: string
  frame: { t: 'start' | 'message' | 'end' | 'tool' } & Pick<
    Fields,
    'form' | 'parts' | 'locale' | 'session' | 'action' | 'values' | 'revision'
  >
  state: 'waiting' | 'failed'
  code?: string
  /** Of files: kept in this page only. */
  file?: File
  progress?: number
}

/** The same as the outbox has it. */
type Outgoing = Omit<Pending, 'state'> & { state: OutgoingState }

export interface State {
  status: Status
  view: View
  pending: Pending[]
  /** The server has told everything that it knows (or there is no visitor yet). */
  ready: boolean
  typing: { name: string } | null
  queue: { position: number; since: number } | null
  /** Why a start was refused: a published code. */
  problem: string
}

export interface Options {
  url: string
  site: string
  locale: () => string
  page: () => { url: string; title: string }
  local: Keep
  session: Keep
  now?: () => number
  /** A message of the other side's came while the customer was connected. */
  onMessage?: () => void
}

const typingLasts = 6_000
const typingEvery = 3_000
const typingEnds = 5_000
const receiptDelay = 250
const requestTimeout = 10_000
/** Limits of the server's: bytes of a frame, bytes of a page's address, and units of its title. */
const maxFrame = 32 << 10
const maxUrl = 2048
const maxTitle = 300

export class Chat {
  state: State = {
    status: 'idle',
    view: nothing,
    pending: [],
    ready: false,
    typing: null,
    queue: null,
    problem: '',
  }
  private readonly listeners = new Set<() => void>()
  private readonly connection: Connection
  private outgoing: Outgoing[] = []
  private readonly outbox: Outbox<Outgoing>
  private readonly requests = new Map<
    string,
    { done: (f: ServerFrame) => void; failed: (e: Error) => void }
  >()
  private readonly urls = new Map<string, Promise<{ url: string; until: number }>>()
  private readonly now: () => number
  private uploads: Promise<void> = Promise.resolve()
  /** The token of the latest hello, '' for none. */
  private greeted = ''
  private toldPage = ''
  private registering = false
  private live = false
  private visible = false
  private told = { conversation: '', delivered: 0, read: 0 }
  private typingSent = 0
  private typingTimer: ReturnType<typeof setTimeout> | undefined
  private typingOff: ReturnType<typeof setTimeout> | undefined
  private receiptTimer: ReturnType<typeof setTimeout> | undefined
  private lastId = 0

  constructor(private readonly opts: Options) {
    this.now = opts.now ?? Date.now
    this.outbox = outbox<Outgoing>({
      list: () => this.outgoing,
      keep: (list) => this.keep(list),
      open: () => this.live && this.state.status === 'online' && this.token !== '',
      send: (p) => this.send(p),
    })
    this.connection = connection(opts.url, {
      hello: () => this.hello(),
      frame: (f) => this.frame(f),
      status: (status) => {
        if (status !== 'online') {
          this.live = false
          this.registering = false
          this.outbox.lost()
          for (const r of this.requests.values()) r.failed(new Error('offline'))
          this.requests.clear()
          this.patch({ status, typing: null })
        } else this.patch({ status })
      },
    })
    try {
      const kept = JSON.parse(opts.session.get('outbox') || '[]') as Outgoing[]
      this.outgoing = restored(kept.filter((p) => p.clientId && p.frame))
      this.state.pending = this.outgoing.map(shown)
    } catch {}
    this.state.ready = !this.token
  }

  get token(): string {
    return this.opts.local.get('token')
  }

  /** Messages of the other side's that the customer has not seen. */
  get unread(): number {
    const { view } = this.state
    const seen = this.told.conversation === view.conversation ? this.told.read : 0
    const kept = Number(this.opts.local.get(`read:${view.conversation}`) || 0)
    const after = Math.max(seen, kept)
    const messages = view.entries.filter((e) => e.kind === 'message' && !e.mine && e.seq > after)
    return messages.length + view.tools.filter((x) => asks(x.blocks) && x.seq > after).length
  }

  subscribe(f: () => void): () => void {
    this.listeners.add(f)
    return () => this.listeners.delete(f)
  }

  /** Connects a customer who was here before, or who has something to send. */
  resume(): void {
    if (this.token || this.state.pending.length > 0) this.connection.open()
  }

  nudge(): void {
    this.connection.nudge()
  }

  /** Another tab of the site's changed what is kept. */
  sync(): void {
    if (this.state.status === 'idle') this.resume()
    this.patch({})
  }

  stop(): void {
    this.outbox.stop()
    clearTimeout(this.receiptTimer)
    clearTimeout(this.typingTimer)
    clearTimeout(this.typingOff)
    this.connection.close()
  }

  start(form: Record<string, string>): void {
    this.patch({ problem: '' })
    this.queue({ t: 'start', form, locale: this.opts.locale() })
  }

  say(text: string): void {
    this.typed(false)
    this.queue({ t: 'message', parts: [{ kind: 'text', text }] })
  }

  answer(choice: string, title: string): void {
    this.queue({ t: 'message', parts: [{ kind: 'answer', answer: { choice, title } }] })
  }

  /** Presses a button of a tool's panel, whose revision the customer saw. An end waits for no other act's answer. */
  act(session: string, action: string, revision: number, values: Record<string, Value>): void {
    const waits = ({ frame, state }: Outgoing) =>
      frame.session === session && state !== 'failed' && (action !== 'end' || frame.action === 'end')
    if (this.outgoing.some(waits)) return
    this.keep(this.outgoing.filter((p) => p.frame.session !== session))
    const some = Object.keys(values).length > 0
    this.queue({ t: 'tool', session, action, revision, ...(some && { values }) })
  }

  end(): void {
    this.queue({ t: 'end' })
  }

  /** Leaves an ended conversation behind: the request form comes again. */
  fresh(): void {
    this.opts.local.set('conversation', '')
    this.patch({ view: nothing, queue: null, typing: null, problem: '' })
    this.keep(this.outgoing.filter((p) => p.frame.t === 'start' && p.state !== 'failed'))
  }

  attach(file: File): void {
    const clientId = randomId()
    const part: FilePart = { blob: '', name: file.name, mime: file.type, size: file.size }
    this.outbox.add({
      clientId,
      at: new Date(this.now()).toISOString(),
      frame: { t: 'message', parts: [{ kind: 'file', file: part }] },
      state: 'uploading',
      file,
      progress: 0,
    })
    this.uploadNext(clientId)
  }

  /** One file after another: they arrive in the order in which they were chosen. */
  private uploadNext(clientId: string): void {
    this.uploads = this.uploads.then(() => this.upload(clientId))
  }

  /** Tries a failed message again, under its old id. */
  again(clientId: string): void {
    const uploads = this.find(clientId)?.file !== undefined
    this.outbox.change(clientId, { state: uploads ? 'uploading' : 'queued' })
    if (uploads) this.uploadNext(clientId)
    else this.flush()
  }

  discard(clientId: string): void {
    this.outbox.discard(clientId)
  }

  /** The customer types, or stopped. */
  typed(on: boolean): void {
    clearTimeout(this.typingOff)
    const now = this.now()
    if (on) {
      this.typingOff = setTimeout(() => this.typed(false), typingEnds)
      if (now - this.typingSent < typingEvery) return
    } else if (!this.typingSent) return
    if (this.state.view.open) this.connection.send({ t: 'typing', on })
    this.typingSent = on ? now : 0
  }

  /** Whether the customer looks at the chat: what came counts as read. */
  seen(visible: boolean): void {
    this.visible = visible
    if (visible) {
      this.nudge()
      this.receipt()
    }
  }

  /** The customer went to another page, perhaps while the connection was away. */
  page(): void {
    const page = this.place()
    if (!this.live || page.url + page.title === this.toldPage) return
    if (this.connection.send({ t: 'page', page })) this.toldPage = page.url + page.title
  }

  /** A file's address, good for a short time. */
  async fileUrl(blob: string, key: string, thumb: boolean): Promise<string> {
    const name = `${blob}:${thumb}`
    const known = await this.urls.get(name)?.catch(() => undefined)
    if (known && known.until > this.now()) return known.url
    const asked = this.request({ t: 'file', blob, key, thumb }).then((f) => {
      if (f.t !== 'file') throw new Error('no address')
      return { url: f.url, until: new Date(f.expires).getTime() - 10_000 }
    })
    this.urls.set(name, asked)
    return (await asked).url
  }

  private async upload(clientId: string): Promise<void> {
    const one = this.find(clientId)
    if (!one?.file) return
    try {
      const grant = await this.request({ t: 'grant' })
      if (grant.t !== 'grant') throw new Error('no grant')
      const part = await upload(one.file, grant, (progress) => this.outbox.change(clientId, { progress }))
      this.keep(
        this.outgoing.map((p) => (p.clientId === clientId ? uploaded(p, { ...p.frame, parts: [part] }) : p)),
      )
      this.flush()
    } catch (e) {
      this.outbox.change(clientId, { state: 'failed', code: e instanceof Error ? e.message : 'upload' })
    }
  }

  private request(
    frame: { t: 'grant' } | ({ t: 'file' } & Pick<Fields, 'blob' | 'key' | 'thumb'>),
  ): Promise<ServerFrame> {
    const id = `r${++this.lastId}`
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error('timeout')), requestTimeout)
      this.requests.set(id, {
        done: (f) => {
          clearTimeout(timer)
          if (f.t === 'error') failed(new Error(f.code))
          else done(f)
        },
        failed: (e) => {
          clearTimeout(timer)
          failed(e)
        },
      })
      if (!this.connection.send({ ...frame, id })) {
        this.requests.delete(id)
        clearTimeout(timer)
        failed(new Error('offline'))
      }
    })
  }

  private hello(): ClientFrame {
    const { view } = this.state
    const token = this.token
    this.greeted = token
    const kept = this.opts.local.get('conversation')
    let cursor: Cursor | undefined
    if (view.conversation) cursor = { conversation: view.conversation, seq: view.seq, open: view.open }
    else if (kept) cursor = { conversation: kept, seq: 0, open: false }
    return {
      t: 'hello',
      v: 1,
      site: this.opts.site,
      locale: this.opts.locale(),
      page: this.place(),
      ...(token && { token }),
      ...(token && cursor && { cursor }),
    }
  }

  private frame(f: ServerFrame): void {
    switch (f.t) {
      case 'welcome':
        if (f.code === 'token') this.opts.local.set('token', '')
        if (f.known) return
        this.patch({ ready: true })
        if (!this.other()) this.flush()
        return
      case 'visitor':
        if (!this.other()) this.opts.local.set('token', f.token)
        return
      case 'live':
        this.live = true
        if (this.anew()) return
        this.registering = false
        this.patch({ ready: true })
        this.flush()
        this.receipt()
        this.page()
        return
      case 'event':
        this.event(f)
        return
      case 'accepted': {
        const { client_id = '' } = f
        // A message stays in sight until its event comes.
        if (this.find(client_id)?.frame.t === 'message') this.outbox.accepted(client_id)
        else this.discard(client_id)
        return
      }
      case 'refused':
        this.refused(f.client_id ?? '', f.code, f.retry)
        return
      case 'typing':
        clearTimeout(this.typingTimer)
        this.patch({ typing: f.on ? { name: f.name ?? '' } : null })
        if (f.on) this.typingTimer = setTimeout(() => this.patch({ typing: null }), typingLasts)
        return
      case 'queue':
        this.patch({ queue: f.position > 0 ? { position: f.position, since: this.now() - f.wait_ms } : null })
        return
      case 'grant':
      case 'file':
      case 'error': {
        const asked = f.id ? this.requests.get(f.id) : undefined
        if (f.id) this.requests.delete(f.id)
        asked?.done(f)
        return
      }
      default:
    }
  }

  /**
   * Whether another tab became a visitor since this connection's hello, which named none. All tabs
   * are the same visitor, so this one connects again under that token.
   */
  private other(): boolean {
    if (this.greeted || !this.token) return false
    this.connection.resume()
    return true
  }

  /** Requests all events anew if some texts were replaced since they came; false: all are right. */
  private anew(): boolean {
    const view = outdated(this.state.view)
    if (!view) return false
    this.patch({ view })
    this.connection.resume()
    return true
  }

  private event(f: EventFrame): void {
    const view = apply(this.state.view, f)
    if (view === 'gap') {
      if (this.state.view.conversation !== f.conversation) this.patch({ view: nothing })
      this.connection.resume()
      return
    }
    if (view === this.state.view) return
    if (view.conversation !== this.state.view.conversation)
      this.opts.local.set('conversation', view.conversation)
    const change: Partial<State> = { view }
    if (f.type === 'message/1') {
      const author = f.head.author.kind
      if (author !== 'customer') change.typing = null
      if (this.live && author !== 'customer' && author !== 'system') this.opts.onMessage?.()
    }
    if (f.type === 'participant.joined/1' || f.type === 'conversation.ended/1') change.queue = null
    this.patch(change)
    if (this.live && this.anew()) return
    if (f.type === 'message/1' && f.head.client_id) this.discard(f.head.client_id)
    if (f.type === 'conversation.ended/1') {
      this.keep(this.outgoing.filter((p) => p.frame.t !== 'end' && p.frame.t !== 'tool'))
    }
    if (f.type === 'session.ended/1') {
      this.keep(this.outgoing.filter((p) => p.frame.session !== f.head.session))
    }
    this.receiptSoon()
  }

  private refused(clientId: string, code: string, retry: boolean): void {
    const one = this.find(clientId)
    // What a tool did not take holds no messages up: the customer is asked whether to try again.
    if (retry && one?.frame.t !== 'tool') {
      this.outbox.later(clientId)
      return
    }
    if (!one) return
    if (one.frame.t === 'message' || one.frame.t === 'tool')
      this.outbox.change(clientId, { state: 'failed', code })
    else {
      this.discard(clientId)
      if (one.frame.t === 'start') this.patch({ problem: code })
    }
  }

  private queue(frame: Pending['frame']): void {
    const one: Outgoing = {
      clientId: randomId(),
      at: new Date(this.now()).toISOString(),
      frame,
      state: 'queued',
    }
    if (frame.t === 'start' && !fits(this.wire(one))) {
      this.patch({ problem: 'too_long' }) // the form stays, and what was entered
      return
    }
    this.outbox.add(one)
    this.connection.open()
    this.nudge()
    this.flush()
  }

  /** Sends what is not durable. */
  private flush(): void {
    if (this.state.status === 'online' && !this.token) {
      // A start's visitor is made first: the token must be kept before
      // anything is stored under it.
      const starts = this.outgoing.some((p) => p.frame.t === 'start' && p.state === 'queued')
      if (starts && !this.registering) this.registering = this.connection.send({ t: 'register' })
    } else this.outbox.flush()
  }

  private send(one: Outgoing): void {
    const frame = this.wire(one)
    if (fits(frame)) this.connection.send(frame)
    else this.refused(one.clientId, 'too_long', false)
  }

  private wire({ clientId, frame }: Outgoing): ClientFrame {
    return { ...frame, client_id: clientId, ...(frame.t === 'start' && { page: this.place() }) }
  }

  /** The page in which the customer is. Of a long address the query and the fragment are left out. */
  private place(): { url: string; title: string } {
    const { url, title } = this.opts.page()
    const short = url.length > maxUrl ? (url.split(/[?#]/)[0] ?? '') : url
    return { url: short.length > maxUrl ? '' : short, title: title.slice(0, maxTitle) }
  }

  private find(clientId: string): Outgoing | undefined {
    return this.outgoing.find((p) => p.clientId === clientId)
  }

  private receiptSoon(): void {
    clearTimeout(this.receiptTimer)
    this.receiptTimer = setTimeout(() => this.receipt(), receiptDelay)
  }

  private receipt(): void {
    const { view } = this.state
    const said = view.entries.findLast((e) => e.kind !== 'message' || !e.mine)?.seq ?? 0
    const theirs = Math.max(said, ...view.tools.map((x) => x.seq))
    if (!view.conversation || !theirs) return
    if (this.told.conversation !== view.conversation) {
      this.told = { conversation: view.conversation, delivered: 0, read: 0 }
    }
    const read = this.visible ? theirs : this.told.read
    if (read > this.told.read && read > Number(this.opts.local.get(`read:${view.conversation}`) || 0)) {
      this.forgetReads(view.conversation)
      this.opts.local.set(`read:${view.conversation}`, String(read))
    }
    if (theirs <= this.told.delivered && read <= this.told.read) return
    const sent = view.open
      ? this.connection.send({ t: 'receipt', conversation: view.conversation, delivered: theirs, read })
      : true
    if (sent) {
      this.told = { conversation: view.conversation, delivered: theirs, read }
      this.patch({})
    }
  }

  /** One conversation's mark is kept at a time. */
  private forgetReads(keep: string): void {
    const before = this.opts.local.get('read')
    if (before && before !== keep) this.opts.local.set(`read:${before}`, '')
    this.opts.local.set('read', keep)
  }

  private keep(outgoing: Outgoing[]): void {
    this.outgoing = outgoing
    // Files cannot be kept over a reload; what was entered into a tool's fields must not.
    const kept = outgoing.filter((p) => !p.file && !p.frame.values)
    this.opts.session.set('outbox', kept.length ? JSON.stringify(kept) : '')
    this.patch({ pending: outgoing.map(shown) })
  }

  private patch(change: Partial<State>): void {
    this.state = { ...this.state, ...change }
    for (const f of this.listeners) f()
  }
}

/** Whether a frame is short enough for the server, which refuses longer ones and closes the socket for much longer ones. */
const fits = (frame: ClientFrame) => new TextEncoder().encode(JSON.stringify(frame)).length <= maxFrame

function uploaded(p: Outgoing, frame: Pending['frame']): Outgoing {
  const { file: _, progress: __, ...rest } = p
  return { ...rest, frame, state: 'queued' }
}

/** What the panel shows of a message: it is failed, or it waits, whatever the outbox does with it. */
function shown(p: Outgoing): Pending {
  return { ...p, state: p.state === 'failed' ? 'failed' : 'waiting' }
}
