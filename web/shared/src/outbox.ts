// The machine for messages that the server has not confirmed: they are sent in order under client ids that the sender
// chooses, kept while the connection is down, and sent again when the answer was lost. The server recognises a repeat
// by its client id (DESIGN.md 6). The owner decides what a message is, how it is sent and where the list is stored.

/**
 * uploading: a file of it is not at the server yet. queued: it can be sent. sending: it was sent and has no answer.
 * accepted: it is durable at the server, and its event will replace it. failed: it was refused, and is sent again only
 * when somebody asks for it.
 */
export type OutgoingState = 'uploading' | 'queued' | 'sending' | 'accepted' | 'failed';

export interface Outgoing {
  clientId: string;
  state: OutgoingState;
}

export interface OutboxOptions<M extends Outgoing> {
  /** The messages in the order in which they were written. */
  list: () => M[];
  /** Stores a new list in place of the old one. */
  keep: (list: M[]) => void;
  /** Whether messages can be sent now. */
  open: () => boolean;
  /** Sends a message, whose state is already `sending`. The owner reports the answer by the methods of Outbox. */
  send: (m: M) => void;
  /** While a message uploads, later ones of its lane are not sent. Absent: an upload delays no other message. */
  lane?: (m: M) => string;
  /** How many messages may wait for their answers at a time. Absent: any number. */
  most?: number;
}

export interface Outbox<M extends Outgoing> {
  add: (m: M) => void;
  /** Sends what is queued. The owner calls it when the connection is up, and when a message was added or became ready. */
  flush: () => void;
  change: (clientId: string, change: Partial<M>) => void;
  discard: (clientId: string) => void;
  /** The message is durable at the server. */
  accepted: (clientId: string) => void;
  /** The server refused the message for now: it is queued, and nothing is sent for a moment. */
  later: (clientId: string) => void;
  /** The connection is gone: messages without an answer are queued again. */
  lost: () => void;
  /** Stops the timer; the messages stay. */
  stop: () => void;
}

/** How long nothing is sent after a message was refused for now, in milliseconds. */
const pauseTime = 1500;

/** It is not a class, so that the widget's bundle can shorten its inner names. */
export function outbox<M extends Outgoing>(on: OutboxOptions<M>): Outbox<M> {
  let pause: ReturnType<typeof setTimeout> | undefined;

  const change = (clientId: string, to: Partial<M>) =>
    on.keep(on.list().map((m) => (m.clientId === clientId ? { ...m, ...to } : m)));
  const enter = (clientId: string, state: OutgoingState) => change(clientId, { state } as Partial<M>);

  const flush = () => {
    if (pause !== undefined || !on.open()) return;
    const held = new Set<string>();
    const due: M[] = [];
    let room = (on.most ?? Number.POSITIVE_INFINITY) - on.list().filter((m) => m.state === 'sending').length;
    for (const m of on.list()) {
      const lane = on.lane?.(m);
      if (lane !== undefined && held.has(lane)) continue;
      if (m.state === 'uploading' && lane !== undefined) held.add(lane);
      if (m.state === 'queued' && room-- > 0) due.push(m);
    }
    if (due.length === 0) return;
    // All are marked before the first is sent, because its answer may come at once and call flush.
    on.keep(on.list().map((m) => (due.includes(m) ? { ...m, state: 'sending' } : m)));
    for (const m of due) on.send(m);
  };

  return {
    add: (m) => on.keep([...on.list(), m]),
    flush,
    change,
    discard: (clientId) => on.keep(on.list().filter((m) => m.clientId !== clientId)),
    accepted(clientId) {
      enter(clientId, 'accepted');
      flush();
    },
    later(clientId) {
      enter(clientId, 'queued');
      pause ??= setTimeout(() => {
        pause = undefined;
        flush();
      }, pauseTime);
    },
    lost() {
      if (on.list().some((m) => m.state === 'sending')) {
        on.keep(on.list().map((m) => (m.state === 'sending' ? { ...m, state: 'queued' } : m)));
      }
    },
    stop() {
      clearTimeout(pause);
      pause = undefined;
    },
  };
}

/** The list after a reload: all messages are sent again, except refused ones. The owner must not store ones that upload. */
export function restored<M extends Outgoing>(kept: M[]): M[] {
  return kept.map((m) => ({ ...m, state: m.state === 'failed' ? 'failed' : 'queued' }));
}
