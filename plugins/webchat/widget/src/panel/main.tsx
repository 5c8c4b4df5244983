import { render } from 'preact'
import type { Look, Page, ToPanel } from '../bridge'
import { Chat } from './chat'
import { Host } from './host'
import { words } from './i18n'
import type { Site } from './protocol'
import './panel.css'
import { tone, unlock } from './sound'
import { keep } from './storage'
import { palette } from './theme'
import { App } from './ui/app'
import { type Ui, UiContext } from './ui/context'

const site = JSON.parse(document.getElementById('site')?.textContent ?? '{}') as Site
const app = document.getElementById('app') as HTMLElement
const framed = window.parent !== window
const dark = matchMedia('(prefers-color-scheme: dark)')
const local = keep(() => localStorage, `parley:${site.site}`)
const session = keep(() => sessionStorage, `parley:${site.site}`)

let page: Page = { url: document.referrer, title: '' }
let look: Look = {}
let shown = !framed
let soundOn = local.get('sound') !== 'off'
let begun = false

const locale = () => look.locale || navigator.language || 'en'

const chat = new Chat({
  url: new URL('../ws', location.href).href.replace(/^http/, 'ws'),
  site: site.site,
  locale,
  page: () => page,
  local,
  session,
  onMessage: () => {
    if (site.tones.message && soundOn && !visible()) tone()
  },
})

const visible = () => shown && document.visibilityState === 'visible'

const host = new Host(site.origins ?? [], (m: ToPanel) => {
  switch (m.t) {
    case 'init':
      look = m.look
      page = m.page
      shown = m.open
      begin()
      return
    case 'page':
      page = m.page
      chat.page()
      draw() // which links are the site's own follows the page
      return
    case 'look':
      look = m.look
      draw()
      return
    case 'shown':
      shown = m.open
      chat.seen(visible())
      if (shown) {
        unlock()
        enter()
      }
      return
  }
})

/** Puts the cursor where writing begins, except where that raises a keyboard on screen. */
function enter(): void {
  if (!matchMedia('(pointer: fine)').matches) return
  document.querySelector<HTMLElement>('.composer textarea, .field input, .field textarea')?.focus()
}

function draw(): void {
  const mode = look.theme || site.theme.mode
  const isDark = mode === 'dark' || (mode !== 'light' && dark.matches)
  const root = document.documentElement
  const w = words(locale(), site.texts)
  root.lang = w.lang
  root.dir = w.dir
  root.dataset.theme = isDark ? 'dark' : 'light'
  for (const [name, value] of Object.entries(palette(look.color || site.theme.color, isDark))) {
    root.style.setProperty(name, value)
  }
  const title = look.title || w.own('title') || site.title || w.t('title')
  document.title = title
  const ui: Ui = {
    site,
    title,
    words: w,
    chat,
    framed,
    pageUrl: () => page.url,
    close: () => host.send({ parley: 1, t: 'close' }),
    sound: {
      on: soundOn,
      possible: site.tones.message,
      toggle: () => {
        soundOn = !soundOn
        local.set('sound', soundOn ? '' : 'off')
        unlock()
        if (soundOn) tone()
        draw()
      },
    },
  }
  render(
    <UiContext.Provider value={ui}>
      <App />
    </UiContext.Provider>,
    app,
  )
}

let unread = -1
let active = ''

/** What the launcher should know: unread messages, and whether to come back. */
function report(): void {
  const count = chat.unread
  if (count !== unread) host.send({ parley: 1, t: 'unread', count })
  unread = count
  const { view, pending } = chat.state
  const now = view.open || pending.length > 0 ? 'on' : chat.state.ready ? 'off' : active
  if (now !== active && now) host.send({ parley: 1, t: 'active', on: now === 'on' })
  active = now
}

function begin(): void {
  if (begun) {
    draw()
    return
  }
  begun = true
  draw()
  chat.subscribe(report)
  chat.resume()
  chat.seen(visible())
  report()
  dark.addEventListener('change', draw)
  document.addEventListener('visibilitychange', () => chat.seen(visible()))
  document.addEventListener('pointerdown', unlock)
  document.addEventListener('keydown', (e) => {
    unlock()
    if (e.key === 'Escape' && !document.querySelector('dialog[open]')) host.send({ parley: 1, t: 'close' })
  })
  addEventListener('online', () => chat.nudge())
  addEventListener('storage', () => chat.sync())
}

if (!framed) begin()
