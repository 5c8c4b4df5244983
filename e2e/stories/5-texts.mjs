import assert from 'node:assert/strict'
import { carrier, desk, goReady, handset, ledger, look, picture, png, say, state, until, write } from '../browser.mjs'

export const name = 'story 5: a phone texts, Ben answers; pictures, counter, statuses, STOP, a new conversation (N1-N6, N8-N11, Y3)'

const number = '+15550100201'
const seen = (img) => img.evaluateAll((all) => all.some((i) => i.naturalWidth > 0))

export async function run(browser, sys) {
  const ben = await desk(browser, sys, 'ben')
  await goReady(ben)
  const phone = await handset(browser, sys, number)
  const log = ben.getByRole('log')
  const box = ben.getByRole('textbox', { name: 'Message' })
  const alert = ben.getByRole('alertdialog', { name: 'SMS' })
  const opened = async () => (await sys.events()).filter((e) => e.type === 'conversation.started/1').length

  // N8: a text is offered as a chat is.
  await write(phone, 'Is the Rev 2 in stock?')
  await alert.getByText('Text Line').waitFor()
  await alert.getByText(number).waitFor()
  await state(ben, 'Busy')
  await look(ben, '5-offer')
  await alert.getByRole('button', { name: 'Accept' }).click()
  await ben.getByRole('heading', { name: number, level: 1 }).waitFor()
  await log.getByText('Is the Rev 2 in stock?').waitFor()
  await phone.bubble('mine', 'Is the Rev 2 in stock?', 'delivered').waitFor()

  // N3, N4: the answer arrives, and the desktop says so.
  await say(ben, 'It is: nine of them in Tromsø.')
  await phone.bubble('theirs', 'nine of them', 'delivered').waitFor()
  await log.getByRole('button', { name: 'Delivered' }).waitFor()

  // N5, Y3: what comes now belongs to the same conversation, also two texts at one moment.
  await write(phone, 'Lovely, thanks!')
  await log.getByText('Lovely, thanks!').waitFor()
  const text = (body) => carrier(sys, 'POST', '/texts?wait=1', { from: number, to: sys.sms.number, body })
  await Promise.all([text('One more thing'), text('and another')])
  await log.getByText('One more thing').waitFor()
  await log.getByText('and another').waitFor()
  assert.ok((await log.locator('[data-side=theirs][data-reply]').count()) >= 2, 'N5: replies are told apart')
  assert.equal(await opened(), 1, 'one conversation')

  // P2: pictures both ways.
  await phone.locator('#picture').setInputFiles({ name: 'tent.png', mimeType: 'image/png', buffer: await png(phone, 400, 300) })
  await phone.locator('#files img').waitFor()
  await write(phone, 'Mine looks like this')
  await log.getByText('Mine looks like this').waitFor()
  await until('picture at the agent', () => seen(log.getByRole('button', { name: /Enlarge picture/ }).locator('img')))
  await ben.locator('input[type=file]').setInputFiles({ name: 'rev2.png', mimeType: 'image/png', buffer: await png(ben, 800, 500) })
  await ben.getByRole('list', { name: 'Attached files' }).getByText('rev2.png').waitFor()
  await say(ben, 'And the new one:')
  await until('picture at the phone', () => seen(phone.locator('#log .bubble.theirs img')))
  await phone.bubble('theirs', 'And the new one:', 'delivered').waitFor()

  // N9-N11: the counter.
  await box.fill('Fjellrev Outdoor')
  await ben.getByText('16/160').waitFor()
  await box.fill('Fjellrev 🦊')
  await ben.getByText('11/70').waitFor()
  await box.fill('Thank you for your order. '.repeat(8).slice(0, 190))
  await ben.getByText('190 (2 messages)').waitFor()
  await look(ben, '5-chat')
  await look(phone, '5-phone', { both: true })
  await box.fill('')

  // N4: a handset that is off, in the carrier's words.
  await phone.getByLabel('The next message to this handset').selectOption('30003')
  await phone.getByText(/undelivered 30003/).waitFor()
  await look(phone, '5-phone-asked', { both: true })
  await say(ben, 'We are open until six.')
  await log.getByRole('button', { name: 'Failed · 30003' }).click()
  const detail = ben.getByRole('dialog', { name: /Failed/ })
  await detail.getByText(/unreachable/i).waitFor()
  await phone.bubble('theirs', 'We are open until six.', 'failed').waitFor()
  await look(ben, '5-failed')
  await ben.keyboard.press('Escape')
  await detail.waitFor({ state: 'detached' })

  // PR4: the carrier takes it, the answer is lost. Without callbacks a person settles it ...
  const lost = async (body, steps) => {
    await carrier(sys, 'POST', '/behaviours', { to: number, count: 1, steps })
    await carrier(sys, 'POST', '/faults', { kind: 'reset', after: true, to: number, count: 1 })
    await say(ben, body)
    await log.getByRole('button', { name: 'Unknown' }).waitFor()
  }
  await lost('Shall I put one aside for you?', [{ status: 'sent', after_ms: 3_000_000 }])
  await log.getByRole('button', { name: 'Unknown' }).click()
  await ben.getByRole('button', { name: 'It was sent' }).waitFor()
  await look(ben, '5-unknown')
  await picture(phone, '5-phone-failed')
  await ben.getByRole('button', { name: 'It was sent' }).click()
  await log.getByRole('button', { name: 'Unknown' }).waitFor({ state: 'detached' })
  await log.getByRole('button', { name: 'Sent', exact: true }).waitFor()
  // ... and a callback that comes late settles it by itself.
  await lost('It would wait until Friday.', [{ status: 'delivered', after_ms: 2500 }])
  await log.getByRole('button', { name: 'Unknown' }).waitFor({ state: 'detached' })
  await phone.bubble('theirs', 'It would wait until Friday.', 'delivered').waitFor()
  const { outbound, said } = await ledger(sys)
  for (const body of ['Shall I put one aside for you?', 'It would wait until Friday.']) assert.equal(said(outbound, body), 1, `"${body}" went out once`)

  // STOP closes the composer, START opens it.
  await write(phone, 'STOP')
  await phone.bubble('theirs', /unsubscribed/).waitFor() // the carrier's own answer
  await log.getByText('opted out (STOP)').waitFor()
  await until('closed composer', () => box.isDisabled())
  await look(ben, '5-stop')
  await write(phone, 'START')
  await log.getByText('opted in again').waitFor()
  await until('open composer', () => box.isEnabled())

  // End, wrap-up, Ready; a text after that is a new conversation.
  await ben.getByRole('complementary', { name: 'Contact' }).getByRole('button', { name: 'End chat' }).click()
  await state(ben, 'After-call work')
  await look(ben, '5-wrapup')
  await ben.getByRole('radio', { name: 'Question answered' }).check()
  await ben.getByRole('button', { name: 'Finish' }).click()
  await state(ben, 'Ready')
  assert.equal(await opened(), 1, 'all that was one conversation')
  await write(phone, 'Hello again')
  await alert.getByRole('button', { name: 'Accept' }).click()
  await log.getByText('Hello again').waitFor()
  assert.equal(await log.getByText('Is the Rev 2 in stock?').count(), 0, 'a conversation of its own')
  await say(ben, 'Welcome back.')
  await phone.bubble('theirs', 'Welcome back.', 'delivered').waitFor()
  assert.equal(await opened(), 2)
}
