// The Session, for any channel: commands in order, Begin, and Results until they are acknowledged.
import { EventEmitter } from 'node:events';

const FRAME_ITEMS = 64;
const REMEMBERED = 4096; // how many sent commands are remembered: a repeat is answered and not carried out
const RETRY = { first: 100, most: 5000 }; // ms between attempts

export class Link {
  #work;
  #stream = null; // the present Session
  #seq = 0; // seq of its last event
  #lastCommand = 0; // seq of the last command in it
  #commands = new Map(); // by command_id: running, or settled but not acknowledged
  #sent = new Map(); // Results, already acknowledged, of commands that were sent
  #threads = new Map(); // the last job of each (account, thread)
  #queue = []; // Results that wait to be written
  #inFlight = new Map(); // Results that were written and are not acknowledged, by seq
  #running = 0;
  #pause = 0; // ms to wait, because the gateway could not store an event
  #timer = null; // ends the pause
  #counts = { commands: 0, hooks: 0 };
  #changed = new EventEmitter().setMaxListeners(0);

  /** @param {{run: Function, hook: Function, log: Function}} work what the channel does */
  constructor(work) {
    this.#work = work;
  }

  /**
   * Carries on a Session until it ends. It replaces the former Session; what is unacknowledged is
   * sent again.
   */
  serve(stream, minor) {
    this.#leave(this.#stream);
    stream.on('data', (frame) => this.#receive(stream, frame, minor));
    stream.on('end', () => this.#leave(stream)).on('cancelled', () => this.#leave(stream)).on('error', () => this.#leave(stream));
  }

  #leave(stream) {
    if (!stream) return;
    stream.end();
    if (stream !== this.#stream) return;
    this.#stream = null;
    for (const command of this.#commands.values()) command.answerBegin?.(false);
  }

  #receive(stream, frame, minor) {
    if (frame.frame === 'hello') {
      this.#stream = stream;
      this.#seq = this.#lastCommand = this.#pause = 0;
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#queue = [...this.#inFlight.values(), ...this.#queue];
      this.#inFlight.clear();
      stream.write({ hello: { minor: Math.min(minor, frame.hello.minor) } });
      this.#flush();
      return;
    }
    if (stream !== this.#stream) return;
    switch (frame.frame) {
      case 'ping':
        return void stream.write({ pong: { id: frame.ping.id } });
      case 'commands':
        return frame.commands.commands.forEach((command) => this.#accept(command));
      case 'hooks':
        return frame.hooks.hooks.forEach((hook) => this.#answer(hook));
      case 'begin_ack':
        return this.#commands.get(frame.begin_ack.command_id)?.answerBegin?.(!frame.begin_ack.refused);
      case 'event_acks':
        frame.event_acks.acks.forEach((ack) => this.#acknowledged(ack));
        return this.#flush();
    } // this plugin has no use for other kinds of frames, or they are newer than it
  }

  #answer(hook) {
    this.#counts.hooks++;
    this.#stream.write({ hook_results: { results: [{ id: hook.id, ...this.#work.hook(hook) }] } });
  }

  #accept(command) {
    this.#lastCommand = Math.max(this.#lastCommand, command.seq);
    this.#changed.emit('change');
    const id = command.command_id;
    const known = this.#commands.get(id);
    if (known && !(known.settled && known.stream === this.#stream && command.attempt > known.attempt)) {
      Object.assign(known, { seq: command.seq, attempt: command.attempt, stream: this.#stream });
      return; // a repeat of a command that is under way, or whose Result is
    }
    if (this.#sent.has(id)) return this.#report(this.#sent.get(id));
    const job = { seq: command.seq, attempt: command.attempt, stream: this.#stream, settled: false };
    this.#commands.set(id, job);
    this.#running++;
    const thread = JSON.stringify([command.account, command.thread]);
    const turn = (this.#threads.get(thread) ?? Promise.resolve()).then(() => this.#carryOut(command, job));
    this.#threads.set(thread, turn);
    turn.finally(() => this.#threads.get(thread) === turn && this.#threads.delete(thread));
  }

  async #carryOut(command, job) {
    this.#counts.commands++;
    let begun = false;
    const begin = async () => (begun = await this.#begin(command.command_id, job));
    let result;
    try {
      result = command.kind === 'send' ? await this.#work.run(command, begin) : unsupported;
    } catch (err) {
      this.#work.log('ERROR', 'command failed', { command_id: command.command_id, err: err.name });
      result = begun ? { outcome: 'OUTCOME_UNKNOWN', code: 'plugin' } : { ...unsupported, code: 'plugin' };
    }
    job.settled = true;
    this.#running--;
    const { account, thread, command_id } = command;
    this.#report({ account, thread, received_time: Date.now() * 1000, result: { command_id, ...result } });
  }

  /** Asks the gateway before the call to the provider; false: send nothing. */
  #begin(command_id, job) {
    if (!this.#stream || job.stream !== this.#stream) return Promise.resolve(false);
    return new Promise((resolve) => {
      job.answerBegin = resolve;
      this.#stream.write({ begin: { seq: job.seq, command_id } });
    });
  }

  #report(event) {
    this.#queue.push(event);
    this.#flush();
  }

  /** Writes the Results that wait. Results need no credit. */
  #flush() {
    this.#changed.emit('change');
    while (this.#stream && !this.#timer && this.#queue.length > 0) {
      const events = this.#queue.splice(0, FRAME_ITEMS).map((event) => ({ ...event, seq: ++this.#seq }));
      for (const event of events) this.#inFlight.set(event.seq, event);
      this.#stream.write({ events: { events } });
    }
  }

  #acknowledged({ seq, status, code }) {
    const event = this.#inFlight.get(seq);
    if (!event) return;
    this.#inFlight.delete(seq);
    const id = event.result.command_id;
    if (!['ACK_STATUS_COMMITTED', 'ACK_STATUS_DUPLICATE', 'ACK_STATUS_REFUSED'].includes(status)) {
      this.#queue.push(event); // the gateway could not store the event
      this.#pause = Math.min(Math.max(2 * this.#pause, RETRY.first), RETRY.most);
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        this.#flush();
      }, this.#pause);
      return;
    }
    this.#pause = 0;
    if (status === 'ACK_STATUS_REFUSED') this.#work.log('WARN', 'result refused', { command_id: id, code });
    if (this.#commands.get(id)?.settled) this.#commands.delete(id);
    if (event.result.outcome !== 'OUTCOME_SENT') return;
    this.#sent.set(id, event);
    if (this.#sent.size > REMEMBERED) this.#sent.delete(this.#sent.keys().next().value);
  }

  /**
   * Resolves when all commands up to the given one have settled and are acknowledged: true, or
   * false after limit ms.
   */
  drain(lastCommand, limit) {
    const done = () =>
      this.#lastCommand >= lastCommand && this.#running === 0 && this.#queue.length === 0 && this.#inFlight.size === 0;
    return new Promise((resolve) => {
      const end = (answer) => {
        clearTimeout(timer);
        this.#changed.off('change', look);
        resolve(answer);
      };
      const timer = setTimeout(() => end(false), limit);
      const look = () => done() && end(true);
      this.#changed.on('change', look);
      look();
    });
  }

  /** Metrics in the Prometheus text format; the gateway adds its prefix to the names. */
  metrics() {
    return Object.entries(this.#counts).map(([name, n]) => `# TYPE ${name}_total counter\n${name}_total ${n}\n`).join('');
  }
}

const unsupported = { outcome: 'OUTCOME_FAILED', error_kind: 'ERROR_KIND_INTERNAL', code: 'unsupported' };
