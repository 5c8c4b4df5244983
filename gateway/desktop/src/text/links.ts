// Links in messages (SPEC B6, B7): text that starts with http://, https:// or www. becomes a link; a bare domain
// does not, and no other scheme ever does.

/** A stretch of a text that begins at index `at`. */
export type Piece = { at: number; text: string } | { at: number; text: string; href: string };

const candidate = /(?:https?:\/\/|www\.)[^\s<>"'`{}|\\^]+/gi;

/** Splits a text into plain pieces and links. The concatenated pieces are the text, unchanged. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(candidate)) {
    const at = match.index;
    // "xhttp://" and "a.www.b" are parts of other words.
    if (at > 0 && /[\p{L}\p{N}_.@/-]/u.test(text[at - 1] ?? '')) continue;
    const shown = trimTail(match[0]);
    const href = toHref(shown);
    if (!href) continue;
    if (at > from) pieces.push({ at: from, text: text.slice(from, at) });
    pieces.push({ at, text: shown, href });
    from = at + shown.length;
  }
  if (from < text.length) pieces.push({ at: from, text: text.slice(from) });
  return pieces;
}

/**
 * An address that may be opened from the desktop, or "" when it is none: http and https only, and without user or
 * password, empty ones too, which make "https://desk.example@evil.example" look like another host (the chat panel has
 * the same rule).
 */
export function safeHref(url: string): string {
  try {
    const parsed = new URL(url);
    // URL forgets an empty user; and it takes any number of slashes of either kind, and breaks anywhere.
    const host = /^https?:[/\\]*([^/?#\\]*)/i.exec(url.trim().replace(/[\t\n\r]/g, ''))?.[1] ?? '@';
    if (host.includes('@')) return '';
    return parsed.protocol === 'http:' || parsed.protocol === 'https:' ? parsed.href : '';
  } catch {
    return '';
  }
}

function toHref(shown: string): string {
  const url = /^www\./i.test(shown) ? `https://${shown}` : shown;
  const href = safeHref(url);
  if (!href) return '';
  const host = new URL(href).hostname;
  return host.replace(/^www\./, '') === '' ? '' : href;
}

/** Punctuation at the end belongs to the sentence; a closing bracket only when its opening one is inside. */
function trimTail(url: string): string {
  let end = url.length;
  while (end > 0) {
    const last = url[end - 1] ?? '';
    if (/[.,;:!?*_~]/.test(last)) end--;
    else if ((last === ')' || last === ']') && unbalanced(url.slice(0, end), last)) end--;
    else break;
  }
  return url.slice(0, end);
}

function unbalanced(text: string, close: string): boolean {
  const open = close === ')' ? '(' : '[';
  return text.split(close).length > text.split(open).length;
}
