import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ask, customer, desk, goReady, look, root, say, until } from '../browser.mjs'

export const name = 'story 8: a customer consents to a tool and uses it with the agent, through kills; it ends once, the chat goes on (E3, E6, E7)'

const example = 'plugins/sdk/examples/counter'
const records = `
services:
  - {name: Counting, teams: [Front Office], tools: [{account: counter, settings: {step: 5}}]}
accounts:
  - {name: counter, plugin: counter, inbound: none}
  - {name: counting, plugin: webchat, service: Counting, settings: {site: counting, demo_page: true}}
`

async function install(sys) {
  const dir = join(sys.data, 'plugins', 'counter')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  await promisify(execFile)('go', ['build', '-o', join(dir, 'counter'), `./${example}`], { cwd: root })
  copyFileSync(join(root, example, 'plugin.yaml'), join(dir, 'plugin.yaml'))
  await sys.parley('plugin', 'add', dir)
  writeFileSync(join(sys.data, 'tools.yaml'), records)
  await sys.parley('apply', '-f', join(sys.data, 'tools.yaml'))
}

export async function run(browser, sys) {
  await install(sys)
  const ana = await desk(browser, sys, 'ana')
  await goReady(ana)
  const cora = await customer(browser, sys, { site: 'counting' })
  await ask(cora, 'Cora', 'Let us count')
  await ana.getByRole('alertdialog', { name: 'Web Chat' }).getByRole('button', { name: 'Accept' }).click()
  const log = ana.getByRole('log')
  await log.getByText('Let us count').waitFor()

  // The agent's desktop has no screen for tools yet: Ana uses them by the API, in her session.
  const conversation = (await sys.events()).find((e) => e.type === 'conversation.started/1').stream
  const api = (method, path, body) =>
    ana.evaluate(
      async ([method, path, body]) => {
        const headers = { 'Content-Type': 'application/json', 'Parley-CSRF': '1' }
        try {
          const r = await fetch(`/api/v1/conversations/${path}`, { method, headers, ...(body && { body }) })
          return { status: r.status, ...(r.ok && (await r.json().catch(() => undefined))) }
        } catch {
          return { status: 0 }
        }
      },
      [method, `${conversation}/tools${path}`, body && JSON.stringify(body)],
    )
  const done = (what, method, path, body) =>
    until(what, async () => {
      const answer = await api(method, path, body)
      return answer.status >= 200 && answer.status < 300 && answer
    }, 90_000)
  const list = await until('the tool', async () => {
    const answer = await api('GET', '')
    return answer.tools?.[0]?.may_start && answer
  }, 60_000)
  const { session } = await done('the start', 'POST', '', {
    account: list.tools[0].account, client_id: 'start', arguments: { from: 100, consent: true },
  })

  const shared = cora.panel.getByRole('region', { name: 'Shared with you' })
  await shared.getByText('Shall we count together?').waitFor()
  await shared.getByText('Please decide').waitFor()
  await look(cora, '8-asks', { both: true })
  await shared.getByRole('button', { name: 'Yes' }).click()

  const counted = async (n) => {
    const again = shared.getByRole('button', { name: 'Try again' })
    await until(`count of ${n} at the customer's`, async () => {
      if (await again.count()) await again.click({ timeout: 1_000 }).catch(() => {})
      return shared.locator('dd', { hasText: new RegExp(`^${n}$`) }).count()
    }, 90_000)
    await until(`count of ${n} at the agent's`, async () => {
      return JSON.stringify(await api('GET', `/${session}`)).includes(`"value":"${n}"`)
    }, 90_000)
  }
  const add = () => shared.getByRole('button', { name: 'Add 5' }).click()
  const agentAdds = () => done('the agent’s act', 'POST', `/${session}/acts`, { act: randomUUID(), action: 'add' })
  const both = async (what) => {
    await say(cora, `customer ${what}`)
    await log.getByText(`customer ${what}`).waitFor()
    await say(ana, `agent ${what}`)
    await cora.panel.getByText(`agent ${what}`).waitFor()
  }
  await counted(100)
  await add()
  await counted(105)
  await agentAdds()
  await counted(110)
  await look(cora, '8-counts', { both: true })

  // The tool dies as the customer presses: the act counts once.
  process.kill(sys.pid('counter'), 'SIGKILL')
  await add()
  await counted(115)

  // The gateway dies: both come back to the same panel.
  const pid = sys.pid('serve')
  process.kill(pid, 'SIGKILL')
  await until('another gateway process', () => sys.pid('serve') && sys.pid('serve') !== pid, 60_000)
  await both('after the kill')
  await add()
  await counted(120)
  await agentAdds()
  await counted(125)

  await shared.getByRole('button', { name: 'End this' }).click()
  await cora.panel.getByText('What was shared here has ended.').waitFor()
  await shared.waitFor({ state: 'detached' })
  await until('refusal after the end', async () =>
    (await api('POST', `/${session}/acts`, { act: randomUUID(), action: 'add' })).status === 409)
  await both('after the tool')
  const kinds = (await sys.events(conversation)).map((e) => e.type)
  for (const kind of ['session.requested/1', 'session.ended/1'])
    assert.equal(kinds.filter((k) => k === kind).length, 1, `${kind} once`)
}
