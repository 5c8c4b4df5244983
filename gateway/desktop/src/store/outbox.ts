// Messages on their way out, shown at once, and the files that they wait for: the shared outbox with the desktop's store
// and commands.

import { randomId } from '@parley/shared/id';
import { type Outbox as Machine, outbox } from '@parley/shared/outbox';
import type { Part } from '@parley/shared/protocol';
import { HttpError, upload } from '../api/http';
import { CommandError, type StreamClient } from '../socket/client';
import { keepOutgoing } from './session';
import type { DeskStore, Outgoing, Trouble, Upload } from './state';

/** Refusals that pass by themselves: the gateway asks to be tried again. */
const temporary = new Set(['rate_limited', 'unavailable', 'storage_full']);
/** Messages without an answer yet; the gateway lets 64 commands of a socket wait. */
const maxUnderWay = 16;

export class Outbox {
  private readonly machine: Machine<Outgoing>;
  private readonly store: DeskStore;
  private readonly client: StreamClient;
  private readonly uploading = new Map<string, AbortController>();

  constructor(store: DeskStore, client: StreamClient) {
    this.store = store;
    this.client = client;
    this.machine = outbox<Outgoing>({
      list: () => this.list(),
      keep: (list) => this.set(list),
      open: () => this.store.getState().link.phase === 'online',
      send: (o) => void this.sendOne(o),
      lane: (o) => o.conversation,
      most: maxUnderWay,
    });
  }

  send(conversation: string, text: string, uploads: Upload[]): void {
    const outgoing: Outgoing = {
      clientId: randomId(),
      conversation,
      at: new Date(Date.now() + this.store.getState().skew).toISOString(),
      text,
      uploads,
      state: uploads.every((u) => u.part) ? 'queued' : 'uploading',
    };
    this.machine.add(outgoing);
    this.flush();
  }

  /** Sends what waits, in order; called when the line is up and when a message becomes ready. */
  flush(): void {
    this.machine.flush();
  }

  /** Ends what is timed; messages stay. */
  stop(): void {
    this.machine.stop();
    for (const key of [...this.uploading.keys()]) this.abort(key);
    for (const uploads of Object.values(this.store.getState().staged)) release(uploads);
  }

  /** After a lost line: what was under way waits for the next one. */
  requeue(): void {
    this.machine.lost();
  }

  retry(clientId: string): void {
    const o = this.list().find((x) => x.clientId === clientId);
    if (!o) return;
    for (const u of o.uploads) if (!u.part) this.startUpload(o.conversation, u);
    this.machine.change(clientId, { state: o.uploads.every((u) => u.part) ? 'queued' : 'uploading', error: undefined });
    this.flush();
  }

  discard(clientId: string): void {
    for (const u of this.list().find((o) => o.clientId === clientId)?.uploads ?? []) this.abort(u.key);
    this.machine.discard(clientId);
  }

  /** Chooses files for the next message; they upload while the agent goes on writing (P1). */
  stage(conversation: string, uploads: Upload[]): void {
    this.setStaged(conversation, [...this.staged(conversation), ...uploads]);
    for (const u of uploads) this.startUpload(conversation, u);
  }

  unstage(conversation: string, key: string): void {
    this.abort(key);
    release(this.staged(conversation).filter((u) => u.key === key));
    this.setStaged(
      conversation,
      this.staged(conversation).filter((u) => u.key !== key),
    );
  }

  /** Hands the staged files over to a message; those that failed or still upload go along and are seen to there. */
  take(conversation: string): Upload[] {
    const uploads = this.staged(conversation);
    release(uploads);
    this.setStaged(conversation, []);
    return uploads.map((u) => ({ ...u, preview: undefined }));
  }

  private startUpload(conversation: string, u: Upload): void {
    if (!u.file) return;
    const abort = new AbortController();
    this.uploading.set(u.key, abort);
    const update = (change: Partial<Upload>) => this.changeUpload(conversation, u.key, change);
    update({ progress: 0, error: undefined });
    upload(conversation, u.file, (progress) => update({ progress }), abort.signal)
      .then(
        (part) => update({ part, progress: 1 }),
        (err: unknown) => {
          if (!abort.signal.aborted) update({ error: troubleOf(err) });
        },
      )
      .finally(() => {
        if (this.uploading.get(u.key) === abort) this.uploading.delete(u.key);
      });
  }

  private abort(key: string): void {
    this.uploading.get(key)?.abort();
    this.uploading.delete(key);
  }

  /** A file is staged, or belongs to a message: its new state is written where it is now. */
  private changeUpload(conversation: string, key: string, change: Partial<Upload>): void {
    const changed = (uploads: Upload[]) => uploads.map((u) => (u.key === key ? { ...u, ...change } : u));
    const has = (uploads: Upload[]) => uploads.some((u) => u.key === key);
    const staged = this.staged(conversation);
    if (has(staged)) this.setStaged(conversation, changed(staged));
    const o = this.list().find((x) => has(x.uploads));
    if (!o) return;
    const uploads = changed(o.uploads);
    const failed = uploads.find((u) => u.error);
    const ready = uploads.every((u) => u.part);
    this.machine.change(o.clientId, {
      uploads,
      state: failed ? 'failed' : ready ? 'queued' : 'uploading',
      error: failed?.error,
    });
    if (ready) this.flush();
  }

  private staged(conversation: string): Upload[] {
    return this.store.getState().staged[conversation] ?? [];
  }

  private setStaged(conversation: string, uploads: Upload[]): void {
    this.store.setState((s) => {
      const { [conversation]: _, ...others } = s.staged;
      return { staged: uploads.length > 0 ? { ...others, [conversation]: uploads } : others };
    });
  }

  private async sendOne(o: Outgoing): Promise<void> {
    const parts: Part[] = o.text ? [{ kind: 'text', text: o.text }] : [];
    for (const u of o.uploads) if (u.part) parts.push(u.part);
    try {
      await this.client.command('send', { conversation: o.conversation, client_id: o.clientId, parts });
      this.machine.accepted(o.clientId);
    } catch (err) {
      if (!(err instanceof CommandError)) throw err;
      if (err.unsettled || err.code === 'offline') {
        this.machine.change(o.clientId, { state: 'queued' });
        // A line that is up but did not answer in time: the same client id makes another try harmless.
        if (err.code === 'timeout') this.flush();
      } else if (temporary.has(err.code)) {
        this.machine.later(o.clientId);
      } else {
        this.machine.change(o.clientId, { state: 'failed', error: { code: err.code, text: err.message } });
      }
    }
  }

  private list(): Outgoing[] {
    return this.store.getState().outgoing;
  }

  private set(outgoing: Outgoing[]): void {
    this.store.setState({ outgoing });
    const user = this.store.getState().user;
    if (user) keepOutgoing(user.id, outgoing);
  }
}

/** The pictures of staged files are kept in memory until they are let go. */
function release(uploads: Upload[]): void {
  for (const u of uploads) if (u.preview) URL.revokeObjectURL(u.preview);
}

function troubleOf(err: unknown): Trouble {
  if (!(err instanceof HttpError) || err.status === 0) return { code: 'offline', text: '' };
  return { code: err.code || (err.status === 413 ? 'too_large' : 'unavailable'), text: err.message };
}
