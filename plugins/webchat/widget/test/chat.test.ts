import type { AuthorKind } from '@parley/shared/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Chat } from '../src/panel/chat'
import type { ClientFrame, EventFrame, ServerFrame } from '../src/panel/protocol'
import { keep } from '../src/panel/storage'

/**
 * A server with one visitor: it keeps a log, recognises repeats by client id, and can be
 * unreachable.
 */
class Server {
  away = false
  refuseNext = 0
  log: { seq: number; type: EventFrame['type']; clientId: string; text: string; by: AuthorKind }[] = []
  seen: Record<string, number> = {}
  received: ClientFrame[] = []
  sockets = new Set<FakeSocket>()
  silent = false
  tokens = 0

  post(type: EventFrame['type'], by: AuthorKind, clientId = '', text = '') {
    this.log.push({ seq: this.log.length + 1, type, clientId, text, by })
    for (const s of this.sockets) if (s.known) this.event(s, this.log.length)
  }
  event(s: FakeSocket, seq: number) {
    const e = this.log[seq - 1]
    if (!e) return
    const at = new Date().toISOString()
    const rest = { t: 'event', conversation: 'c1', seq, prev: seq - 1, at } as const
    const author = { kind: e.by }
    if (e.type !== 'message/1') return s.push({ ...rest, type: e.type, head: {} } as EventFrame)
    s.push({
      ...rest,
      type: e.type,
      head: { id: `m${seq}`, author, kinds: ['text'], ...(e.clientId && { client_id: e.clientId }) },
      body: { parts: [{ kind: 'text', text: e.text }] },
    })
  }
  take(s: FakeSocket, f: ClientFrame) {
    this.received.push(f)
    if (this.silent) return
    switch (f.t) {
      case 'hello':
        s.push({ t: 'welcome', v: 1, site: f.site, known: Boolean(f.token), time: '' })
        if (f.token) this.follow(s, f.cursor?.seq ?? 0)
        return
      case 'register':
        s.push({ t: 'visitor', token: `token-${++this.tokens}` })
        this.follow(s, 0)
        return
      case 'ping':
        s.push({ t: 'pong', id: f.id })
        return
      case 'start':
      case 'message': {
        if (this.refuseNext-- > 0) {
          s.push({ t: 'refused', client_id: f.client_id, code: 'unavailable', retry: true })
          return
        }
        if (!this.seen[f.client_id]) {
          if (f.t === 'start') this.post('conversation.started/1', 'system')
          const text = (f.t === 'start' && f.form?.message) || f.parts?.[0]?.text
          if (text) this.post('message/1', 'customer', f.client_id, text)
          this.seen[f.client_id] = this.log.length
        }
        const seq = this.seen[f.client_id] ?? 0
        s.push({ t: 'accepted', client_id: f.client_id, conversation: 'c1', seq })
        return
      }
    }
  }
  follow(s: FakeSocket, after: number) {
    s.known = true
    for (let seq = after + 1; seq <= this.log.length; seq++) this.event(s, seq)
    s.push({ t: 'live' })
  }
  drop(code = 1006) {
    for (const s of [...this.sockets]) s.end(code)
  }
}

let server: Server

class FakeSocket {
  readyState = 0
  known = false
  onopen: (() => void) | null = null
  onmessage: ((e: { data: string }) => void) | null = null
  onclose: ((e: { code: number }) => void) | null = null
  constructor() {
    setTimeout(() => {
      if (server.away) return this.end(1006)
      this.readyState = 1
      server.sockets.add(this)
      this.onopen?.()
    }, 1)
  }
  send(text: string) {
    const f = JSON.parse(text)
    setTimeout(() => this.readyState === 1 && server.take(this, f), 1)
  }
  push(f: ServerFrame) {
    setTimeout(() => this.readyState === 1 && this.onmessage?.({ data: JSON.stringify(f) }), 1)
  }
  close() {
    this.end(1000)
  }
  end(code: number) {
    if (this.readyState === 3) return
    this.readyState = 3
    server.sockets.delete(this)
    this.onclose?.({ code })
  }
}

let stores: { local: Map<string, string>; session: Map<string, string> }
const storage = (m: Map<string, string>) =>
  ({
    getItem: (k: string) => m.get(k) ?? null,
    setItem: (k: string, v: string) => m.set(k, v),
    removeItem: (k: string) => m.delete(k),
  }) as unknown as Storage

let place = { url: 'https://shop.example/', title: 'Shop' }

function newChat(onMessage = () => {}) {
  return new Chat({
    url: 'ws://x/ws',
    site: 'demo',
    locale: () => 'en',
    page: () => place,
    local: keep(() => storage(stores.local), 'p'),
    session: keep(() => storage(stores.session), 'p'),
    onMessage,
  })
}
const texts = (c: Chat) =>
  c.state.view.entries.flatMap((e) => (e.kind === 'message' ? [e.parts[0]?.text] : []))
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', FakeSocket)
  server = new Server()
  stores = { local: new Map(), session: new Map() }
  place = { url: 'https://shop.example/', title: 'Shop' }
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('chat', () => {
  it('stores nothing and opens no socket before a start', async () => {
    const c = newChat()
    c.resume()
    c.seen(true)
    await pass(60_000)
    expect([...stores.local, ...stores.session]).toEqual([])
    expect(server.received).toEqual([])
    expect(c.state.ready).toBe(true)
  })

  it('keeps the token before it sends the start', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    expect(stores.local.get('p:token')).toBe('token-1')
    expect(server.received.map((f) => f.t).slice(0, 3)).toEqual(['hello', 'register', 'start'])
    expect(texts(c)).toEqual(['hi'])
    expect(c.state.pending).toEqual([])
  })

  it('sends what was written offline once, in order, when the line is back', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    server.away = true
    server.drop()
    c.say('one')
    c.say('two')
    await pass(5_000)
    expect(c.state.status).toBe('offline')
    expect(c.state.pending.map((p) => p.state)).toEqual(['waiting', 'waiting'])
    server.away = false
    await pass(30_000)
    expect(texts(c)).toEqual(['hi', 'one', 'two'])
    expect(c.state.pending).toEqual([])
    expect(server.log.filter((e) => e.type === 'message/1').length).toBe(3)
  })

  it('keeps unsent messages over a reload, and repeats under the same id', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    c.say('lost answer')
    await pass(1) // the message arrives and is stored, but the answer does not come back
    server.drop()
    c.stop()
    const again = newChat()
    expect(again.state.pending.length).toBe(1)
    again.resume()
    await pass(50)
    expect(texts(again)).toEqual(['hi', 'lost answer'])
    expect(again.state.pending).toEqual([])
  })

  it('never doubles, wherever the line breaks', async () => {
    for (let cut = 1; cut < 12; cut++) {
      server = new Server()
      stores = { local: new Map(), session: new Map() }
      const c = newChat()
      c.start({ message: 'hi' })
      c.say('two')
      await pass(cut)
      server.drop()
      await pass(60_000)
      expect(texts(c), `cut after ${cut} ms`).toEqual(['hi', 'two'])
      expect(server.log.filter((e) => e.text === 'two').length, `cut after ${cut} ms`).toBe(1)
      c.stop()
    }
  })

  it('tries again what could not be made durable', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    server.refuseNext = 1
    c.say('later')
    await pass(100)
    expect(c.state.pending.length).toBe(1)
    await pass(5_000)
    expect(texts(c)).toEqual(['hi', 'later'])
  })

  it('sends nothing that is longer than a frame may be, and holds nothing else up', async () => {
    const c = newChat()
    const long = '世'.repeat(4000)
    c.start({ message: long, one: long, two: long })
    await pass(50)
    expect([c.state.problem, c.state.pending, server.received]).toEqual(['too_long', [], []])
    place = { url: `https://shop.example/a?b=c#${'x'.repeat(40_000)}`, title: long.repeat(4) }
    c.start({ message: long })
    await pass(50)
    c.act('s1', 'save', 1, { note: long.repeat(3) })
    c.say(long.repeat(3))
    c.say('next')
    c.page()
    await pass(50)
    const kept = c.state.pending.map((p) => [p.frame.t, p.state, p.code])
    expect(kept).toEqual([
      ['tool', 'failed', 'too_long'],
      ['message', 'failed', 'too_long'],
    ])
    expect(texts(c)).toEqual([long, 'next'])
    for (const p of c.state.pending) c.again(p.clientId)
    await pass(60_000)
    const bytes = server.received.map((f) => new TextEncoder().encode(JSON.stringify(f)).length)
    expect(Math.max(...bytes)).toBeLessThanOrEqual(32 << 10)
    expect(server.received.find((f) => f.t === 'hello')?.page?.url).toBe('https://shop.example/a')
    expect(server.received.filter((f) => f.t === 'hello').length, 'connections').toBe(1)
    // What was corrected takes the place of what failed.
    c.act('s1', 'save', 1, { note: 'short' })
    await pass(50)
    expect(server.received.flatMap((f) => (f.t === 'tool' ? [f.values] : []))).toEqual([{ note: 'short' }])
    expect(c.state.pending.map((p) => p.frame.t)).toEqual(['message', 'tool'])
  })

  it('ends a tool while an act waits for its answer, and while it is offline', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    c.act('s1', 'save', 1, { note: 'x' })
    c.act('s1', 'save', 1, {})
    await pass(50)
    c.act('s1', 'end', 1, {})
    c.act('s1', 'end', 1, {})
    await pass(50)
    const acts = () => server.received.flatMap((f) => (f.t === 'tool' ? [f.action] : []))
    expect(acts(), 'the test server answers no act').toEqual(['save', 'end'])
    expect(c.state.pending.map((p) => p.frame.action)).toEqual(['end'])
    server.away = true
    server.drop()
    c.act('s2', 'end', 1, {})
    await pass(50)
    server.away = false
    await pass(30_000)
    expect(acts().slice(2).sort()).toEqual(['end', 'end'])
  })

  it('asks again for what is missing', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    server.log.push({ seq: 3, type: 'message/1', clientId: '', text: 'missed', by: 'agent' })
    server.post('message/1', 'agent', '', 'next')
    await pass(5_000)
    expect(texts(c)).toEqual(['hi', 'missed', 'next'])
  })

  it('shows the new texts after some were replaced, and no others', async () => {
    const c = newChat()
    c.start({ message: 'hi 4111' })
    await pass(50)
    const shown = texts(c)
    for (const e of server.log) e.text = e.text.replace('4111', '####')
    server.post('content.rewritten/1', 'agent')
    await pass(5_000)
    expect(shown).toEqual(['hi 4111'])
    expect(texts(c)).toEqual(['hi ####'])
    const hellos = server.received.filter((f) => f.t === 'hello').length
    server.post('message/1', 'agent', '', 'next')
    await pass(5_000)
    expect(texts(c)).toEqual(['hi ####', 'next'])
    expect(server.received.filter((f) => f.t === 'hello').length).toBe(hellos)
  })

  it('notices a line that is dead without saying so', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    server.silent = true
    await pass(26_000)
    expect(server.received.at(-1)?.t).toBe('ping')
    await pass(9_000)
    expect(c.state.status).not.toBe('online')
    server.silent = false
    await pass(60_000)
    expect(c.state.status).toBe('online')
  })

  it('is one visitor in two tabs that start at the same time, and sends what each wrote', async () => {
    for (let lag = 0; lag < 8; lag++) {
      server = new Server()
      stores = { local: new Map(), session: new Map() }
      const one = newChat()
      const two = newChat()
      one.start({ message: 'one' })
      await pass(lag)
      two.start({ message: 'two' })
      await pass(60_000)
      const said = server.log.filter((e) => e.type === 'message/1').map((e) => e.text)
      expect(said, `the second tab ${lag} ms later`).toEqual(['one', 'two'])
      expect(stores.local.get('p:token'), `the second tab ${lag} ms later`).toBe('token-1')
      one.stop()
      two.stop()
    }
  })

  it('stops for good where the chat is not allowed', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    server.drop(4003)
    await pass(120_000)
    expect(c.state.status).toBe('refused')
    expect(server.sockets.size).toBe(0)
  })

  it('counts unread until the customer looks, and tells what was read', async () => {
    const heard = vi.fn()
    const c = newChat(heard)
    c.start({ message: 'hi' })
    await pass(50)
    c.seen(false)
    server.post('message/1', 'agent', '', 'a')
    server.post('message/1', 'agent', '', 'b')
    await pass(1_000)
    expect(c.unread).toBe(2)
    expect(heard).toHaveBeenCalledTimes(2)
    expect(server.received.findLast((f) => f.t === 'receipt')).toMatchObject({ delivered: 4, read: 0 })
    c.seen(true)
    await pass(1_000)
    expect(c.unread).toBe(0)
    expect(server.received.findLast((f) => f.t === 'receipt')).toMatchObject({ delivered: 4, read: 4 })
    c.stop()
    const again = newChat()
    again.resume()
    await pass(50)
    expect(again.unread, 'after a reload').toBe(0)
  })

  it('says that the customer types, seldom, and that it stopped', async () => {
    const c = newChat()
    c.start({ message: 'hi' })
    await pass(50)
    for (let i = 0; i < 20; i++) {
      c.typed(true)
      await pass(100)
    }
    await pass(6_000)
    expect(server.received.filter((f) => f.t === 'typing').map((f) => f.on)).toEqual([true, false])
  })

  it('lives without storage', async () => {
    const broken = keep(() => {
      throw new Error('denied')
    }, 'p')
    broken.set('a', '1')
    expect(broken.get('a')).toBe('1')
    broken.set('a', '')
    expect(broken.get('a')).toBe('')
  })
})
