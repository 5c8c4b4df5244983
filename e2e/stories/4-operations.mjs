import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { ask, customer, desk, goReady, root, say, until } from '../browser.mjs'

export const name = 'story 4: metrics, the log beside the gateway, canaries, a third-party plugin pinned by hash'

const canary = 'canary-7b1f9a-text'

export async function run(browser, sys) {
  const ana = await desk(browser, sys, 'ana')
  await goReady(ana)
  const cora = await customer(browser, sys)
  await ask(cora, 'Cora', `hello ${canary}`)
  await ana.getByRole('alertdialog', { name: 'Web Chat' }).getByRole('button', { name: 'Accept' }).click()
  await ana.getByRole('log').getByText(canary).waitFor()
  await say(ana, `answer ${canary}`)
  await cora.panel.getByText(`answer ${canary}`).waitFor()

  // 4: the log opens what is sealed; nothing else does.
  const events = await sys.events()
  assert.ok(events.some((e) => e.body?.parts?.[0]?.text === `hello ${canary}`))
  const id = events.find((e) => e.type === 'message/1').stream
  const one = await sys.events(id)
  assert.ok(one.every((e) => e.stream === id) && one.length > 3)
  const since = await sys.parley('log', '--since', String(events[2].pos))
  assert.equal(JSON.parse(since.split('\n')[0]).pos, events[3].pos)

  // 5: a third-party echo channel from a folder, pinned by hash, beside the built-in one.
  const dir = join(sys.data, 'plugins', 'echo')
  mkdirSync(dir, { recursive: true })
  execFileSync('go', ['build', '-o', join(dir, 'echo'), './plugins/sdk/examples/echo'], { cwd: root })
  cpSync(join(root, 'plugins/sdk/examples/echo/plugin.yaml'), join(dir, 'plugin.yaml'))
  assert.match(await sys.parley('plugin', 'list'), /echo\s.*discovered/)
  assert.match(await sys.parley('plugin', 'add', dir), /pinned echo at sha256:[0-9a-f]{64}/)
  await until('the echo plugin ready', async () => /echo\s.*ready/.test(await sys.parley('plugin', 'list')))
  const echoed = []
  const callback = createServer((req, res) => {
    let body = ''
    req.on('data', (d) => (body += d))
    req.on('end', () => {
      echoed.push(body)
      res.end('{}')
    })
  }).listen(0, '127.0.0.1')
  await new Promise((done) => callback.once('listening', done))
  const secret = 'canary-7b1f9a-secret'
  writeFileSync(join(sys.data, 'echo.yaml'), `accounts:
  - name: echo line
    plugin: echo
    service: Customer Care
    settings: {callback_url: "http://127.0.0.1:${callback.address().port}/"}
`)
  await sys.parley('apply', '-f', join(sys.data, 'echo.yaml'))
  const accounts = await login(sys, 'adam').then((token) => get(sys, '/api/v1/accounts', token))
  const echo = accounts.items.find((a) => a.plugin === 'echo')
  const hook = (body, method = 'POST') => fetch(`${sys.public_url}/hooks/${echo.id}`, { method, body, headers: { 'content-type': 'application/json' } })
  const text = JSON.stringify({ from: '+491', text: `by hook ${canary}`, id: 'h1' })
  const first = await until('the hook to be served', async () => {
    const r = await hook(text)
    return r.ok && r
  })
  const again = await Promise.all([hook(text), hook(text), hook(text)])
  for (const r of again) assert.equal(r.status, first.status, 'Y1: a repeat gets the same answer')
  assert.equal((await hook(undefined, 'DELETE')).status, 405)
  assert.equal((await fetch(`${sys.public_url}/hooks/01900000-0000-7000-8000-000000000000`, { method: 'POST', body: text })).status, 404)
  assert.ok([400, 413, 422].includes((await hook('x'.repeat(2 << 20))).status))
  const alert = ana.getByRole('alertdialog').first()
  await alert.getByRole('button', { name: 'Open' }).click()
  await ana.getByRole('log').getByText(`by hook ${canary}`).waitFor()
  await say(ana, `reply ${canary}`)
  await until('the reply at the provider', () => echoed.some((b) => b.includes(`reply ${canary}`)))
  await ana.getByText(/^Sent$/).first().waitFor()
  assert.equal((await sys.events()).filter((e) => e.body?.parts?.[0]?.text === `by hook ${canary}`).length, 1, 'PR3: one event')
  callback.close()

  // Z2, and what must never show: text, passwords, tokens.
  const metrics = await (await fetch(`${sys.ops_url}/metrics`)).text()
  for (const m of ['parley_plugin', 'parley_conversation_events_total', 'parley_offers_total', 'parley_log_events_total']) {
    assert.ok(metrics.includes(m), `metrics have ${m}`)
  }
  const words = [canary, secret, ...sys.users.map((u) => u.password)]
  for (const w of words) {
    assert.ok(!metrics.includes(w), 'metrics hold no content')
    assert.ok(!sys.log.some((l) => l.includes(w)), 'the log holds no content')
  }
  for (const file of files(sys.data)) {
    if (/(demo\.json|\.yaml)$/.test(file)) continue // written by the demo and by this story
    const bytes = readFileSync(file)
    for (const w of words) assert.ok(!bytes.includes(w), `${file} holds content in the clear`)
  }
  assert.match(await sys.parley('doctor'), /ok\s+gateway/)
}

async function login(sys, who) {
  const r = await fetch(`${sys.public_url}/api/v1/login`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ login: who, password: sys.password(who), bearer: true }),
  })
  assert.equal(r.status, 200)
  return (await r.json()).token
}

async function get(sys, path, token) {
  const r = await fetch(sys.public_url + path, { headers: { authorization: `Bearer ${token}` } })
  assert.equal(r.status, 200, path)
  return r.json()
}

function* files(dir) {
  for (const e of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, e.name)
    if (e.isDirectory()) yield* files(path)
    else if (e.isFile() && statSync(path).size < 256 << 20) yield path
  }
}
