// A connection to a server: one WebSocket at a time, which sends hello, is given up when no answer
// comes, and reconnects. It knows no frame except `bye`; its owner decides how long to wait, and
// checks whether the server still answers.

export interface LineOptions<F> {
  connect: () => WebSocket;
  /** Makes the first frame of each connection, which contains the cursors. */
  hello: () => object;
  /** Called for any message, before it is parsed. */
  heard?: () => void;
  frame: (f: F) => void;
  /**
   * The connection is gone, or could not be made. Returns in how many milliseconds to try again;
   * null: never. `hint` is the time that the server's bye asked for. `reason` is empty if the
   * socket closed by itself, with `code`.
   */
  lost: (reason: string, code: number, hint: number | undefined) => number | null;
}

export interface Line {
  /** Whether it is connected or connecting. */
  busy: () => boolean;
  /** Whether something is expected within a time. */
  watched: () => boolean;
  /** Connects now, and closes an earlier connection. */
  open: () => void;
  /** Closes the connection, if any, and does not reconnect. */
  close: () => void;
  /** Gives the connection up; the owner decides when the next attempt is made. */
  lose: (reason: string, code?: number) => void;
  /** False: there is no connection, and the frame was dropped. */
  send: (frame: object) => boolean;
  /**
   * Calls `otherwise` after a time, unless `calm` is called before. Only the latest call counts.
   */
  within: (ms: number, otherwise: () => void) => void;
  calm: () => void;
}

/** A connection on which no first answer comes within so many milliseconds is given up. */
const patience = 8_000;

/**
 * Makes a closed line. It is not a class, so that the widget's bundle can shorten its inner names.
 */
export function line<F>(on: LineOptions<F>): Line {
  let socket: WebSocket | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let watch: ReturnType<typeof setTimeout> | undefined;
  let hint: number | undefined;

  const calm = () => {
    clearTimeout(watch);
    watch = undefined;
  };
  const within = (ms: number, otherwise: () => void) => {
    calm();
    watch = setTimeout(() => {
      watch = undefined;
      otherwise();
    }, ms);
  };
  const close = () => {
    calm();
    clearTimeout(retry);
    hint = undefined;
    const old = socket;
    socket = null;
    if (!old) return;
    // What the old connection still sends is ignored.
    old.onopen = old.onmessage = old.onclose = null;
    old.close();
  };
  const lose = (reason: string, code = 0) => {
    const asked = hint;
    close();
    const wait = on.lost(reason, code, asked);
    if (wait !== null) retry = setTimeout(open, wait);
  };
  const read = (text: string) => {
    on.heard?.();
    let frame: F & { t?: string; retry_ms?: number };
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.t === 'bye') hint = frame.retry_ms;
    on.frame(frame);
  };
  const open = () => {
    close();
    let made: WebSocket;
    try {
      made = on.connect();
    } catch {
      lose('unreachable');
      return;
    }
    socket = made;
    within(patience, () => lose('timeout'));
    made.onopen = () => made.send(JSON.stringify(on.hello()));
    made.onmessage = (e) => read(String(e.data));
    made.onclose = (e) => lose('', e.code);
  };
  const send = (frame: object) => {
    if (!socket || socket.readyState > 1) return false;
    socket.send(JSON.stringify(frame));
    return true;
  };
  return { busy: () => socket !== null, watched: () => watch !== undefined, open, close, lose, send, within, calm };
}
