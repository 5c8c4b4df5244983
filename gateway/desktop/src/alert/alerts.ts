// What the agent hears and sees when something happens: the ring while an offer is presented, a
// tone for a customer's message, notifications while the page is hidden, the count in title and
// icon.

import { randomId } from '@parley/shared/id';
import type { Desk } from '../store/desk';
import { prefs } from '../store/prefs';
import { unreadCount } from '../store/select';
import type { DeskState } from '../store/state';
import { pageTitle, setIcon } from './badge';
import { Leader } from './leader';
import { show } from './notify';
import { Tones } from './tones';

export interface AlertTexts {
  offerTitle: (channel: string) => string;
  messageTitle: (channel: string) => string;
  recentTitle: () => string;
}

export class Alerts {
  readonly tones = new Tones();
  /** Called when the agent clicks on the notification of a waiting exchange. */
  onRecent?: (conversation: string) => void;
  private readonly desk: Desk;
  private readonly leader: Leader;
  private readonly texts: () => AlertTexts;
  private readonly stops: (() => void)[] = [];
  private takeAway = new Map<string, () => void>();

  constructor(desk: Desk, texts: () => AlertTexts) {
    this.desk = desk;
    this.texts = texts;
    const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('parley');
    this.leader = new Leader(channel, randomId());
    this.leader.onPeerLeft = (id) => this.ring(desk.store.getState(), `after:${id}`);
    desk.events.recentMessage = (conversation, at) => this.waiting(conversation, at);
    desk.events.customerMessage = (conversation) => this.message(conversation);
    this.stops.push(desk.store.subscribe((s, before) => this.changed(s, before)));
    this.stops.push(prefs.subscribe(() => this.ring(desk.store.getState(), 'prefs')));
    const unlock = () => {
      this.tones.unlock();
      this.leader.setAudible(true);
    };
    for (const event of ['pointerdown', 'keydown'] as const) {
      window.addEventListener(event, unlock, { capture: true });
      this.stops.push(() => window.removeEventListener(event, unlock, { capture: true }));
    }
    const leave = () => this.leader.close();
    window.addEventListener('pagehide', leave);
    this.stops.push(() => window.removeEventListener('pagehide', leave));
  }

  stop(): void {
    this.tones.stopRinging();
    for (const stop of this.stops) stop();
    this.leader.close();
    setIcon(0, false);
  }

  private changed(s: DeskState, before: DeskState): void {
    if (s.offers !== before.offers) {
      this.ring(s, '');
      for (const offer of s.offers) {
        if (!before.offers.some((o) => o.offer === offer.offer)) this.announceOffer(offer.offer);
      }
      for (const [id, close] of this.takeAway) {
        if (!s.offers.some((o) => o.offer === id)) {
          close();
          this.takeAway.delete(id);
        }
      }
    }
    if (
      s.offers !== before.offers ||
      s.conversations !== before.conversations ||
      s.readHere !== before.readHere ||
      s.recent !== before.recent
    ) {
      const unread = totalUnread(s);
      document.title = pageTitle(unread, s.offers[0]?.title);
      setIcon(unread, s.offers.length > 0);
    }
  }

  /**
   * Rings in one tab while any offer is presented. `round` tells apart the occasions for ringing
   * for the same offer.
   */
  private ring(s: DeskState, round: string): void {
    const { offerTone, volume } = prefs.getState();
    if (s.offers.length === 0 || !offerTone) {
      this.tones.stopRinging();
      return;
    }
    if (round === 'prefs') {
      this.tones.setVolume(volume);
      return;
    }
    for (const offer of s.offers) {
      this.leader.once(`ring:${offer.offer}:${round}`, () => {
        // Which tab rings may be decided a moment later, when the offer can be gone already.
        if (this.desk.store.getState().offers.length > 0) this.tones.ring(prefs.getState().volume);
      });
    }
  }

  private announceOffer(id: string): void {
    if (!prefs.getState().notifications) return;
    this.leader.once(`offer:${id}`, () => {
      const offer = this.desk.store.getState().offers.find((o) => o.offer === id);
      if (!offer) return;
      const close = show(
        this.texts().offerTitle(offer.title),
        offer.service?.name ?? '',
        `offer:${id}`,
        () => undefined,
      );
      this.takeAway.set(id, close);
    });
  }

  private message(conversation: string): void {
    const s = this.desk.store.getState();
    const c = s.conversations[conversation];
    if (c?.member !== 'joined') return;
    const { messageTone, volume, notifications } = prefs.getState();
    // A message's seq is the same in every tab, so all tabs name the same occasion.
    this.leader.once(`message:${conversation}:${c.seq}`, () => {
      if (messageTone && s.offers.length === 0) this.tones.play('message', volume);
      if (!notifications) return;
      const title = this.texts().messageTitle(c.info?.title ?? c.capabilities.offer_title ?? '');
      show(title, c.service?.name ?? '', `message:${conversation}`, () => this.desk.focus(conversation));
    });
  }

  /**
   * Tells the agent of a text to their own number, or of a reply to a parked exchange (O1, N16).
   */
  private waiting(conversation: string, at: string): void {
    const { messageTone, volume, notifications } = prefs.getState();
    this.leader.once(`recent:${conversation}:${at}`, () => {
      if (messageTone && this.desk.store.getState().offers.length === 0) this.tones.play('message', volume);
      if (notifications)
        show(this.texts().recentTitle(), '', `recent:${conversation}`, () => this.onRecent?.(conversation));
    });
  }
}

export function totalUnread(s: DeskState): number {
  const me = s.user?.id ?? '';
  let n = s.recent.unread;
  for (const id of s.active) {
    const c = s.conversations[id];
    if (c?.member === 'joined') n += unreadCount(c, me, s.readHere[id]);
  }
  return n;
}
