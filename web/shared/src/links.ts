// Links in messages (SPEC B6-B8): text that starts with http://, https:// or www. becomes a link; a bare domain does
// not, and no other scheme ever does.

/** A part of a text, beginning at index `at`. */
export type Piece = { at: number; text: string } | { at: number; text: string; href: string };

const candidate = /(?:https?:\/\/|www\.)[^\s<>"'`\\\u00AB\u00BB\u201C-\u201F]+/gi;
/**
 * What comes before an address that is part of another word, or that is wrapped into a scheme that
 * runs code.
 */
const attached = /(?:[\p{L}\p{N}_.@/-]|script:)$/iu;

/** Splits a text into plain parts and links. All parts joined are the unchanged text. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(candidate)) {
    const at = match.index;
    if (attached.test(text.slice(Math.max(0, at - 7), at))) continue;
    const shown = trimTail(match[0]);
    const href = hrefOf(shown);
    if (!href) continue;
    if (at > from) pieces.push({ at: from, text: text.slice(from, at) });
    pieces.push({ at, text: shown, href });
    from = at + shown.length;
  }
  if (from < text.length) pieces.push({ at: from, text: text.slice(from) });
  return pieces;
}

/** The URL of a link as people write it, also of "www.shop.example"; '' if there is none. */
export function hrefOf(text: string): string {
  if (!/^\s*www\./i.test(text)) return safeHref(text);
  const href = safeHref(`https://${text.trim()}`);
  return /^https:..www(\.[^./]+)+\.?\//.test(href) ? href : '';
}

/**
 * A URL that may be opened, or '' if this one may not: only http and https with a host, and without
 * user or password, even empty ones, which make "https://desk.example@evil.example" look like
 * another host.
 */
export function safeHref(address: string): string {
  const trimmed = address.trim();
  if (!/^https?:\/\//i.test(trimmed)) return '';
  // URL drops an empty user, accepts any number of slashes of either kind, and ignores line breaks
  // anywhere.
  if (/^https?:[/\\]*[^/?#\\]*@/i.test(trimmed.replace(/[\t\n\r]/g, ''))) return '';
  try {
    const url = new URL(trimmed);
    return url.hostname ? url.href : '';
  } catch {
    return '';
  }
}

/**
 * Whether a link leads to the embedding site's own domain: then it opens in the same window (B8).
 */
export function sameSite(href: string, pageUrl: string): boolean {
  try {
    const own = new URL(pageUrl).hostname.replace(/^www\./i, '');
    const host = new URL(href).hostname.replace(/^www\./i, '');
    return own !== '' && (host === own || host.endsWith(`.${own}`));
  } catch {
    return false;
  }
}

/**
 * Punctuation at the end belongs to the sentence, and so does a closing bracket whose opening one
 * is not in the link.
 */
function trimTail(shown: string): string {
  let url = shown;
  for (;;) {
    const last = url.at(-1) ?? '';
    const open = '([{'[')]}'.indexOf(last)];
    if (!/[.,;:!?*_~]/.test(last) && !(open && url.split(last).length > url.split(open).length)) return url;
    url = url.slice(0, -1);
  }
}
