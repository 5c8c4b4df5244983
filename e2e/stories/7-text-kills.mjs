import assert from 'node:assert/strict'
import { carrier, desk, goReady, handset, ledger, look, picture, say, until, write } from '../browser.mjs'

export const name = 'story 7: kill -9 of gateway and sms plugin amid texts; webhooks five times; nothing lost or doubled by the carrier’s ledger (PR1, PR3, PR4, Y1)'

const number = '+15550100203'

export async function run(browser, sys) {
  const ben = await desk(browser, sys, 'ben')
  await goReady(ben)
  const phone = await handset(browser, sys, number)
  const log = ben.getByRole('log')
  await write(phone, 'Before the storm')
  await ben.getByRole('alertdialog', { name: 'SMS' }).getByRole('button', { name: 'Accept' }).click()
  await log.getByText('Before the storm').waitFor()
  const texts = ['Before the storm']
  const answers = []
  const both = async (what) => {
    texts.push(`phone: ${what}`)
    answers.push(`ben: ${what}`)
    await write(phone, `phone: ${what}`)
    await say(ben, `ben: ${what}`)
    await log.getByText(`phone: ${what}`).waitFor()
    await phone.bubble('theirs', `ben: ${what}`, 'delivered').waitFor()
  }
  await both('calm')

  /** Kills a process while the carrier has a message whose answer is still on its way. */
  const killAmid = async (process_, pid, what) => {
    await carrier(sys, 'POST', '/faults', { kind: 'latency', delay_ms: 1500, after: true, to: number, count: 1 })
    answers.push(what)
    await say(ben, what)
    await until(`"${what}" at the carrier`, async () => (await ledger(sys)).outbound.some((m) => m.body === what))
    process.kill(pid, 'SIGKILL')
    return until(`another ${process_}`, () => sys.pid(process_) !== pid && sys.pid(process_))
  }
  await killAmid('serve sms', sys.pid('serve sms'), 'ben: amid the plugin')
  await both('plugin killed')

  const killed = killAmid('serve', sys.pid('serve'), 'ben: amid the gateway')
  await ben.getByText(/reconnecting|no connection|offline/i).first().waitFor()
  answers.push('ben: while down')
  await say(ben, 'ben: while down')
  await picture(ben, '7-reconnecting')
  await killed
  await phone.bubble('theirs', 'ben: while down', 'delivered').waitFor()
  await both('gateway killed')

  // The carrier's callbacks settle what the killed processes could not tell.
  for (const what of answers) await phone.bubble('theirs', what, 'delivered').waitFor()
  await ben.setViewportSize({ width: 1280, height: 2400 }) // the list holds only what is in view
  const marks = log.getByRole('button', { name: 'Delivered', exact: true })
  await until('each answer marked delivered', async () => (await marks.count()) === answers.length)

  // The same webhooks five times more, at once.
  const before = await sys.events()
  const { inbound } = await ledger(sys)
  const again = await Promise.all(inbound.map(({ sid }) => carrier(sys, 'POST', `/texts/${sid}/replay`, { copies: 5 })))
  assert.equal(again.length, texts.length)
  const deliveries = await until('every webhook answered', async () => {
    const all = (await ledger(sys)).inbound.flatMap((m) => m.deliveries)
    return all.length === texts.length * 6 && all.every((d) => d.state !== 'pending') && all
  })
  assert.deepEqual(new Set(deliveries.map((d) => d.attempts.at(-1).code)), new Set([200]), 'each of them is taken')
  await both('after the repeats')
  const fresh = (await sys.events()).slice(before.length).filter((e) => e.type === 'message/1')
  assert.equal(fresh.length, 2, 'the repeats changed nothing')
  for (const what of [...texts, ...answers]) assert.equal(await log.getByText(what, { exact: true }).count(), 1, `"${what}" is shown once`)
  await ben.setViewportSize({ width: 1280, height: 720 })
  await look(ben, '7-after')

  // Three ledgers agree: the log, the carrier's, and what was said.
  const events = await sys.events()
  const logged = events.filter((e) => e.type === 'message/1').map((e) => e.body.parts[0].text)
  const sorted = [...texts, ...answers].sort()
  assert.deepEqual(logged.sort(), sorted, 'each message once in the log')
  const ours = await ledger(sys)
  assert.deepEqual([...ours.inbound, ...ours.outbound].map((m) => m.body).sort(), sorted, 'each message once at the carrier')
  const seqs = {}
  for (const e of events) {
    assert.equal(e.seq, (seqs[e.stream] ?? 0) + 1, `PR6: stream ${e.stream} goes from ${seqs[e.stream]} to ${e.seq}`)
    seqs[e.stream] = e.seq
  }
}
