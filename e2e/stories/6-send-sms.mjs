import assert from 'node:assert/strict'
import { axe, desk, goReady, handset, look, picture, say, state, write } from '../browser.mjs'

export const name = 'story 6: Ana texts a number, Ben finds it open and joins; parked with a badge; a direct number (N2, N6, N16, N17, O1, O2)'

const number = '+15550100202'

async function logout(page) {
  await page.getByRole('button', { name: /Account menu of/ }).click()
  await page.getByRole('menuitem', { name: 'Log out' }).click()
}

const recent = (page, unread) =>
  page.getByRole('link', unread ? { name: `Recent ${unread} unread message${unread > 1 ? 's' : ''}` } : { name: 'Recent', exact: true }).waitFor()

async function sendSms(page, to) {
  await page.getByRole('button', { name: 'Send SMS', exact: true }).click()
  const dialog = page.getByRole('dialog', { name: 'Send SMS' })
  await dialog.getByRole('textbox', { name: 'Number' }).fill(to)
  return { dialog, send: dialog.getByRole('button', { name: 'Send SMS' }) }
}

export async function run(browser, sys) {
  const ana = await desk(browser, sys, 'ana')
  const phone = await handset(browser, sys, number)
  const log = ana.getByRole('log')

  // N2: in Not Ready, by number. The answer lands in this exchange.
  const { dialog, send } = await sendSms(ana, '+1 555 010 0202')
  await dialog.getByText('Text Line').waitFor()
  await look(ana, '6-dialog')
  await send.click()
  await ana.getByRole('heading', { name: number, level: 1 }).waitFor()
  await state(ana, 'Busy')
  await say(ana, 'Hello, your tent is ready. When will you come?')
  await phone.bubble('theirs', 'your tent is ready', 'delivered').waitFor()
  await write(phone, 'Tomorrow at noon')
  await log.getByText('Tomorrow at noon').waitFor()

  // N17: Ben texts the same number: it is Ana's, and he may join.
  const ben = await desk(browser, sys, 'ben')
  const his = await sendSms(ben, number)
  await his.send.click()
  await his.dialog.getByText(/Ana Almeida has an open exchange with/).waitFor()
  await look(ben, '6-open')
  await his.dialog.getByRole('button', { name: 'Join' }).click()
  await ben.getByRole('heading', { name: number, level: 1 }).waitFor()
  await ben.getByRole('log').getByText('Tomorrow at noon').waitFor()
  await log.getByText('Ben Okafor joined the chat').waitFor()
  await say(ben, 'I shall be at the counter.')
  await phone.bubble('theirs', 'I shall be at the counter.', 'delivered').waitFor()
  await ben.getByRole('complementary', { name: 'Contact' }).getByRole('button', { name: 'End chat' }).click()
  await log.getByText('Ben Okafor left the chat').waitFor()
  await ben.getByRole('radio', { name: 'Question answered' }).check()
  await ben.getByRole('button', { name: 'Finish' }).click()
  await goReady(ben)

  // N6, N16: Ana logs out, the exchange is parked with her; a reply waits for her and is offered to nobody else.
  await logout(ana)
  const leave = ana.getByRole('dialog', { name: 'Log out with chats open?' })
  await leave.getByText('a reply waits for you first').waitFor()
  await axe(ana, 'the question before logging out')
  await picture(ana, '6-logout')
  await leave.getByRole('button', { name: 'Log out' }).click()
  await ana.getByLabel('Login', { exact: true }).waitFor()
  await ana.context().close()
  await write(phone, 'Could it be one o’clock?')
  await phone.bubble('mine', 'one o’clock', 'delivered').waitFor()
  assert.equal(await ben.getByRole('alertdialog').count(), 0, 'the owner comes first')

  const desktop = await desk(browser, sys, 'ana')
  await recent(desktop, 1)
  const laptop = await desk(browser, sys, 'ana')
  await recent(laptop, 1)
  // O2: visiting Recent resets the badge on both.
  await desktop.getByRole('link', { name: /^Recent/ }).click()
  await recent(desktop, 0)
  await recent(laptop, 0)
  const line = desktop.getByRole('link', { name: /\+15550100202.*1 unread message/ })
  await line.waitFor()
  await look(desktop, '6-recent')
  await line.click()
  await desktop.getByRole('log').getByText('one o’clock').waitFor()
  await desktop.getByRole('button', { name: 'Take up' }).click()
  await desktop.getByRole('heading', { name: number, level: 1 }).waitFor()
  await say(desktop, 'One is fine.')
  await phone.bubble('theirs', 'One is fine.', 'delivered').waitFor()
  await laptop.getByRole('link', { name: 'Desk' }).click()
  await laptop.getByRole('log').getByText('One is fine.').waitFor()
  assert.equal((await sys.events()).filter((e) => e.type === 'conversation.started/1').length, 1, 'N6: one conversation throughout')

  // O1: a text to Ben's own number while he is logged out.
  await logout(ben)
  await ben.getByLabel('Login', { exact: true }).waitFor()
  await phone.getByLabel('texts with').selectOption('+15550100101')
  await write(phone, 'Ben, is my stove repaired?')
  await phone.bubble('mine', 'my stove', 'delivered').waitFor()
  await write(phone, 'And what does it cost?')
  await phone.bubble('mine', 'what does it cost', 'delivered').waitFor()
  const again = await desk(browser, sys, 'ben')
  await recent(again, 2)
  await again.getByRole('button', { name: '2 unread messages wait in Recent' }).waitFor()
  await look(again, '6-badge')
  await again.getByRole('link', { name: /^Recent/ }).click()
  await recent(again, 0)
  await again.getByRole('link', { name: /\+15550100202.*2 unread messages/ }).click()
  await again.getByRole('log').getByText('what does it cost').waitFor()
  await again.getByRole('button', { name: 'Take up' }).click()
  await say(again, 'It is repaired, and it costs nothing.')
  await phone.bubble('theirs', 'it costs nothing', 'delivered').waitFor()
  await again.getByRole('log').getByRole('button', { name: 'Delivered' }).waitFor()
  await look(again, '6-direct')
}
