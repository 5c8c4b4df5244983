// What a tool shows the customer: the blocks of docs/plugin-contract.md, Panels. Pure.

/** A value that a panel's field holds. */
export type Value = string | boolean

export interface Option {
  value: string
  label: string
}

export interface Line {
  text: string
  detail: string
  action: string
}

export type Block =
  | { type: 'text'; text: string; style: string }
  | { type: 'key_value'; items: { key: string; value: string }[] }
  | {
      type: 'field'
      name: string
      label: string
      kind: string
      value: string
      placeholder: string
      required: boolean
      max: number
      options: Option[]
    }
  | { type: 'button'; action: string; label: string; style: string; confirm: string; disabled: boolean }
  | { type: 'link'; url: string; label: string }
  | { type: 'code'; code: string; label: string }
  | { type: 'status'; state: string; text: string }
  | { type: 'list'; items: Line[] }
  | { type: 'image'; alt: string }
  | { type: 'unknown' }

const most = 100
const actions = /^[a-z][a-z0-9_.-]{0,63}$/
const kinds = ['', 'multiline', 'number', 'email', 'tel', 'password', 'checkbox', 'select']

type Raw = Record<string, unknown>

const text = (v: unknown) => (typeof v === 'string' ? v : '')
const raws = (v: unknown): Raw[] =>
  Array.isArray(v) ? v.slice(0, most).filter((x) => typeof x === 'object' && x !== null) : []

/** Whether a panel may lead there: https, or http at this machine. */
function leads(url: string): boolean {
  try {
    const u = new URL(url)
    const own = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(u.hostname)
    return u.protocol === 'https:' || (u.protocol === 'http:' && own)
  } catch {
    return false
  }
}

/** The blocks of a panel as they are drawn. What is not known, or breaks a rule, becomes `unknown`. */
export function panel(blocks: unknown): Block[] {
  const names = new Set<string>()
  return raws(blocks).map((b) => block(b, names))
}

function block(b: Raw, names: Set<string>): Block {
  const unknown: Block = { type: 'unknown' }
  const label = text(b.label)
  switch (b.type) {
    case 'text':
      return text(b.text) ? { type: 'text', text: text(b.text), style: text(b.style) } : unknown
    case 'key_value':
      return {
        type: 'key_value',
        items: raws(b.items).map((i) => ({ key: text(i.key), value: text(i.value) })),
      }
    case 'field': {
      const name = text(b.name)
      const kind = text(b.kind)
      if (!name || !label || !kinds.includes(kind) || names.has(name)) return unknown
      names.add(name)
      return {
        type: 'field',
        name,
        label,
        kind,
        value: text(b.value),
        placeholder: text(b.placeholder),
        required: b.required === true,
        max: typeof b.max_length === 'number' && b.max_length > 0 ? b.max_length : 1000,
        options: raws(b.options).map((o) => ({ value: text(o.value), label: text(o.label) })),
      }
    }
    case 'button': {
      const action = text(b.action)
      if (!actions.test(action) || !label) return unknown
      const { style, confirm, disabled } = b
      return {
        type: 'button',
        action,
        label,
        style: text(style),
        confirm: text(confirm),
        disabled: disabled === true,
      }
    }
    case 'link':
      return leads(text(b.url)) && label ? { type: 'link', url: text(b.url), label } : unknown
    // A page of the tool's opens in a window of its own: the chat's page embeds no other.
    case 'embed':
      return leads(text(b.url)) && text(b.title)
        ? { type: 'link', url: text(b.url), label: text(b.title) }
        : unknown
    case 'code':
      return text(b.code) ? { type: 'code', code: text(b.code), label } : unknown
    case 'status':
      return text(b.text) ? { type: 'status', state: text(b.state), text: text(b.text) } : unknown
    case 'list':
      return {
        type: 'list',
        items: raws(b.items).map((i) => ({
          text: text(i.text),
          detail: text(i.detail),
          action: actions.test(text(i.action)) ? text(i.action) : '',
        })),
      }
    case 'image':
      return text(b.alt) ? { type: 'image', alt: text(b.alt) } : unknown
    default:
      return unknown
  }
}

/** Whether a panel asks for the customer's consent. */
export const asks = (blocks: Block[]) => blocks.some((b) => b.type === 'button' && b.action === 'accept')
