// The socket's frames, as ../../../README.md documents them. The plugin writes them from one type for all kinds, so
// which fields a kind has is told here; what the log holds comes from its own types.

import type { Author, FileRef, Part as StoredPart } from '@parley/shared/protocol'

/** An attachment; `key` proves to the gateway that its sender uploaded it. */
export type FilePart = FileRef & { key?: string }

export type Part = Omit<StoredPart, 'file'> & { file?: FilePart }

/** An event as stored: head and body are the log's own. */
export interface EventFrame {
  t: 'event'
  conversation: string
  seq: number
  prev: number
  at: string
  type: string
  head: {
    id?: string
    author?: Author
    who?: Author
    by?: Author
    client_id?: string
    delivered?: number
    read?: number
    cause?: string
    ends_at?: string
  }
  body?: { parts?: Part[]; name?: string; text?: string }
  file_keys?: Record<string, string>
}

export type ServerFrame =
  | EventFrame
  | { t: 'welcome'; known: boolean; code?: string; time: string }
  | { t: 'visitor'; token: string }
  | { t: 'live'; conversation?: string }
  | { t: 'accepted'; client_id: string; conversation: string; seq: number }
  | { t: 'refused'; client_id: string; code: string; retry: boolean }
  | { t: 'typing'; on: boolean; name?: string }
  | { t: 'presence'; on: boolean; name?: string }
  | { t: 'queue'; position: number; wait_ms: number }
  | { t: 'grant'; id: string; grant: string; url: string }
  | { t: 'file'; id: string; url: string; expires: string }
  | { t: 'error'; id?: string; code: string }
  | { t: 'pong'; id: string }
  | { t: 'bye'; reason: string; retry_ms?: number }

export interface Cursor {
  conversation: string
  seq: number
  open: boolean
}

export interface Field {
  name: string
  kind?: 'text' | 'email' | 'tel' | 'textarea' | 'select'
  label?: string
  required?: boolean
  options?: string[]
}

/** What the panel's page says of the site. */
export interface Site {
  site: string
  title?: string
  theme: { color: string; mode: string }
  form: { fields: Field[] | null }
  texts?: Record<string, Record<string, string>>
  tones: { message: boolean }
  max_file: number
  max_text: number
  origins: string[]
}
