// The socket client: one WebSocket that reconnects by itself, sends its cursors in hello, gives
// commands promises for their answers, and notices a dead connection or a laptop's sleep. It knows
// frames but nothing of conversations, and uses no framework.

import { type Line, line } from '@parley/shared/line';
import type { Ack, ClientFrame, Commands, ServerFrame, WireError } from '@parley/shared/protocol';
import { backoff } from './backoff';

/**
 * The connection's state. `retryAt` is in local milliseconds since the epoch; `reason` says why the
 * connection was last lost, '' if it never was.
 */
export type Link =
  | { phase: 'connecting'; attempt: number; reason: string }
  | { phase: 'online' }
  | { phase: 'waiting'; attempt: number; retryAt: number; reason: string }
  | { phase: 'stopped'; reason: 'closed' | 'revoked' };

/**
 * Why a command failed: the server's code, or `disconnected` or `timeout` when it is not known
 * whether it was carried out.
 */
export class CommandError extends Error {
  readonly code: string;
  /** The whole error as the gateway sent it. */
  readonly wire: WireError;
  constructor(error: WireError) {
    super(error.message);
    this.name = 'CommandError';
    this.code = error.code;
    this.wire = error;
  }
  /**
   * Whether the command may have been carried out: then only a repeat that the server recognises is
   * safe.
   */
  get unsettled(): boolean {
    return this.code === 'disconnected' || this.code === 'timeout';
  }
}

export interface StreamOptions {
  url: () => string;
  /** Returns the last seq of each conversation; called for each hello. */
  cursors: () => Record<string, number>;
  onFrame: (frame: ServerFrame) => void;
  onLink: (link: Link) => void;
  /**
   * Called when a connection could not be made. Resolves to false if the session is over, so that
   * trying again is useless.
   */
  stillLoggedIn: () => Promise<boolean>;
  open?: (url: string) => WebSocket;
}

interface Waiting {
  resolve: (ack: Ack) => void;
  reject: (err: CommandError) => void;
  timer: ReturnType<typeof setTimeout>;
}

const commandTimeout = 15_000;
const pingEvery = 10_000;
// The server pings every 20 s, which scripts cannot see, so the client pings, too; its pong must
// come within this time.
const silenceLimit = 8_000;
const settledAfter = 5_000;

export class StreamClient {
  private readonly options: StreamOptions;
  private readonly line: Line;
  private link: Link = { phase: 'stopped', reason: 'closed' };
  private attempt = 0;
  private counter = 0;
  private byeReason = '';
  private lostBy = '';
  private pingTimer: ReturnType<typeof setInterval> | undefined;
  private lastBeat = 0;
  private onlineSince = 0;
  private readonly waiting = new Map<string, Waiting>();

  constructor(options: StreamOptions) {
    this.options = options;
    this.line = line<ServerFrame>({
      connect: () => this.connect(),
      hello: () => ({ t: 'hello', cursors: options.cursors() }) satisfies ClientFrame,
      frame: (frame) => this.receive(frame),
      lost: (reason, code, hint) => this.lost(reason, code, hint),
    });
  }

  start(): void {
    if (this.link.phase !== 'stopped') return;
    this.attempt = 0;
    this.lostBy = '';
    this.line.open();
  }

  /** Closes for good; commands that wait for an answer fail with `disconnected`. */
  stop(reason: 'closed' | 'revoked' = 'closed'): void {
    this.setLink({ phase: 'stopped', reason });
    this.line.close();
    this.failCommands();
  }

  /** Sends a command; rejects with CommandError, at once when the connection is down. */
  command<N extends keyof Commands>(name: N, fields: Commands[N]): Promise<Ack> {
    if (this.link.phase !== 'online') {
      return Promise.reject(new CommandError({ code: 'offline', message: 'not connected' }));
    }
    const id = `c${++this.counter}`;
    return new Promise<Ack>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new CommandError({ code: 'timeout', message: 'no answer' }));
      }, commandTimeout);
      this.waiting.set(id, { resolve, reject, timer });
      this.line.send({ t: 'cmd', id, cmd: name, ...fields });
    });
  }

  /**
   * Sends a frame that gets no answer; false when the connection is down and the frame was dropped.
   */
  post(frame: ClientFrame): boolean {
    return this.link.phase === 'online' && this.line.send(frame);
  }

  /**
   * Called when the machine may have slept or the network may be back: checks the connection, or
   * tries again at once.
   */
  wake(): void {
    if (this.link.phase === 'waiting') this.line.open();
    else if (this.link.phase === 'online') this.ping();
  }

  private connect(): WebSocket {
    this.failCommands();
    this.byeReason = '';
    this.setLink({ phase: 'connecting', attempt: this.attempt, reason: this.lostBy });
    return (this.options.open ?? ((url) => new WebSocket(url)))(this.options.url());
  }

  private receive(frame: ServerFrame): void {
    this.lastBeat = Date.now();
    switch (frame.t) {
      case 'welcome':
        this.line.calm();
        this.onlineSince = Date.now();
        this.pingTimer = setInterval(() => this.ping(), pingEvery);
        // The frame is handled first, so that whoever reacts to "online" already knows who is
        // logged in.
        this.options.onFrame(frame);
        this.setLink({ phase: 'online' });
        return;
      case 'pong':
        this.line.calm();
        return;
      case 'ack':
        this.settle(frame);
        return;
      case 'bye':
        this.byeReason = frame.reason;
        if (frame.reason === 'revoked') this.stop('revoked');
        return;
      default:
        this.options.onFrame(frame);
    }
  }

  private settle(ack: Ack): void {
    const waiting = this.waiting.get(ack.id);
    if (!waiting) return;
    this.waiting.delete(ack.id);
    clearTimeout(waiting.timer);
    if (ack.ok) waiting.resolve(ack);
    else waiting.reject(new CommandError(ack.error ?? { code: 'unknown', message: '' }));
  }

  private ping(): void {
    if (this.link.phase !== 'online' || this.line.watched()) return;
    this.post({ t: 'ping', id: `p${++this.counter}` });
    const sentAt = Date.now();
    this.line.within(silenceLimit, () => {
      // A throttled timer in a hidden tab fires late; a frame that came in meanwhile proves that
      // the connection is alive.
      if (this.lastBeat < sentAt) this.line.lose('silent');
    });
  }

  private lost(reason: string, code: number, hint: number | undefined): number | null {
    const wasOnline = this.link.phase === 'online';
    this.failCommands();
    // If the connection was up for a moment only, the trouble goes on, so the waits keep growing.
    if (wasOnline && Date.now() - this.onlineSince > settledAfter) this.attempt = 0;
    if (code === 4001) {
      this.setLink({ phase: 'stopped', reason: 'revoked' });
      return null;
    }
    const delay = hint ?? backoff(this.attempt);
    const attempt = ++this.attempt;
    this.lostBy = reason || this.byeReason || closeReason(code);
    this.setLink({ phase: 'waiting', attempt, retryAt: Date.now() + delay, reason: this.lostBy });
    // A script does not learn why an upgrade was refused; only a REST request tells whether the
    // session is still valid.
    if (!wasOnline) void this.checkLogin(attempt);
    return delay;
  }

  private async checkLogin(attempt: number): Promise<void> {
    const good = await this.options.stillLoggedIn().catch(() => true);
    if (!good && this.attempt === attempt && this.link.phase !== 'stopped') this.stop('revoked');
  }

  /** The connection is gone, so it is not known whether the commands under way were carried out. */
  private failCommands(): void {
    clearInterval(this.pingTimer);
    for (const waiting of this.waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new CommandError({ code: 'disconnected', message: 'connection lost' }));
    }
    this.waiting.clear();
  }

  private setLink(link: Link): void {
    this.link = link;
    this.options.onLink(link);
  }
}

function closeReason(code: number): string {
  switch (code) {
    case 1012:
      return 'restart';
    case 1013:
      return 'slow';
    case 1008:
      return 'protocol';
    default:
      return 'unreachable';
  }
}
