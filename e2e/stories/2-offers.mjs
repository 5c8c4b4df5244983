import assert from 'node:assert/strict'
import { ask, axe, customer, desk, picture, say, state, until } from '../browser.mjs'

export const name = 'story 2: reject, time-out, two chats at once, leaving during an offer, queue wait, inactivity, the board'

export async function run(browser, sys) {
  const ben = await desk(browser, sys, 'ben')
  const sue = await desk(browser, sys, 'sue')
  await sue.getByRole('link', { name: 'Board' }).click()
  const alert = ben.getByRole('alertdialog', { name: 'Web Chat' }).first()

  // A4: nobody is ready; the chat waits and the board shows it.
  const cora = await customer(browser, sys)
  await ask(cora, 'Cora', 'Anybody there?')
  await cora.panel.getByText(/You are (number 1|next)/).waitFor()
  const queue = sue.getByRole('row', { name: /Customer Care/ })
  await queue.getByRole('cell', { name: '1', exact: true }).first().waitFor()
  await picture(sue, '2-board')
  await axe(sue, 'the board')
  await until('two seconds of waiting', () => cora.evaluate(() => performance.now() > 2000))
  const ready = () => ben.getByRole('button', { name: 'Go ready' }).click() // somebody waits: Ready is Busy at once
  await ready()
  await alert.getByText(/^Q \d:\d\d$/).waitFor()

  // A9: reject, alone: Not Ready at once, Ready by hand.
  await alert.getByRole('button', { name: 'Reject' }).click()
  await alert.waitFor({ state: 'detached' })
  await state(ben, 'Not Ready')

  // A19: back in Ready it is offered again; the customer leaves during the offer.
  await ready()
  await alert.waitFor()
  await cora.panel.getByRole('button', { name: 'End chat' }).click()
  await cora.panel.getByRole('dialog').getByRole('button', { name: 'End chat' }).click()
  await alert.waitFor({ state: 'detached' })
  await state(ben, 'Ready')
  await cora.context().close()

  // A8: an offer that runs out: Not Ready.
  const dan = await customer(browser, sys, { site: 'quick' })
  await ask(dan, 'Dan', 'Quick question')
  await alert.waitFor()
  await alert.waitFor({ state: 'detached' })
  await state(ben, 'Not Ready')

  // A6, K1, K2: two chats at once. Ready again: Dan's first, then another with Open and Accept.
  await ready()
  await alert.getByRole('button', { name: 'Accept' }).click()
  const log = ben.getByRole('log')
  await log.getByText('Quick question').waitFor()
  const eve = await customer(browser, sys)
  await ask(eve, 'Eve', 'A second one')
  await alert.getByRole('button', { name: 'Open' }).waitFor()
  await picture(ben, '2-second-offer')
  await alert.getByRole('button', { name: 'Accept' }).click() // focus stays (A7)
  await log.getByText('Quick question').waitFor()
  const list = ben.getByRole('navigation', { name: /Active/ }).or(ben.getByRole('list', { name: /Active/ })).first()
  await list.getByText('Eve').waitFor()
  await say(eve, 'Hello?')
  await list.getByText('Hello?').waitFor()
  await list.getByText('Eve').click()
  await log.getByText('A second one').waitFor()
  await picture(ben, '2-two-chats')

  // Q1, Q2: Dan is silent: warned, then ended; both sides see it.
  await dan.panel.getByText('Are you still there?').waitFor()
  await dan.panel.getByText('Chat session ended.').waitFor()
  await state(ben, 'Busy') // A13, S5: Eve's chat goes on
  await list.getByText('Dan').click()
  await log.getByText('Chat session ended.').waitFor()
  await ben.getByRole('radio', { name: 'Done' }).check()
  await ben.getByRole('button', { name: 'Finish' }).click()
  await state(ben, 'Busy')

  // R1: the customer ends; the board agrees with the log.
  await eve.panel.getByRole('button', { name: 'End chat' }).click()
  await eve.panel.getByRole('dialog').getByRole('button', { name: 'End chat' }).click()
  await state(ben, 'After-call work')
  const events = await sys.events()
  const causes = events.filter((e) => e.type === 'agent.offer_ended/1').map((e) => e.head.cause)
  for (const cause of ['rejected', 'abandoned', 'expired', 'accepted']) {
    assert.ok(causes.includes(cause), `A11: an offer ended as ${cause}; the log has ${causes}`)
  }
}
