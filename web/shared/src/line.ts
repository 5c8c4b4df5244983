// A line to a server: one WebSocket at a time that says hello, is given up when nothing comes, and comes back. It knows
// no frames but `bye`; how long to wait, and whether somebody is there, is its owner's to say.

export interface LineOptions<F> {
  connect: () => WebSocket;
  /** The first frame of each connection; it names the cursors. */
  hello: () => object;
  /** Any message, before it is read. */
  heard?: () => void;
  frame: (f: F) => void;
  /**
   * The connection is gone, or could not be made: in how many milliseconds the next one is tried; null: never. `hint`
   * is what the server's bye asked for. `reason` is empty when the socket closed by itself, with `code`.
   */
  lost: (reason: string, code: number, hint: number | undefined) => number | null;
}

export interface Line {
  /** Connected, or on its way. */
  busy: () => boolean;
  /** Something is expected within a time. */
  watched: () => boolean;
  /** Connects now; a connection that there is makes way. */
  open: () => void;
  /** Ends the connection, if any, and tries no other. */
  close: () => void;
  /** Gives the connection up; the owner says when the next is tried. */
  lose: (reason: string, code?: number) => void;
  /** False: there is no connection, and the frame was dropped. */
  send: (frame: object) => boolean;
  /** Does something after a time, unless `calm` comes first. One at a time. */
  within: (ms: number, otherwise: () => void) => void;
  calm: () => void;
}

/** A connection without a first answer for so long is given up, in milliseconds. */
const patience = 8_000;

/** Makes a line that is closed. Not a class: what is inside gets short names in the widget's bundle. */
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
    // What an old connection still says is nobody's business.
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
