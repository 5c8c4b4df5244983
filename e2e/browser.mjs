// What the stories share: the real binary, a headless Chromium, desks, customers, pictures.
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { axe, launch, slowDown } from '@parley/shared/browser'

export { axe, launch }

export const root = new URL('..', import.meta.url).pathname
export const binary = process.env.E2E_BINARY ?? join(root, 'bin', 'parley')
const shots = new URL('./shots/', import.meta.url).pathname
const run = promisify(execFile)

/** Records that the stories need beside the demo's own: a service whose clocks run fast. */
const records = `
services:
  - name: Customer Care
    teams: [Front Office]
    rules: {offer_timeout: 90s, inactivity_warn: 5m, inactivity_end: 10m, wrapup_limit: 5m}
    dispositions: [{code: answered, name: Question answered}, {code: order, name: Order placed}]
    texts: {inactivity_warning: Are you still there?}
  - name: Quick Service
    teams: [Front Office]
    rules: {offer_timeout: 3s, inactivity_warn: 15s, inactivity_end: 30s, wrapup_limit: 60s, requeue_after: 60s}
    dispositions: [{code: done, name: Done}]
    texts: {inactivity_warning: Are you still there?}
accounts:
  - name: quick
    plugin: webchat
    service: Quick Service
    settings: {site: quick, title: Quick shop, allowed_origins: ["*"], demo_page: true, unresponsive_after: 5}
`

/** A demo of its own, with a data folder that goes with it. */
export async function system() {
  const data = mkdtempSync(join(tmpdir(), 'parley-e2e-'))
  const child = spawn(binary, ['demo', '--json', '--data', data, '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = []
  createInterface({ input: child.stderr }).on('line', (l) => log.push(l))
  const info = await new Promise((done, failed) => {
    createInterface({ input: child.stdout }).once('line', (l) => done(JSON.parse(l)))
    child.once('exit', (code) => failed(new Error(`the demo ended with ${code}:\n${log.join('\n')}`)))
  })
  const s = {
    ...info, data, log, child,
    password: (login) => info.users.find((u) => u.login === login).password,
    page: (site) => info.customer_page.replace(/demo$/, site),
    /** Runs a command of the binary on this data folder. */
    async parley(...argv) {
      const { stdout } = await run(binary, [...argv, '--data', data], { maxBuffer: 64 << 20 })
      return stdout
    },
    async events(conversation) {
      const text = await s.parley('log', ...(conversation ? ['--conversation', conversation] : []))
      return text.split('\n').filter(Boolean).map((l) => JSON.parse(l))
    },
    /** The pid of the gateway ("serve") or of a plugin (its name). */
    pid(what) {
      // Nothing of a process that has ended meanwhile.
      const read = (p, name) => {
        try {
          return readFileSync(`/proc/${p}/${name}`, 'utf8')
        } catch {
          return ''
        }
      }
      const kids = (of) =>
        readdirSync('/proc').filter((p) => /^\d+$/.test(p)).map(Number)
          .filter((p) => Number(read(p, 'stat').split(') ')[1]?.split(' ')[1]) === of)
      const cmd = (p) => read(p, 'cmdline').replaceAll('\0', ' ')
      const gateway = kids(child.pid).find((p) => / serve /.test(cmd(p)))
      return what === 'serve' ? gateway : kids(gateway).find((p) => cmd(p).includes(what))
    },
    async close() {
      child.removeAllListeners('exit')
      const gone = new Promise((done) => child.once('exit', done))
      child.kill('SIGTERM')
      await gone
      rmSync(data, { recursive: true, force: true })
    },
  }
  writeFileSync(join(data, 'e2e.yaml'), records)
  await s.parley('apply', '-f', join(data, 'e2e.yaml'))
  return s
}

const expected = /WebSocket|Failed to load resource|ERR_|status of 50\d/

async function watch(page) {
  page.faults = []
  page.on('console', (m) => m.type() === 'error' && !expected.test(m.text()) && page.faults.push(m.text()))
  page.on('pageerror', (err) => page.faults.push(String(err)))
  await slowDown(page)
  return page
}

/** A desk, logged in. */
export async function desk(browser, sys, login, { scheme = 'light', ready = false } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, colorScheme: scheme, locale: 'en-GB' })
  const page = await watch(await context.newPage())
  page.setDefaultTimeout(30_000)
  await page.goto(sys.desk_url)
  await page.getByLabel('Login', { exact: true }).fill(login)
  await page.getByLabel('Password', { exact: true }).fill(sys.password(login))
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('button', { name: /Your state/ }).waitFor()
  if (ready) await goReady(page)
  return page
}

export async function goReady(page) {
  await page.getByRole('button', { name: 'Go ready' }).click()
  await state(page, 'Ready')
}

export const state = (page, name) => page.getByRole('button', { name: new RegExp(`Your state: ${name}`) }).waitFor()

/** A customer on the shop's page, with the chat open. */
export async function customer(browser, sys, { site = 'demo', scheme = 'light', size = { width: 1200, height: 800 } } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, locale: 'en-GB' })
  const page = await watch(await context.newPage())
  page.setDefaultTimeout(30_000)
  await page.goto(sys.page(site))
  page.panel = page.frameLocator('parley-chat iframe')
  await page.getByRole('button', { name: 'Open chat' }).click()
  return page
}

export async function ask(page, name, text) {
  await page.panel.getByLabel('First name').fill(name)
  await page.panel.getByLabel('How can we help?').fill(text)
  await page.panel.getByRole('button', { name: 'Start chat' }).click()
  await page.panel.getByText(text.split(' http')[0]).waitFor()
}

export async function say(page, text) {
  const box = page.panel ? page.panel.getByRole('textbox', { name: /message/i }) : page.getByRole('textbox', { name: 'Message' })
  await box.fill(text)
  await box.press('Enter')
}

export async function picture(page, name) {
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: `${shots}${name}.png` })
}

/** Waits until a condition holds and returns what it gave. */
export async function until(what, condition, ms = 15_000) {
  const end = Date.now() + ms
  for (;;) {
    const got = await condition()
    if (got) return got
    if (Date.now() > end) throw new Error(`after ${ms} ms: no ${what}`)
    await new Promise((done) => setTimeout(done, 25))
  }
}

/** A handset on the simulator's page, in use; the page may show it beside others. */
export async function handset(browser, sys, number, { scheme = 'light' } = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, colorScheme: scheme, locale: 'en-GB' })
  const page = await watch(await context.newPage())
  page.setDefaultTimeout(30_000)
  await page.goto(sys.phone_page)
  await page.getByLabel('Add a handset').fill(number)
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await page.getByRole('heading', { name: number }).waitFor()
  /** Bubbles with a text: "mine" were written here, "theirs" came in. */
  page.bubble = (side, text, state) => page.locator(`#log .bubble.${side}${state ? `[data-state="${state}"]` : ''}`, { hasText: text })
  return page
}

/** Writes a text on a handset; it has gone out when this returns, not arrived. */
export async function write(phone, text) {
  await phone.locator('#text').fill(text)
  await phone.locator('#send').click()
  await phone.bubble('mine', text).last().waitFor()
}

/** A request to the control API of the carrier's sandbox: what it answers. */
export async function carrier(sys, method, path, body) {
  const res = await fetch(`${sys.sandbox.twilio_url}/_sandbox${path}`, {
    method, body: body && JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
  })
  const text = await res.text()
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${text}`)
  return text ? JSON.parse(text) : undefined
}

/** What agents and handsets said, by the carrier's own ledger: texts with how often each is there. */
export async function ledger(sys) {
  const { inbound, outbound } = await carrier(sys, 'GET', '/ledger')
  return { inbound, outbound, said: (all, text) => all.filter((m) => m.body === text).length }
}

/** A screen by axe, and on a picture in light and dark. The desktop's own stories ask axe in both; `both` does here. */
export async function look(page, where, { both = false } = {}) {
  for (const scheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme: scheme })
    if (both || scheme === 'light') await axe(page, `${where} (${scheme})`)
    await picture(page, scheme === 'light' ? where : `${where}-dark`)
  }
}

/** A small PNG of one colour, made by hand: no picture from elsewhere. */
export async function png(page, width, height) {
  const url = await page.evaluate(([w, h]) => {
    const c = document.createElement('canvas')
    c.width = w
    c.height = h
    const g = c.getContext('2d')
    g.fillStyle = '#3366aa'
    g.fillRect(0, 0, w, h)
    g.fillStyle = '#ffcc00'
    g.fillRect(w / 4, h / 4, w / 2, h / 2)
    return c.toDataURL('image/png')
  }, [width, height])
  return Buffer.from(url.split(',')[1], 'base64')
}
