import assert from 'node:assert/strict'
import { ask, customer, desk, goReady, picture, say, until } from '../browser.mjs'

export const name = 'story 3: reload and kill -9 in the middle; both browsers resume, nothing lost, nothing doubled'

export async function run(browser, sys) {
  const ana = await desk(browser, sys, 'ana')
  await goReady(ana)
  const cora = await customer(browser, sys)
  await ask(cora, 'Cora', 'Before the storm')
  await ana.getByRole('alertdialog', { name: 'Web Chat' }).getByRole('button', { name: 'Accept' }).click()
  const log = ana.getByRole('log')
  await log.getByText('Before the storm').waitFor()

  const both = async (n, what) => {
    await say(cora, `customer ${n} ${what}`)
    await say(ana, `agent ${n} ${what}`)
    await log.getByText(`customer ${n} ${what}`).waitFor()
    await cora.panel.getByText(`agent ${n} ${what}`).waitFor()
  }
  await both(1, 'calm')

  // Reloads: where it was, and once.
  await ana.reload()
  await log.getByText('customer 1 calm').waitFor()
  await cora.reload()
  await cora.panel.getByText('agent 1 calm').waitFor()
  await both(2, 'reloaded')

  // The plugin dies: back within a second, the widget resumes by itself.
  let pid = sys.pid('webchat')
  process.kill(pid, 'SIGKILL')
  await until('another plugin process', () => sys.pid('webchat') && sys.pid('webchat') !== pid)
  await both(3, 'plugin killed')

  // The gateway dies: the desktop says so, and both resume. Written meanwhile: sent afterwards, once.
  pid = sys.pid('serve')
  process.kill(pid, 'SIGKILL')
  await ana.getByText(/reconnecting|no connection|offline/i).first().waitFor()
  await say(ana, 'agent while down')
  await say(cora, 'customer while down')
  await picture(ana, '3-reconnecting')
  await until('another gateway process', () => sys.pid('serve') && sys.pid('serve') !== pid)
  await log.getByText('customer while down').waitFor()
  await cora.panel.getByText('agent while down').waitFor()
  await both(4, 'gateway killed')

  const events = await sys.events()
  const said = events.filter((e) => e.type === 'message/1').map((e) => e.body.parts[0].text)
  const want = ['Before the storm']
  for (const [n, what] of [[1, 'calm'], [2, 'reloaded'], [3, 'plugin killed']]) want.push(`customer ${n} ${what}`, `agent ${n} ${what}`)
  want.push('agent while down', 'customer while down', 'customer 4 gateway killed', 'agent 4 gateway killed')
  assert.deepEqual([...said].sort(), [...want].sort(), 'each message once, none lost')
  // PR6: sequences without holes.
  const seqs = {}
  for (const e of events) {
    assert.equal(e.seq, (seqs[e.stream] ?? 0) + 1, `stream ${e.stream} goes from ${seqs[e.stream]} to ${e.seq}`)
    seqs[e.stream] = e.seq
  }
}
