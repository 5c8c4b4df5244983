// Links in plain text (SPEC B6-B8): http://, https:// and www. only. Bare
// domains and every other scheme stay text.

export type Piece = { text: string } | { text: string; href: string }

const start = /(^|[^\p{L}\p{N}_@.:/-])((?:https?:\/\/|www\.)[^\s<>"'`\u00AB\u00BB\u201C-\u201F]+)/giu

/** Splits text into what is a link and what is not; joined, the pieces are the text. */
export function linkify(text: string): Piece[] {
  const out: Piece[] = []
  let at = 0
  const plain = (to: number) => {
    if (to > at) out.push({ text: text.slice(at, to) })
    at = to
  }
  for (const m of text.matchAll(start)) {
    const from = m.index + (m[1]?.length ?? 0)
    const shown = trim(m[2] ?? '')
    const href = hrefOf(shown)
    if (!href) continue
    plain(from)
    out.push({ text: shown, href })
    at = from + shown.length
  }
  plain(text.length)
  return out
}

/** Punctuation at the end belongs to the sentence; so does a closing bracket without its opening one. */
function trim(url: string): string {
  for (;;) {
    const last = url.at(-1) ?? ''
    if (/[.,;:!?*_~]/.test(last)) url = url.slice(0, -1)
    else if (last === ')' && count(url, ')') > count(url, '(')) url = url.slice(0, -1)
    else if (last === ']' && count(url, ']') > count(url, '[')) url = url.slice(0, -1)
    else if (last === '}' && count(url, '}') > count(url, '{')) url = url.slice(0, -1)
    else return url
  }
}

const count = (text: string, char: string) => text.split(char).length - 1

/** The address of a link, or '' where there is none: http and https with a host only, no credentials. */
export function hrefOf(text: string): string {
  const trimmed = text.trim()
  const full = /^www\./i.test(trimmed) ? `https://${trimmed}` : trimmed
  if (!/^https?:\/\//i.test(full)) return ''
  try {
    const url = new URL(full)
    const host = url.hostname
    // URL forgets an empty user; and it takes any number of slashes of either kind, and breaks anywhere.
    if (/^https?:[/\\]*[^/?#\\]*@/i.test(full.replace(/[\t\n\r]/g, '')) || !host) return ''
    if (/^www\./i.test(trimmed) && !/^www\.[^.]+(\.[^.]+)*$/i.test(host)) return ''
    return url.href
  } catch {
    return ''
  }
}

/** Whether a link leads to the embedding site's own domain: it then opens in the same window (B8). */
export function sameSite(href: string, pageUrl: string): boolean {
  try {
    const own = new URL(pageUrl).hostname.replace(/^www\./i, '')
    const host = new URL(href).hostname.replace(/^www\./i, '')
    return own !== '' && (host === own || host.endsWith(`.${own}`))
  } catch {
    return false
  }
}
