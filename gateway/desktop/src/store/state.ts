import type { OutgoingState } from '@parley/shared/outbox';
import type { AgentState, Board, Offer, Part, User } from '@parley/shared/protocol';
import { createStore } from 'zustand/vanilla';
import type { Link } from '../socket/client';
import type { Conversation } from './conversation';

export interface Typing {
  kind: 'customer' | 'agent';
  name: string;
  /** Local milliseconds: forgotten 6 s after it was last said. */
  until: number;
}

/** What went wrong: the gateway's code (or `offline`) and its own words. */
export interface Trouble {
  code: string;
  text: string;
}

/** A file on its way to the gateway, or there. */
export interface Upload {
  key: string;
  name: string;
  size: number;
  mime: string;
  /** 0..1 */
  progress: number;
  part?: Part;
  error?: Trouble;
  /** For the thumbnail and a retry; gone after a reload. */
  file?: File;
  preview?: string;
}

/** A message that the gateway has not yet confirmed. */
export interface Outgoing {
  clientId: string;
  conversation: string;
  at: string;
  text: string;
  uploads: Upload[];
  /** Accepted: durable at the gateway, its event has not come yet. */
  state: OutgoingState;
  error?: Trouble;
}

export interface Recent {
  unread: number;
  items: Record<string, { unread: number; at: string }>;
}

export const noRecent: Recent = { unread: 0, items: {} };

export interface DeskState {
  link: Link;
  /** Server time minus local time, milliseconds. */
  skew: number;
  version: string;
  user: User | null;
  agent: AgentState | null;
  /** What is presented to this agent, oldest first. */
  offers: Offer[];
  /** Ids whose conversations belong into the active list, in the order they came. */
  active: string[];
  conversations: Record<string, Conversation>;
  focus: string | null;
  /** A conversation that takes the focus as soon as it belongs into the active list. */
  focusWanted: string | null;
  /** Read here, ahead of the mark that the server has confirmed. */
  readHere: Record<string, number>;
  outgoing: Outgoing[];
  /** Files chosen for the next message, by conversation. Like a draft they outlive a change of focus, not a reload. */
  staged: Record<string, Upload[]>;
  /** By conversation, then by author. */
  typing: Record<string, Record<string, Typing>>;
  board: Board | null;
  /** What waits in Recent (O1, N16): unread messages in all, and by conversation. */
  recent: Recent;
  /** This connection has told what waits: what grows from now on is news. */
  recentFresh: boolean;
  /** Unread counts that the visit of Recent took off the badge; they mark the lines until it is left. */
  recentSeen: Record<string, number>;
  /** Conversations read here besides those of the active list. */
  watched: string[];
  /** Active ids that this connection has not confirmed yet. */
  unconfirmed: string[];
  /** The agent's state after the latest hello has not come yet. */
  snapshotDue: boolean;
}

export function initialState(): DeskState {
  return {
    link: { phase: 'stopped', reason: 'closed' },
    skew: 0,
    version: '',
    user: null,
    agent: null,
    offers: [],
    active: [],
    conversations: {},
    focus: null,
    focusWanted: null,
    readHere: {},
    outgoing: [],
    staged: {},
    typing: {},
    board: null,
    recent: noRecent,
    recentFresh: false,
    recentSeen: {},
    watched: [],
    unconfirmed: [],
    snapshotDue: false,
  };
}

export type DeskStore = ReturnType<typeof createDeskStore>;

export function createDeskStore() {
  return createStore<DeskState>(() => initialState());
}
