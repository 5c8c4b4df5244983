// The script that a site embeds:
//
//   <script src="https://chat.example.com/p/webchat/widget.js" data-site="demo" async></script>
//
// It draws the button and, at the first click, the iframe. It stores nothing before that click, and
// afterwards only whether there is a chat to return to. Attributes and window.ParleyChat:
// ../../README.md.
import type { Look, ToHost, ToPanel } from '../bridge'

interface Site {
  theme: { color: string; side: string; offset_x: number; offset_y: number }
}

const script = (document.currentScript ??
  document.querySelector('script[src*="/widget.js"][data-site]')) as HTMLScriptElement
const base = script.src.replace(/widget\.js.*$/, '')
const origin = new URL(base).origin
const data = script.dataset
const site = data.site || ''
const storeKey = `parley-chat:${site}`
const words: Record<string, string[]> = {
  en: ['Open chat', 'Close chat', 'Chat', 'unread'],
  de: ['Chat öffnen', 'Chat schließen', 'Chat', 'ungelesen'],
}

let color = '#3451b2'
let side = 'right'
let offsetX = '20'
let offsetY = '20'
let look: Look = {}
let root: ShadowRoot
let box: HTMLElement
let button: HTMLButtonElement
let frame: HTMLIFrameElement | undefined
let loaded = false
let shown = false
let unread = 0

const text = () => (words[(look.locale || navigator.language).slice(0, 2)] ?? words.en) as string[]

// The host page's storage may be switched off; the chat works without it.
const store = (value?: string | null) => {
  try {
    if (value === undefined) return localStorage.getItem(storeKey)
    if (value === null) localStorage.removeItem(storeKey)
    else localStorage.setItem(storeKey, value)
  } catch {}
  return null
}

// White or black, whichever has more contrast on a colour (WCAG relative luminance).
const ink = (hex: string) => {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? '#111' : '#fff'
}

const post = (m: ToPanel) => loaded && frame?.contentWindow?.postMessage(m, origin)
const page = () => ({ url: location.href, title: document.title })

const css = `:host{all:initial}
.b,iframe{position:fixed;z-index:2147483000;bottom:var(--y);border:0}
.r .b,.r iframe{right:var(--x)}.l .b,.l iframe{left:var(--x)}
.b{width:56px;height:56px;border-radius:50%;padding:0;cursor:pointer;background:var(--c);color:var(--i);box-shadow:0 4px 16px #0004;display:grid;place-items:center;transition:transform .15s}
.b:hover{transform:scale(1.06)}.b:focus-visible{outline:3px solid var(--c);outline-offset:3px}
svg{width:28px;height:28px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.n{position:absolute;top:-4px;right:-4px;min-width:22px;height:22px;box-sizing:border-box;padding:0 6px;border-radius:11px;background:#c4211c;color:#fff;font:600 13px/22px system-ui,sans-serif;text-align:center}
.n:empty{display:none}
iframe{bottom:calc(var(--y) + 68px);width:384px;height:min(640px,calc(100vh - var(--y) - 88px));border-radius:16px;box-shadow:0 12px 48px #0005;background:Canvas;color-scheme:normal}
iframe[hidden]{display:none}
@media (max-width:480px){iframe{inset:0!important;width:100%;height:100%;border-radius:0}.o .b{display:none}}
@media (prefers-reduced-motion:reduce){.b{transition:none}.b:hover{transform:none}}
@media print{.b,iframe{display:none}}`

const bubble = '<path d="M21 11.5a8.5 8.5 0 0 1-12.6 7.4L3 20.5l1.6-5.1A8.5 8.5 0 1 1 21 11.5z"/>'
const cross = '<path d="m6 9 6 6 6-6"/>'

const draw = () => {
  const [openText, closeText, , unreadText] = text()
  box.className = `${side === 'left' ? 'l' : 'r'}${shown ? ' o' : ''}`
  box.style.cssText = `--c:${color};--i:${ink(color)};--x:${offsetX}px;--y:${offsetY}px`
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${shown ? cross : bubble}</svg><span class="n" aria-hidden="true">${unread && !shown ? Math.min(unread, 99) : ''}</span>`
  const label = shown ? closeText : data.label || openText
  button.setAttribute('aria-label', `${label}${unread && !shown ? `, ${unread} ${unreadText}` : ''}`)
  button.setAttribute('aria-expanded', String(shown))
}

const load = () => {
  if (frame) return
  frame = document.createElement('iframe')
  frame.src = `${base}panel/${encodeURIComponent(site)}`
  frame.title = data.title || (text()[2] as string)
  frame.allow = 'autoplay; clipboard-write'
  frame.hidden = !shown
  frame.onload = () => {
    loaded = true
    post({ parley: 1, t: 'init', page: page(), look, open: shown })
  }
  box.append(frame)
}

// byUser: the focus moves into the chat; a chat that opens again by itself leaves the focus where
// it is.
const show = (on: boolean, byUser = true) => {
  if (on === shown) return
  shown = on
  load()
  if (frame) frame.hidden = !on
  if (store()) store(on ? 'open' : 'closed')
  post({ parley: 1, t: 'shown', open: on })
  draw()
  if (!byUser) return
  if (on) frame?.focus()
  else button.focus()
}

addEventListener('message', (e: MessageEvent<ToHost>) => {
  if (e.origin !== origin || !frame || e.source !== frame.contentWindow || e.data?.parley !== 1) return
  const m = e.data
  if (m.t === 'close') show(false)
  if (m.t === 'active') store(m.on ? (shown ? 'open' : 'closed') : null)
  if (m.t === 'unread') {
    unread = m.count
    draw()
  }
})

// Notices pages that change their address without loading (SPEC B5). The title often changes a
// moment after the address.
let last = ''
let timer = 0
const moved = () => {
  clearTimeout(timer)
  timer = window.setTimeout(() => {
    const p = page()
    if (p.url + p.title !== last) post({ parley: 1, t: 'page', page: p })
    last = p.url + p.title
  }, 300)
}
for (const name of ['pushState', 'replaceState'] as const) {
  const was = history[name]
  history[name] = function (this: History, ...args) {
    was.apply(this, args)
    moved()
  }
}
addEventListener('popstate', moved)
addEventListener('hashchange', moved)

const set = (attrs: Record<string, string | undefined>) => {
  Object.assign(data, attrs)
  look = {}
  for (const key of ['color', 'theme', 'locale', 'title'] as const) {
    const value = data[key]
    if (value) look[key] = value
  }
  if (/^#[0-9a-f]{6}$/i.test(data.color || '')) color = data.color as string
  side = data.side || side
  offsetX = String(Number.parseInt(data.offsetX || offsetX, 10) || 0)
  offsetY = String(Number.parseInt(data.offsetY || offsetY, 10) || 0)
  draw()
  post({ parley: 1, t: 'look', look })
}

const mount = () => {
  const host = document.createElement('parley-chat')
  root = host.attachShadow({ mode: 'open' })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(css) // a constructed style sheet is not subject to the page's style-src
  root.adoptedStyleSheets = [sheet]
  box = document.createElement('div')
  button = document.createElement('button')
  button.type = 'button'
  button.classList.add('b')
  button.onclick = () => show(!shown)
  box.append(button)
  root.append(box)
  document.body.append(host)
  set({})
  Object.assign(window, { ParleyChat: { open: () => show(true), close: () => show(false), set } })
  dispatchEvent(new Event('parley-chat-ready'))
  const before = store()
  if (before === 'open' && innerWidth > 480) show(true, false)
  else if (before) load()
}

const start = async () => {
  try {
    const answer = await fetch(`${base}site/${encodeURIComponent(site)}`, { credentials: 'omit' })
    if (answer.status === 404) return console.error(`Parley: there is no chat site "${site}"`)
    const { theme } = (await answer.json()) as Site
    color = theme.color
    side = theme.side
    offsetX = String(theme.offset_x)
    offsetY = String(theme.offset_y)
  } catch {} // the attributes and defaults are used
  if (document.body) mount()
  else addEventListener('DOMContentLoaded', mount)
}
if (!('ParleyChat' in window)) void start() // a script that is embedded twice draws one button
