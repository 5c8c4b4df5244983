// Generated from the Go types by plugins/webchat/typescript_test.go; run: go generate ./plugins/webchat
// Times are RFC 3339 in UTC, durations milliseconds, unless a name says otherwise.

import type { ConversationEvent } from '@parley/shared/protocol';

/** An event as stored. `prev` is the sequence of the event before this one that the customer may see; `file_keys` open its files. */
export type EventFrame = ConversationEvent & {
  t: 'event';
  conversation: string;
  prev: number;
  file_keys?: Record<string, string>;
};

/** Frames to a client. */
export type ServerFrame =
  | EventFrame
  | ({ t: 'accepted' } & AcceptedFrame)
  | ({ t: 'bye' } & ByeFrame)
  | ({ t: 'error' } & ErrorFrame)
  | ({ t: 'file' } & FileFrame)
  | ({ t: 'grant' } & GrantFrame)
  | ({ t: 'live' } & LiveFrame)
  | ({ t: 'pong' } & PongFrame)
  | ({ t: 'presence' } & SignalFrame)
  | ({ t: 'queue' } & QueueFrame)
  | ({ t: 'refused' } & RefusedFrame)
  | ({ t: 'typing' } & SignalFrame)
  | ({ t: 'visitor' } & VisitorFrame)
  | ({ t: 'welcome' } & WelcomeFrame);

/** Every field of a frame from a client. */
export interface Fields {
  v: number;
  site: string;
  token?: string;
  cursor?: Cursor;
  page?: Page;
  locale?: string;
  client_id: string;
  form?: Record<string, string>;
  parts?: SentPart[];
  reply_to?: string;
  on: boolean;
  conversation: string;
  delivered: number;
  read: number;
  id: string;
  blob: string;
  key: string;
  thumb?: boolean;
  session?: string;
  account?: string;
  action?: string;
  values?: Record<string, unknown>;
  revision?: number;
}

/** Frames from a client. */
export type ClientFrame =
  | { t: 'end' } & Pick<Fields, 'client_id'>
  | { t: 'file' } & Pick<Fields, 'id' | 'blob' | 'key' | 'thumb'>
  | { t: 'grant' } & Pick<Fields, 'id'>
  | { t: 'hello' } & Pick<Fields, 'v' | 'site' | 'token' | 'cursor' | 'page' | 'locale'>
  | { t: 'message' } & Pick<Fields, 'client_id' | 'parts' | 'reply_to'>
  | { t: 'page' } & Pick<Fields, 'page'>
  | { t: 'ping' } & Pick<Fields, 'id'>
  | { t: 'receipt' } & Pick<Fields, 'conversation' | 'delivered' | 'read'>
  | { t: 'register' }
  | { t: 'start' } & Pick<Fields, 'client_id' | 'form' | 'parts' | 'page' | 'locale'>
  | { t: 'tool' } & Pick<Fields, 'client_id' | 'session' | 'account' | 'action' | 'values' | 'revision'>
  | { t: 'typing' } & Pick<Fields, 'on'>;

export interface AcceptedFrame {
  client_id?: string;
  conversation: string;
  seq: number;
}

export interface ByeFrame {
  reason: string;
  retry_ms?: number;
}

export interface Cursor {
  conversation: string;
  seq: number;
  open: boolean;
}

export interface ErrorFrame {
  id?: string;
  code: string;
  message?: string;
  retry_ms?: number;
}

export interface Field {
  name: string;
  kind?: 'text' | 'email' | 'tel' | 'textarea' | 'select';
  label?: string;
  required?: boolean;
  options?: string[];
}

export interface FileFrame {
  id?: string;
  expires: string;
  url: string;
}

export interface FilePart {
  blob: string;
  name: string;
  mime: string;
  size: number;
  width?: number;
  height?: number;
  key?: string;
}

export interface FormSettings {
  fields: Field[] | null;
}

export interface GrantFrame {
  id?: string;
  grant: string;
  expires: string;
  url: string;
}

export interface LiveFrame {
  conversation?: string;
}

export interface Page {
  url: string;
  title: string;
}

export interface PongFrame {
  id?: string;
}

export interface QueueFrame {
  conversation?: string;
  position: number;
  wait_ms: number;
}

export interface RefusedFrame {
  client_id?: string;
  code: string;
  message?: string;
  retry: boolean;
}

export interface SentAnswer {
  choice: string;
  title: string;
}

export interface SentPart {
  kind: 'text' | 'file' | 'answer';
  text?: string;
  file?: FilePart;
  answer?: SentAnswer;
}

export interface SignalFrame {
  conversation?: string;
  on: boolean;
  name?: string;
}

export interface Site {
  v: number;
  site: string;
  title?: string;
  theme: Theme;
  form: FormSettings;
  texts?: Record<string, Record<string, string>>;
  tones: Tones;
  max_file: number;
  max_text: number;
  origins: string[] | null;
}

export interface Theme {
  color: string;
  mode: string;
  side: string;
  offset_x: number;
  offset_y: number;
}

export interface Tones {
  message: boolean;
}

export interface VisitorFrame {
  token: string;
}

export interface WelcomeFrame {
  v: number;
  site: string;
  known: boolean;
  time: string;
  code?: string;
}
