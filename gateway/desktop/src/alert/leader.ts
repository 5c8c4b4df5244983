// With several tabs of one agent, only one of them sounds or shows a notification. The tabs tell
// each other over a BroadcastChannel that they are open and whether they can be heard; all of them
// then name the same leader. Since a hidden tab's timers are throttled, heartbeats alone cannot be
// relied on: when something has to ring, the leader claims it, and if the others hear no claim in a
// moment, the next tab takes over.

interface Peer {
  id: string;
  /** The browser lets the tab's audio play. */
  audible: boolean;
  /** When the tab was opened, milliseconds. */
  since: number;
}

type Message =
  | { kind: 'here'; peer: Peer; ask: boolean }
  | { kind: 'bye'; id: string }
  | { kind: 'claim'; id: string; what: string };

const claimWait = 500;
const claimsKept = 50;

/** The part of BroadcastChannel that is used; tests pass their own. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
  close(): void;
}

export class Leader {
  private readonly channel: Channel | null;
  private readonly me: Peer;
  private readonly peers = new Map<string, Peer>();
  private claimed: string[] = [];
  /** Called when another tab has closed: this one may have to continue what the other was doing. */
  onPeerLeft: (id: string) => void = () => undefined;

  private readonly timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(channel: Channel | null, id: string, since = Date.now()) {
    this.channel = channel;
    this.me = { id, audible: false, since };
    if (channel) channel.onmessage = (event) => this.hear(event.data as Message);
    this.tell(true);
  }

  setAudible(audible: boolean): void {
    if (this.me.audible === audible) return;
    this.me.audible = audible;
    this.tell(false);
  }

  /**
   * Runs act in one tab only. `what` names the occasion; a second call for the same occasion does
   * nothing.
   */
  once(what: string, act: () => void): void {
    if (this.claimed.includes(what)) return;
    const leader = this.leader();
    if (leader === this.me.id) {
      this.remember(what);
      this.channel?.postMessage({ kind: 'claim', id: this.me.id, what } satisfies Message);
      act();
      return;
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (this.claimed.includes(what)) return;
      // The tab that should have claimed it is frozen or gone.
      this.peers.delete(leader);
      this.once(what, act);
    }, claimWait);
    this.timers.add(timer);
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.channel?.postMessage({ kind: 'bye', id: this.me.id } satisfies Message);
    this.channel?.close();
  }

  /**
   * The tab that leads: one that can be heard before one that cannot, then the one opened first.
   * Every tab comes to the same result.
   */
  private leader(): string {
    const all = [this.me, ...this.peers.values()];
    all.sort((a, b) => Number(b.audible) - Number(a.audible) || a.since - b.since || (a.id < b.id ? -1 : 1));
    return (all[0] as Peer).id;
  }

  private tell(ask: boolean): void {
    this.channel?.postMessage({ kind: 'here', peer: { ...this.me }, ask } satisfies Message);
  }

  private hear(message: Message): void {
    switch (message.kind) {
      case 'here':
        this.peers.set(message.peer.id, message.peer);
        if (message.ask) this.tell(false);
        return;
      case 'bye':
        this.peers.delete(message.id);
        this.onPeerLeft(message.id);
        return;
      case 'claim':
        this.remember(message.what);
        return;
    }
  }

  private remember(what: string): void {
    this.claimed = [...this.claimed.slice(-claimsKept), what];
  }
}
