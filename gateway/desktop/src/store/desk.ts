// The desk connects the gateway's socket with the store. Screens read the store and call these
// methods; they never see a frame.

import type { Ack, Commands, Offer, ServerFrame, SettleOutcome, Target } from '@parley/shared/protocol';
import { me as whoAmI } from '../api/http';
import { CommandError, type Link, StreamClient } from '../socket/client';
import { Attention } from './attention';
import type { Conversation } from './conversation';
import { setDraft } from './drafts';
import { applyFrames, type Effect } from './frames';
import { Outbox } from './outbox';
import { isActive, mayText } from './select';
import { keepFocus, keptFocus, keptOutgoing } from './session';
import { createDeskStore, type DeskStore, initialState, noRecent } from './state';

export interface DeskEvents {
  customerMessage?: (conversation: string) => void;
  /** A message came for an exchange that waits in Recent (O1). */
  recentMessage?: (conversation: string, at: string) => void;
  /** A command failed for a reason that the agent should read. */
  failed?: (command: keyof Commands, err: CommandError) => void;
  /**
   * A conversation left the active list; `finished` if this agent ended it or finished its wrap-up.
   */
  gone?: (c: Conversation, finished: boolean) => void;
}

/**
 * How long events are gathered, in milliseconds: the time of one picture on the screen, and longer
 * while history is replayed.
 */
const frameTime = 16;
const replayTime = 120;
const typingRepeat = 4000;
const typingIdle = 5000;

export class Desk {
  readonly store: DeskStore = createDeskStore();
  readonly outbox: Outbox;
  readonly attention: Attention;
  events: DeskEvents = {};

  private readonly client: StreamClient;
  private frames: ServerFrame[] = [];
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private boardWanted = 0;
  private typingTo: { conversation: string; said: number; idle: ReturnType<typeof setTimeout> } | null = null;
  private restored = false;
  /**
   * Conversations that this agent ended or finished: no notice is shown when they leave the list.
   */
  private readonly finished = new Set<string>();

  constructor(options: { url?: () => string; open?: (url: string) => WebSocket } = {}) {
    this.client = new StreamClient({
      url: options.url ?? streamUrl,
      open: options.open,
      cursors: () => this.cursors(),
      onFrame: (frame) => this.receive(frame),
      onLink: (link) => this.linkChanged(link),
      stillLoggedIn: async () => (await whoAmI()) !== null,
    });
    this.outbox = new Outbox(this.store, this.client);
    this.attention = new Attention(this.store, this.client);
  }

  start(): void {
    // The conversation that had the focus before a reload gets it again as soon as it is there.
    if (!this.restored) this.store.setState({ focusWanted: keptFocus() });
    this.client.start();
  }

  /** Closes the connection and forgets everything, so that the next start is a fresh one. */
  stop(): void {
    this.client.stop();
    this.attention.stop();
    this.outbox.stop();
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    this.frames = [];
    clearTimeout(this.typingTo?.idle);
    this.typingTo = null;
    this.restored = false;
    this.store.setState(initialState(), true);
  }

  wake(): void {
    this.client.wake();
  }

  // What the agent does. Each method resolves to the ack, or to null after a failure, which was
  // reported then.

  ready = () => this.command('ready', {});
  notReady = (reason: string) => this.command('not_ready', { reason });
  reject = (offer: string) => this.command('reject', { offer });
  flag = (conversation: string, on: boolean) => this.command('flag', { conversation, on });
  linkContact = (conversation: string, contact: string) => this.command('link_contact', { conversation, contact });
  cancelInvite = (conversation: string, request: string) => this.command('cancel_invite', { conversation, request });
  invite = (conversation: string, target: Target, transfer: boolean) =>
    this.command('invite', { conversation, target, transfer });

  /**
   * Begins an exchange with a number (N2), which then gets the focus; rejects with CommandError.
   * With the same client id it can safely be tried again after a lost answer.
   */
  async text(from: { service?: string; account?: string }, to: string, clientId: string): Promise<string> {
    const { conversation } = await this.client.command('text', { ...from, to, client_id: clientId });
    if (conversation) this.want(conversation);
    return conversation ?? '';
  }

  /**
   * Takes up a parked or open exchange (N6, N17), which then gets the focus; rejects with
   * CommandError.
   */
  async join(conversation: string): Promise<void> {
    this.store.setState({ focusWanted: conversation });
    try {
      await this.client.command('join', { conversation });
    } catch (err) {
      if (this.store.getState().focusWanted === conversation) this.store.setState({ focusWanted: null });
      throw err;
    }
    this.want(conversation);
  }

  /**
   * As join, for a button that has no place for an error: failures are reported as notices.
   * Resolves to whether the exchange was taken up.
   */
  async takeUp(conversation: string): Promise<boolean> {
    try {
      await this.join(conversation);
      return true;
    } catch (err) {
      if (!(err instanceof CommandError)) throw err;
      this.told('join', err);
      return false;
    }
  }

  /** The agent's decision about a message whose status is unknown (PR4). */
  settle = (conversation: string, message: string, outcome: SettleOutcome) =>
    this.command('settle', { conversation, message, outcome });

  /**
   * The agent looks at Recent: the badge is reset, here at once and on all of their devices (O2).
   */
  async seeRecent(): Promise<void> {
    const { recent, recentSeen, link } = this.store.getState();
    if (recent.unread === 0 || link.phase !== 'online') return;
    const seen = { ...recentSeen };
    for (const [id, { unread }] of Object.entries(recent.items)) seen[id] = (seen[id] ?? 0) + unread;
    this.store.setState({ recent: noRecent, recentSeen: seen });
    // If the command did not arrive, the next frame, at the latest that of the next connection, has
    // the count again.
    await this.client.command('recent_seen', {}).catch(() => undefined);
  }

  /**
   * The agent left Recent, or opened one of its exchanges: the mark of that exchange is removed.
   */
  forgetSeen(conversation?: string): void {
    this.store.setState((s) => {
      if (conversation === undefined) return { recentSeen: {} };
      const { [conversation]: _, ...recentSeen } = s.recentSeen;
      return { recentSeen };
    });
  }

  /**
   * Keeps a conversation that is not in the active list up to date, from the state of `c` on, until
   * the returned function is called.
   */
  watch(c: Conversation): () => void {
    const { id } = c;
    this.store.setState((s) => ({
      watched: [...s.watched, id],
      conversations: s.conversations[id] ? s.conversations : { ...s.conversations, [id]: c },
    }));
    this.client.post({ t: 'watch', conversation: id, after: this.store.getState().conversations[id]?.seq ?? 0 });
    return () => {
      this.client.post({ t: 'unwatch', conversation: id });
      this.store.setState((s) => {
        const { [id]: _, ...others } = s.conversations;
        return {
          watched: s.watched.filter((w) => w !== id),
          conversations: s.active.includes(id) ? s.conversations : others,
        };
      });
    };
  }

  /** Focuses a conversation now, or as soon as it is in the active list. */
  private want(conversation: string): void {
    if (this.store.getState().active.includes(conversation)) this.focus(conversation);
    else this.store.setState({ focusWanted: conversation });
  }

  /** Accepts an offer. Open moves the focus; Accept does so only if no chat is active (A6, A7). */
  async accept(offer: Offer, open: boolean): Promise<Ack | null> {
    const moves = open || !this.activeIds().length;
    if (moves) this.store.setState({ focusWanted: offer.conversation });
    const ack = await this.command('accept', { offer: offer.offer });
    const s = this.store.getState();
    if (!ack && s.focusWanted === offer.conversation) this.store.setState({ focusWanted: null });
    if (ack && moves && s.active.includes(offer.conversation)) this.focus(offer.conversation);
    return ack;
  }

  /**
   * End Chat. Resolves to "invite_pending" when the gateway asks what to do with an open invitation
   * (T5).
   */
  async end(conversation: string, queue = false): Promise<'ended' | 'invite_pending' | 'failed'> {
    try {
      this.finished.add(conversation);
      await this.client.command('end', queue ? { conversation, queue } : { conversation });
      return 'ended';
    } catch (err) {
      if (!(err instanceof CommandError)) throw err;
      if (!err.unsettled) this.finished.delete(conversation);
      if (err.code === 'invite_pending') return 'invite_pending';
      this.told('end', err);
      return 'failed';
    }
  }

  wrapup(conversation: string, disposition: string, notes: string): Promise<Ack | null> {
    this.finished.add(conversation);
    return this.command('wrapup', {
      conversation,
      disposition: disposition || undefined,
      notes: notes || undefined,
    });
  }

  async logout(): Promise<void> {
    await this.client.command('logout', {}).catch(() => undefined);
  }

  focus(conversation: string | null): void {
    this.store.setState({ focus: conversation, focusWanted: null });
    keepFocus(conversation);
    this.stopTyping();
  }

  /** Moves the focus by a number of places in the list; after the last place comes the first. */
  focusBy(step: number): void {
    const { active, focus } = this.store.getState();
    if (active.length === 0) return;
    const at = focus ? active.indexOf(focus) : -1;
    this.focus(active[(at + step + active.length) % active.length] ?? null);
  }

  /** Whether the agent has the privilege to begin texts (N1). */
  mayText(): boolean {
    return mayText(this.store.getState());
  }

  /** Conversations in which this agent takes part now, in list order. */
  activeIds(): string[] {
    const { active, conversations } = this.store.getState();
    return active.filter((id) => isActive(conversations[id]));
  }

  /**
   * Called at each keystroke; a typing frame is sent at once, then every 4 s, and typing ends by
   * itself.
   */
  typing(conversation: string): void {
    const now = Date.now();
    if (this.typingTo && this.typingTo.conversation !== conversation) this.stopTyping();
    clearTimeout(this.typingTo?.idle);
    let said = this.typingTo?.said ?? 0;
    if (now - said >= typingRepeat) {
      this.client.post({ t: 'typing', conversation, on: true });
      said = now;
    }
    this.typingTo = { conversation, said, idle: setTimeout(() => this.stopTyping(), typingIdle) };
  }

  stopTyping(): void {
    if (!this.typingTo) return;
    clearTimeout(this.typingTo.idle);
    this.client.post({ t: 'typing', conversation: this.typingTo.conversation, on: false });
    this.typingTo = null;
  }

  /** Receives the board until the returned function is called. */
  watchBoard(): () => void {
    if (this.boardWanted++ === 0) this.client.post({ t: 'board', on: true });
    return () => {
      if (--this.boardWanted === 0) this.client.post({ t: 'board', on: false });
    };
  }

  private async command<N extends keyof Commands>(name: N, fields: Commands[N]): Promise<Ack | null> {
    try {
      return await this.client.command(name, fields);
    } catch (err) {
      if (!(err instanceof CommandError)) throw err;
      this.told(name, err);
      return null;
    }
  }

  private told(name: keyof Commands, err: CommandError): void {
    // After a lost connection the next hello brings the true state, so the agent need not do
    // anything about it.
    if (err.code !== 'disconnected') this.events.failed?.(name, err);
  }

  private cursors(): Record<string, number> {
    const { conversations } = this.store.getState();
    return Object.fromEntries(Object.values(conversations).map((c) => [c.id, c.seq]));
  }

  private receive(frame: ServerFrame): void {
    this.frames.push(frame);
    // Frames for a hidden page are handled at once: its timers are throttled, and a tone must not
    // be late.
    if (document.hidden || frame.t !== 'event') this.flush();
    else this.schedule(this.store.getState().conversations[frame.conversation]?.live === true);
  }

  /**
   * Gathers frames: a replay comes as thousands in a row, and drawing the page for each would
   * freeze it.
   */
  private schedule(live: boolean): void {
    if (this.flushTimer !== undefined) return;
    this.flushTimer = setTimeout(() => this.flush(), live ? frameTime : replayTime);
  }

  private flush(): void {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    const frames = this.frames;
    if (frames.length === 0) return;
    this.frames = [];
    const [state, effects] = applyFrames(this.store.getState(), frames, Date.now());
    const before = this.store.getState();
    this.store.setState(state, true);
    if (state.focus !== before.focus) keepFocus(state.focus);
    for (const frame of frames) if (frame.t === 'welcome') this.welcomed(frame.user.id);
    for (const effect of effects) this.carryOut(effect);
    if (frames.some((f) => f.t === 'event' || f.t === 'joined')) this.attention.changed();
  }

  private carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'watch':
        this.client.post({ t: 'watch', conversation: effect.conversation, after: effect.after });
        return;
      case 'message':
        this.events.customerMessage?.(effect.conversation);
        return;
      case 'recent':
        this.events.recentMessage?.(effect.conversation, effect.at);
        return;
      case 'gone': {
        const { user } = this.store.getState();
        if (user) for (const use of ['', ':notes', ':disposition']) setDraft(user.id, effect.conversation.id + use, '');
        this.events.gone?.(effect.conversation, this.finished.delete(effect.conversation.id));
        return;
      }
    }
  }

  private welcomed(user: string): void {
    if (this.restored) return;
    this.restored = true;
    this.store.setState((s) => ({ outgoing: [...keptOutgoing(user), ...s.outgoing] }));
  }

  private linkChanged(link: Link): void {
    this.store.setState({ link });
    if (link.phase === 'online') {
      this.attention.reset();
      if (this.boardWanted > 0) this.client.post({ t: 'board', on: true });
      const { watched, conversations } = this.store.getState();
      for (const id of watched) this.client.post({ t: 'watch', conversation: id, after: conversations[id]?.seq ?? 0 });
      this.outbox.flush();
    } else {
      this.outbox.requeue();
    }
  }
}

function streamUrl(): string {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return `${scheme}//${location.host}/api/v1/stream`;
}
