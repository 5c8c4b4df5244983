// Makes events and frames for tests from short descriptions.

import type { ConversationEvent, ConversationInfo, EventFrame, ServerFrame } from '@parley/shared/protocol';

export const me = 'agent-me';
export const other = 'agent-other';

type Loose = { type: ConversationEvent['type']; head?: object; body?: object };

/** A log: seq counts from 1, and the events are one second apart. */
export function log(...facts: Loose[]): ConversationEvent[] {
  return facts.map(
    (f, i) =>
      ({
        seq: i + 1,
        at: new Date(Date.UTC(2026, 10, 23, 9, 0, i)).toISOString(),
        head: {},
        ...f,
      }) as unknown as ConversationEvent,
  );
}

export function frame(conversation: string, event: ConversationEvent, prev = event.seq - 1): EventFrame {
  return { t: 'event', conversation, prev, ...event } as EventFrame;
}

export const started: Loose = {
  type: 'conversation.started/1',
  head: { kind: 'inbound', channel: 'webchat', capabilities: { text: true, typing: true } },
  body: { name: 'Kim Lee', email: 'kim@example.org', address: 'web:1', page: { url: 'https://shop.example/' } },
};

export function fromCustomer(text: string, id = text): Loose {
  return {
    type: 'message/1',
    head: { id, author: { kind: 'customer' }, kinds: ['text'] },
    body: { parts: [{ kind: 'text', text }] },
  };
}

export function fromAgent(text: string, agent = me, clientId?: string): Loose {
  return {
    type: 'message/1',
    head: { id: text, author: { kind: 'agent', agent }, client_id: clientId, kinds: ['text'] },
    body: { parts: [{ kind: 'text', text }], name: 'Ana' },
  };
}

export const joins = (agent: string, name: string): Loose => ({
  type: 'participant.joined/1',
  head: { who: { kind: 'agent', agent } },
  body: { name },
});

export function welcome(time = new Date().toISOString()): ServerFrame {
  return {
    t: 'welcome',
    user: { id: me, login: 'ana', name: 'Ana', role: 'agent', privileges: [] },
    time,
    version: 'test',
  };
}

export function info(more: Partial<ConversationInfo> = {}): ConversationInfo {
  const account = { id: 'account', name: 'Shop' };
  return { channel: 'webchat', icon: '', title: 'Web Chat', capabilities: {}, account, ...more };
}

export function joined(conversation: string, state: 'joined' | 'wrapup' = 'joined'): ServerFrame {
  return { t: 'joined', conversation, state, info: info() };
}

export function agent(conversations: string[] = [], offers: string[] = []): ServerFrame {
  return {
    t: 'agent',
    agent: {
      seq: 1,
      status: 'ready',
      reason: '',
      pending: '',
      ready_after_work: false,
      since: new Date().toISOString(),
      offers,
      conversations: conversations.map((conversation) => ({ conversation, state: 'joined' })),
    },
  };
}

export function offer(id: string, conversation = `c-${id}`): Extract<ServerFrame, { t: 'offer' }> {
  return {
    t: 'offer',
    offer: id,
    conversation,
    request: `r-${id}`,
    title: 'Web Chat',
    icon: '',
    channel: 'webchat',
    service: null,
    customer: { name: '' },
    queued_ms: 0,
    waiting_since: new Date().toISOString(),
    invited_by: null,
    offered_at: new Date().toISOString(),
  };
}
