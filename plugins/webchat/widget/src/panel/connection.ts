// The socket: hello, liveness, and coming back with backoff and jitter.
import type { ServerFrame } from './frames'

export type Status = 'idle' | 'connecting' | 'online' | 'offline' | 'refused'

export interface Handlers {
  /** The first frame of each connection. */
  hello(): object
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

export class Connection {
  status: Status = 'idle'
  private socket: WebSocket | null = null
  private attempts = 0
  private retry: ReturnType<typeof setTimeout> | undefined
  private watch: ReturnType<typeof setTimeout> | undefined
  private hint: number | undefined
  private greeted = false

  constructor(
    private readonly url: string,
    private readonly on: Handlers,
    private readonly random: () => number = Math.random,
  ) {}

  /** Connects, unless it is connected or on its way. */
  open(): void {
    if (this.socket || this.status === 'refused') return
    clearTimeout(this.retry)
    this.set(this.status === 'offline' ? 'offline' : 'connecting')
    const socket = new WebSocket(this.url)
    this.socket = socket
    this.greeted = false
    this.expect(patience)
    socket.onopen = () => socket.send(JSON.stringify(this.on.hello()))
    socket.onmessage = (e: MessageEvent<string>) => {
      if (socket !== this.socket) return
      this.quiet()
      let f: ServerFrame
      try {
        f = JSON.parse(e.data) as ServerFrame
      } catch {
        return
      }
      if (f.t === 'welcome') {
        this.greeted = true
        this.attempts = 0
        this.set('online')
      }
      if (f.t === 'bye') this.hint = f.retry_ms
      this.on.frame(f)
    }
    socket.onclose = (e) => this.lost(socket, e.code)
  }

  /** Sends a frame; false: there is no connection. */
  send(f: object): boolean {
    if (!this.greeted || this.socket?.readyState !== 1) return false
    this.socket.send(JSON.stringify(f))
    return true
  }

  /** Connects again from the cursor: something is missing. */
  resume(): void {
    const socket = this.socket
    if (!socket) return
    this.lost(socket, 1000)
    socket.close()
  }

  /** Tries at once if it waits: the network is back, or somebody looks. */
  nudge(): void {
    if (this.status === 'offline' && !this.socket) {
      this.attempts = 0
      this.open()
    }
  }

  close(): void {
    clearTimeout(this.retry)
    clearTimeout(this.watch)
    const socket = this.socket
    this.socket = null
    socket?.close()
    this.set('idle')
  }

  private lost(socket: WebSocket, code: number): void {
    if (socket !== this.socket) return
    this.socket = null
    clearTimeout(this.watch)
    if (final.has(code)) {
      this.set('refused')
      return
    }
    this.set('offline')
    // A restart spreads its clients itself; everybody else picks a random
    // moment of a window that doubles.
    const window = Math.min(lastRetry, firstRetry * 2 ** this.attempts++)
    const wait = this.hint ?? window * (0.5 + this.random() / 2)
    this.hint = undefined
    this.retry = setTimeout(() => this.open(), wait)
  }

  /** Something came: the next silence may last its time. */
  private quiet(): void {
    clearTimeout(this.watch)
    this.watch = setTimeout(() => {
      this.send({ t: 'ping', id: 'alive' })
      this.expect(patience)
    }, silence)
  }

  private expect(ms: number): void {
    clearTimeout(this.watch)
    this.watch = setTimeout(() => this.resume(), ms)
  }

  private set(s: Status): void {
    if (s === this.status) return
    this.status = s
    this.on.status(s)
  }
}
