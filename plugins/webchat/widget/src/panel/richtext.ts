// Rich text (SPEC D5, D6): i, b, a, em, strong and br; everything else is reduced to its text, and
// unclosed tags are closed. The result is data for the renderer, never HTML, so nothing in it can
// run or load.
import { hrefOf } from '@parley/shared/links'

export type Rich =
  | string
  | { tag: 'i' | 'b' | 'em' | 'strong' | 'br'; children: Rich[] }
  | { href: string; children: Rich[] }

const tags = new Set(['i', 'b', 'em', 'strong', 'a'])
/** Elements whose text must not be shown. */
const dropped =
  /<(script|style|template|noscript|iframe|object|svg|math|title|textarea|select)\b[^>]*>[\s\S]*?(<\/\1\s*>|$)/gi
/** A tag with its attributes, whose quoted values may contain ">"; or a comment. */
const token = /<!--[\s\S]*?(?:-->|$)|<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|'[^']*'|[^'">])*)>/gi
const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' }

export function rich(html: string): Rich[] {
  const text = html.replace(dropped, '')
  const root: Rich[] = []
  const open: { name: string; children: Rich[] }[] = [{ name: '', children: root }]
  const top = () => open[open.length - 1] as { name: string; children: Rich[] }
  let at = 0
  for (const m of text.matchAll(token)) {
    if (m.index > at) top().children.push(decode(text.slice(at, m.index)))
    at = m.index + m[0].length
    const name = (m[2] ?? '').toLowerCase()
    if (name === 'br' && !m[1]) top().children.push({ tag: 'br', children: [] })
    if (!tags.has(name)) continue
    if (m[1]) {
      const i = open.findLastIndex((o) => o.name === name)
      if (i > 0) open.length = i
    } else if (open.length < 20) {
      const children: Rich[] = []
      const href = name === 'a' ? hrefOf(hrefIn(m[3] ?? '')) : ''
      if (name !== 'a') top().children.push({ tag: name as 'i', children })
      else if (href) top().children.push({ href, children })
      open.push({ name, children: name !== 'a' || href ? children : top().children })
    }
  }
  if (at < text.length) top().children.push(decode(text.slice(at)))
  return root
}

function hrefIn(attributes: string): string {
  const m = /(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/i.exec(attributes)
  return decode(m?.[1] ?? m?.[2] ?? m?.[3] ?? '')
}

function decode(text: string): string {
  return text.replace(/&(#x?[0-9a-f]+|[a-z]+);/gi, (all, name: string) => {
    if (name[0] !== '#') return named[name.toLowerCase()] ?? all
    const code = name[1]?.toLowerCase() === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all
  })
}
