// The visitor's socket: whether somebody is there, and coming back with backoff and jitter.
import { line } from '@parley/shared/line'
import type { ClientFrame, ServerFrame } from './protocol'

export type Status = 'idle' | 'connecting' | 'online' | 'offline' | 'refused'

export interface Handlers {
  /** The first frame of each connection. */
  hello(): ClientFrame
  frame(f: ServerFrame): void
  status(s: Status): void
}

/** Close codes after which coming again is pointless (origin, site). */
const final = new Set([4003, 4004])

const firstRetry = 500
const lastRetry = 20_000
/** After so much silence a ping asks whether anybody is there. */
const silence = 25_000
const patience = 8_000

export interface Connection {
  /** Connects, unless it is connected or on its way. */
  open: () => void
  /** Sends a frame; false: there is no connection. */
  send: (f: ClientFrame) => boolean
  /** Connects again from the cursor: something is missing. */
  resume: () => void
  /** Tries at once if it waits: the network is back, or somebody looks. */
  nudge: () => void
  close: () => void
}

export function connection(url: string, on: Handlers): Connection {
  let status: Status = 'idle'
  let attempts = 0
  let greeted = false
  const set = (s: Status) => {
    if (s === status) return
    status = s
    on.status(s)
  }
  const { busy, open, close, lose, send, within } = line<ServerFrame>({
    connect() {
      greeted = false
      set(status === 'offline' ? 'offline' : 'connecting')
      return new WebSocket(url)
    },
    hello: on.hello,
    // Something came: the next silence may last its time.
    heard: () =>
      within(silence, () => {
        say({ t: 'ping', id: 'alive' })
        within(patience, resume)
      }),
    frame(f) {
      if (f.t === 'welcome') {
        greeted = true
        attempts = 0
        set('online')
      }
      on.frame(f)
    },
    lost(_, code, hint) {
      if (final.has(code)) {
        set('refused')
        return null
      }
      set('offline')
      // A restart spreads its clients itself; everybody else picks a random
      // moment of a window that doubles.
      const window = Math.min(lastRetry, firstRetry * 2 ** attempts++)
      return hint ?? window * (0.5 + Math.random() / 2)
    },
  })
  const begin = () => {
    if (!busy() && status !== 'refused') open()
  }
  const say = (f: ClientFrame) => greeted && send(f)
  const resume = () => {
    if (busy()) lose('', 1000)
  }
  return {
    open: begin,
    send: say,
    resume,
    nudge() {
      if (status !== 'offline' || busy()) return
      attempts = 0
      begin()
    },
    close() {
      close()
      set('idle')
    },
  }
}
