import assert from 'node:assert/strict'
import { ask, axe, customer, desk, goReady, picture, png, say, state, until } from '../browser.mjs'

export const name = 'story 1: a customer asks, Ana answers, files both ways, wrap-up, Ready again'

export async function run(browser, sys) {
  const ana = await desk(browser, sys, 'ana')
  await goReady(ana)
  const cora = await customer(browser, sys)
  await axe(cora, 'the request form')
  await ask(cora, 'Cora', 'Is the Rev 2 waterproof? https://fjellrev.example/rev-2 or fjellrev.example')

  // A2-A6
  const alert = ana.getByRole('alertdialog', { name: 'Web Chat' })
  await alert.getByText('Customer Care').waitFor()
  await alert.getByText('Cora').waitFor()
  assert.equal(await alert.getByText(/^Q \d/).count(), 0, 'A4: no Q without a queue')
  assert.equal(await alert.getByRole('button', { name: 'Open' }).count(), 0, 'A6: no Open without an active chat')
  await state(ana, 'Busy')
  await picture(ana, '1-offer')
  await axe(ana, 'the offer')
  await alert.getByRole('button', { name: 'Accept' }).click()
  await alert.waitFor({ state: 'detached' })
  const log = ana.getByRole('log')
  await log.getByText('Is the Rev 2 waterproof?').waitFor() // B1
  assert.equal(await log.getByRole('link').count(), 1, 'B6: a bare domain is no link')
  await cora.panel.getByText('Ana Almeida joined the chat.').waitFor()

  // Typing, messages, marks.
  await ana.getByRole('textbox', { name: 'Message' }).pressSequentially('Hello', { delay: 40 })
  await cora.panel.getByText(/Ana.* is typing/).waitFor()
  await say(ana, 'Hello Cora, yes it is.')
  await cora.panel.getByText('Hello Cora, yes it is.').waitFor()
  await log.getByText(/^(Delivered|Read)$/).first().waitFor()
  await cora.panel.getByRole('textbox', { name: /message/i }).pressSequentially('And', { delay: 40 })
  await log.getByText(/Cora is typing/).waitFor()
  await say(cora, 'And the tent?')
  await log.getByText('And the tent?').waitFor()
  await cora.panel.getByText(/^Read$/).last().waitFor()

  // B5: the page follows the customer.
  const contact = ana.getByRole('complementary', { name: 'Contact' })
  await contact.getByText(/Fjellrev Outdoor/).first().waitFor()
  await cora.getByRole('link', { name: /Tents/ }).first().click()
  await contact.getByText('Rev 2 · Fjellrev Outdoor').waitFor()
  await cora.panel.getByText('And the tent?').waitFor() // the chat is still open on the next page

  // P1-P3: files both ways.
  await ana.locator('input[type=file]').setInputFiles([
    { name: 'care.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4\n%%EOF\n') },
    { name: 'tent.png', mimeType: 'image/png', buffer: await png(ana, 1600, 1000) },
  ])
  await ana.getByRole('list', { name: 'Attached files' }).getByText('tent.png').waitFor()
  await say(ana, 'Two files for you')
  await cora.panel.getByText('care.pdf').waitFor()
  await until('picture at the customer', () => cora.panel.locator('img').evaluateAll((imgs) => imgs.some((i) => i.naturalWidth > 0)))
  // The panel shows pictures of the files origin only.
  const complaint = cora.waitForEvent('console', (m) => m.type() === 'error' && m.text().includes('icon.svg'))
  const blocked = await cora.panel.locator('body').evaluate((body, src) => new Promise((resolve) => {
    addEventListener('securitypolicyviolation', (e) => resolve(e.effectiveDirective), { once: true })
    const img = document.createElement('img')
    img.onload = () => resolve('shown')
    img.src = src
  }), `${new URL(ana.url()).origin}/icon.svg`)
  if (blocked !== 'img-src') throw new Error(`a picture of another origin in the panel: ${blocked}, want it blocked by img-src`)
  await complaint
  cora.faults = cora.faults.filter((f) => !f.includes('icon.svg'))
  await cora.panel.locator('input[type=file]').setInputFiles({ name: 'mine.png', mimeType: 'image/png', buffer: await png(cora, 400, 300) })
  await until('picture at the agent', () => log.getByRole('button', { name: 'Enlarge picture mine.png' }).locator('img').evaluateAll((imgs) => imgs.some((i) => i.naturalWidth > 0)))
  await picture(ana, '1-chat')
  await picture(cora, '1-customer')
  await log.getByRole('button', { name: 'Enlarge picture mine.png' }).click()
  await ana.getByRole('dialog', { name: 'mine.png' }).getByRole('img', { name: 'mine.png' }).waitFor()
  await ana.keyboard.press('Escape')
  await axe(ana, 'the conversation')
  await axe(cora, 'the chat')

  // R2, R4: Ana ends; wrap-up; Ready.
  await contact.getByRole('button', { name: 'End chat' }).click()
  await cora.panel.getByText('Chat session ended.').waitFor()
  await state(ana, 'After-call work')
  await ana.getByRole('radio', { name: 'Question answered' }).check()
  await ana.getByLabel('Notes').fill('Sent the care sheet.')
  await picture(ana, '1-wrapup')
  await axe(ana, 'wrap-up')
  await ana.getByRole('button', { name: 'Finish' }).click()
  await state(ana, 'Ready')

  const events = await sys.events()
  const end = events.find((e) => e.type === 'wrapup.ended/1')
  assert.equal(end.head.disposition, 'answered')
  assert.equal(end.body.notes, 'Sent the care sheet.')
  assert.equal(events.filter((e) => e.type === 'conversation.concluded/1').length, 1)
}
