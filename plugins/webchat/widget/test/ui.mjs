// Tests the widget in a real browser against the real plugin and a fake gateway: node test/ui.mjs
// (after npm run build). Screenshots go to test/shots.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { launch, violations } from '@parley/shared/browser'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const shots = fileURLToPath(new URL('./shots/', import.meta.url))
mkdirSync(shots, { recursive: true })

const server = spawn('go', ['run', './plugins/webchat/internal/uiserver'], {
  cwd: root,
  stdio: ['pipe', 'pipe', 'inherit'],
})
const url = await new Promise((done, failed) => {
  server.stdout.once('data', (d) => done(String(d).trim()))
  server.once('exit', () => failed(new Error('the server did not start')))
})
const local = url.replace('chat.localhost', '127.0.0.1')
const ctl = async (action, args = {}) => {
  const r = await fetch(`${local}/ctl/${action}?${new URLSearchParams(args)}`, { method: 'POST' })
  assert.equal(r.status, 200, `ctl ${action}`)
}
const events = async () => (await fetch(`${local}/ctl/events`)).json()

const browser = await launch()

const problems = []
async function open(options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1200, height: 800 },
    locale: 'en-GB',
    ...options,
  })
  const page = await context.newPage()
  page.on('pageerror', (e) => problems.push(`page error: ${e.message}`))
  page.on(
    'console',
    (m) =>
      m.type() === 'error' &&
      !/ERR_|status of 503|WebSocket/.test(m.text()) &&
      problems.push(`console: ${m.text()}`),
  )
  return { context, page, panel: page.frameLocator('parley-chat iframe') }
}
async function axe(page, what) {
  for (const found of await violations(page)) problems.push(`axe, ${what}: ${found}`)
}
const shot = (page, name) => page.screenshot({ path: `${shots}${name}.png` })
const step = (name) => console.log(`- ${name}`)

// starts counts the chats that have begun at the gateway.
const starts = async () => (await events()).filter((e) => /Start$/.test(e.Kind)).length

// fill starts a chat, and returns when the gateway has it: only then can an agent join.
async function fill(panel, name, text) {
  const before = await starts()
  await panel.getByLabel('First name').fill(name)
  await panel.getByLabel('Last name').fill('Papas')
  await panel.getByLabel('How can we help?').fill(text)
  await panel.getByRole('button', { name: 'Start chat' }).click()
  const limit = Date.now() + 30_000
  while ((await starts()) === before) {
    assert.ok(Date.now() < limit, 'the chat begins')
    await new Promise((again) => setTimeout(again, 50))
  }
}

try {
  step('nothing is stored and no socket opened before the first click')
  const { context, page, panel } = await open()
  const sockets = []
  page.on('websocket', (s) => sockets.push(s.url()))
  await page.goto(`${url}/p/webchat/demo/demo`)
  const button = page.getByRole('button', { name: 'Open chat' })
  await button.waitFor()
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [
    0,
    0,
    '',
  ])
  assert.equal(sockets.length, 0)
  await shot(page, '01-page')
  await axe(page, 'closed')

  step('request form: required field, focus, contrast')
  await button.click()
  await panel.getByRole('button', { name: 'Start chat' }).click()
  await panel.getByText('Please fill this in.').waitFor()
  assert.equal(await panel.getByLabel('How can we help?').evaluate((e) => e === document.activeElement), true)
  await shot(page, '02-form-fault')
  await axe(page, 'form')

  step('a field of any name sends the form and leaves it as it is')
  await panel.getByLabel('Elements').fill('x'.repeat(150))
  await panel.getByRole('button', { name: 'Start chat' }).click()
  await panel.getByText('Please fill this in.').waitFor()

  step('start: queue place, then an agent joins')
  await fill(panel, 'Cleo', 'Is the Rev 2 waterproof? See https://fjellrev.example/rev-2 or fjellrev.example')
  await panel.getByText('We are finding somebody for you.').waitFor()
  await ctl('queue')
  await panel.getByText('You are number 2 in the queue.').waitFor()
  await panel.getByText(/Waiting for 1:3\d/).waitFor()
  await shot(page, '03-queue')
  await axe(page, 'queue')
  assert.equal(await panel.getByRole('link').count(), 1, 'only the URL with a scheme is a link')
  assert.equal(await panel.getByRole('link').getAttribute('rel'), 'noopener noreferrer')
  await ctl('join', { name: 'Ana Berg' })
  await panel.getByText('Ana Berg joined the chat.').waitFor()
  await panel.locator('header p', { hasText: 'You are chatting with Ana Berg' }).waitFor()

  step('typing, messages, delivered and read')
  await ctl('typing', { on: 1, name: 'Ana' })
  await panel.getByText('Ana is typing').waitFor()
  await ctl('say', {
    name: 'Ana Berg',
    text: `Hello Cleo! Yes, 3000 mm. See ${url}/p/webchat/demo/demo/tents`,
  })
  await panel.getByText('Hello Cleo!').waitFor()
  assert.equal(await panel.getByText('Ana is typing').count(), 0, 'a message ends the typing mark')
  const own = panel.getByRole('link', { name: /demo\/tents/ })
  assert.equal(await own.getAttribute('target'), '_top', 'the own site opens in the same window (B8)')
  const input = panel.getByRole('textbox', { name: 'Message' })
  await input.fill('Great, and in the wind?')
  await input.press('Enter')
  await panel.getByText('Sent', { exact: true }).last().waitFor()
  await ctl('deliver')
  await panel.getByText('Delivered', { exact: true }).last().waitFor()
  await ctl('read')
  await panel.getByText('Read', { exact: true }).last().waitFor()

  step('pictures, documents, rich text, choices')
  await ctl('picture', { name: 'Ana Berg' })
  await panel
    .getByRole('button', { name: /Picture camp.png/ })
    .locator('img')
    .waitFor()
  await ctl('document', { name: 'Ana Berg' })
  await panel.getByRole('button', { name: 'Download Care instructions.pdf' }).waitFor()
  await ctl('rich', {
    name: 'Ana Berg',
    text: 'It is <b>very <i>quiet</i></b>. <a href="https://example.com/x" target="blank">Test</a> <img src=x onerror=alert(1)><script>alert(1)</script><a href="javascript:alert(1)">bad</a>',
  })
  await panel.locator('.bubble b i').waitFor()
  assert.equal(await panel.locator('.bubble img, .bubble script, a[href^="javascript"]').count(), 0)
  await shot(page, '04-chat')
  await axe(page, 'chat')
  await ctl('choices', { name: 'Ana Berg', text: 'Which one do you like?' })
  await panel.getByRole('button', { name: 'Vidde 3' }).click()
  await panel.locator('.mine .bubble', { hasText: 'Vidde 3' }).waitFor()

  step('a tool asks for consent, shows fields, waits, fails, and ends (E3, E6, E7)')
  const tool = '0190bbbb-0000-7000-8000-000000000001'
  const show = (revision, blocks) => ctl('panel', { session: tool, revision, blocks: JSON.stringify(blocks) })
  const acts = async () => (await events()).filter((e) => /CustomerTool/.test(e.Kind)).map((e) => e.Text)
  await ctl('tool', { session: tool })
  assert.equal(await panel.locator('.shared').count(), 0, 'nothing is shown before the tool shows something')
  await show(1, [
    { type: 'text', style: 'heading', text: 'Shall we look at your screen together?' },
    { type: 'text', style: 'muted', text: 'Nobody sees anything before you agree.' },
    { type: 'button', action: 'accept', label: 'Agree', style: 'primary' },
    { type: 'button', action: 'decline', label: 'No, thanks' },
  ])
  const shared = panel.getByRole('region', { name: 'Shall we look at your screen together?' })
  await shared.getByText('Please decide').waitFor()
  await shot(page, '04-tool-asks')
  await axe(page, 'tool asks')
  await ctl('hold')
  await shared.getByRole('button', { name: 'Agree' }).click()
  await shared.getByText('One moment…').waitFor()
  await shared.getByRole('button', { name: 'No, thanks' }).click({ force: true })
  assert.equal(
    await shared.getByRole('button', { name: 'End this' }).getAttribute('aria-disabled'),
    'false',
    'the end waits for no answer',
  )
  await ctl('release')
  await shared.getByText('One moment…').waitFor({ state: 'detached' })
  assert.deepEqual(await acts(), [`${tool} accept 1 `], 'while an act is under way there is no second one')
  await show(2, [
    { type: 'status', state: 'active', text: 'Shared' },
    { type: 'key_value', items: [{ key: 'Order', value: '4711' }] },
    { type: 'field', name: 'who', label: 'Your name', required: true },
    { type: 'field', name: 'sure', label: 'I am sure', kind: 'checkbox' },
    { type: 'code', label: 'PIN', code: '482913' },
    { type: 'link', url: 'https://example.com/help', label: 'Help' },
    { type: 'link', url: 'javascript:alert(1)', label: 'bad' },
    { type: 'hologram', text: 'new' },
    { type: 'button', action: 'save', label: 'Save', style: 'primary', confirm: 'Save this now?' },
  ])
  const active = panel.getByRole('region', { name: 'Shared with you' })
  await active.getByText('482913').waitFor()
  assert.equal(
    await active.getByRole('link').count(),
    1,
    'a link that leads elsewhere than the web is not drawn',
  )
  assert.equal(await active.getByText('This kind of message cannot be shown here.').count(), 2)
  const save = active.getByRole('button', { name: 'Save' })
  const dialog = panel.getByRole('dialog')
  await save.click()
  assert.equal(await dialog.count(), 0, 'a required field that is empty holds the question back')
  await active.getByLabel('Your name').fill('Cleo')
  await save.click()
  await shot(page, '04-tool-question')
  await axe(page, 'tool question')
  const who = { type: 'field', name: 'who', label: 'Your name', required: true }
  const now = { type: 'button', action: 'save', label: 'Save', style: 'primary', confirm: 'Save this now?' }
  await show(3, [{ type: 'text', text: 'The third' }, now])
  await active.getByText('The third').waitFor()
  await dialog.getByRole('button', { name: 'Yes' }).click()
  await page.waitForFunction(async () =>
    (await (await fetch('/ctl/events')).json()).some((e) => / save 2 /.test(e.Text)),
  )
  assert.deepEqual(
    (await acts()).slice(1),
    [`${tool} save 2 {"sure":false,"who":"Cleo"}`],
    'what was confirmed is what was shown when the button was pressed',
  )
  await show(4, [who, now])
  await active.getByLabel('Your name').fill('Cleo')
  await save.click()
  await dialog.waitFor()
  await show(5, [who, { ...now, confirm: 'Save that and pay?' }])
  await dialog.waitFor({ state: 'detached' })
  assert.equal(
    await active.evaluate((e) => e.contains(document.activeElement)),
    true,
    'the focus stays where a question was taken back',
  )
  await show(6, [who, now])

  step('fields may have any name; the customer can always end')
  const odd = ['elements', 'reportValidity', 'submit', 'l', '__proto__', 'constructor']
  await show(7, [
    ...odd.map((name) => ({ type: 'field', name, label: `Field ${name}`, required: true })),
    { type: 'button', action: 'odd', label: 'Odd' },
  ])
  await active.getByRole('button', { name: 'Odd' }).click()
  for (const name of odd) await active.getByLabel(`Field ${name}`).fill(name)
  await active.getByLabel('Field l').press('Enter') // no submission by the browser
  await active.getByRole('button', { name: 'Odd' }).click()
  await page.waitForFunction(async () =>
    (await (await fetch('/ctl/events')).json()).some((e) => / odd 7 /.test(e.Text)),
  )
  const sent = JSON.parse((await acts()).at(-1).split(' odd 7 ')[1])
  assert.deepEqual(
    Object.entries(sent),
    odd.toSorted().map((name) => [name, name]),
  )
  await show(8, [])
  await active.getByText('There is nothing to see at the moment.').waitFor()
  await active.getByRole('button', { name: 'End this' }).waitFor()
  await shot(page, '04-tool-empty')
  await axe(page, 'tool empty')
  await show(9, [
    who,
    { type: 'field', name: 'sure', label: 'I am sure', kind: 'checkbox' },
    { type: 'button', action: 'save', label: 'Save', style: 'primary' },
  ])
  await active.getByLabel('Your name').fill('Cleo')
  await show(10, [
    { type: 'field', name: 'sure', label: 'I am sure', kind: 'checkbox' },
    who,
    { type: 'button', action: 'save', label: 'Save', style: 'primary' },
    { type: 'text', text: 'The tenth' },
  ])
  await active.getByText('The tenth').waitFor()
  assert.equal(
    await active.getByLabel('Your name').inputValue(),
    'Cleo',
    'a new panel keeps what was entered',
  )
  await active.getByLabel('I am sure').check()
  await shot(page, '04-tool')
  await axe(page, 'tool')
  await ctl('fail', { code: 'unavailable' })
  await active.getByRole('button', { name: 'Save' }).click()
  await active.getByRole('alert').getByText('There was no answer.').waitFor()
  await shot(page, '04-tool-failed')
  await axe(page, 'tool failed')
  await ctl('fail')
  await active.getByRole('button', { name: 'Try again' }).click()
  await active.getByRole('alert').waitFor({ state: 'detached' })
  assert.deepEqual((await acts()).slice(3), [`${tool} save 10 {"sure":true,"who":"Cleo"}`])
  await ctl('down')
  await active.getByText('You are offline.').waitFor()
  await axe(page, 'tool offline')
  await active.getByRole('button', { name: 'End this' }).click()
  await ctl('up')
  await active.getByText('You are offline.').waitFor({ state: 'detached' })
  await page.waitForFunction(async () =>
    (await (await fetch('/ctl/events')).json()).some((e) => / end 10 /.test(e.Text)),
  )
  await ctl('tool_end', { session: tool, cause: 'finished', note: 'Saved for Cleo.' })
  await panel.getByText('What was shared here has ended.').waitFor()
  await panel.getByText('Saved for Cleo.').waitFor()
  assert.equal(await panel.locator('.shared').count(), 0)

  step('the customer sends a file by the button, by paste and by drop')
  await panel
    .locator('input[type=file]')
    .setInputFiles({ name: 'tent sketch.txt', mimeType: 'text/plain', buffer: Buffer.from('poles') })
  await panel.getByRole('button', { name: 'Download tent sketch.txt' }).waitFor()
  const dropped = await panel.locator('.panel').evaluateHandle(() => {
    const d = new DataTransfer()
    d.items.add(new File(['x'], 'dropped.txt', { type: 'text/plain' }))
    return d
  })
  await panel.locator('.panel').dispatchEvent('drop', { dataTransfer: dropped })
  await panel.getByRole('button', { name: 'Download dropped.txt' }).waitFor()

  step('pages: a loaded page and a changed address reach the agent (B5)')
  await page.goto(`${url}/p/webchat/demo/demo/tents`)
  await panel.getByText('Hello Cleo!').waitFor() // the panel opens again by itself
  await page.getByRole('button', { name: 'Vidde 3' }).first().click()
  await page.waitForFunction(async () =>
    (await (await fetch('/ctl/events')).json()).some(
      (e) => /model=vidde-3/.test(e.URL) && /Vidde 3/.test(e.Title),
    ),
  )

  step('a second tab sees everything, both ways')
  const second = await context.newPage()
  await second.goto(`${url}/p/webchat/demo/demo`)
  const secondPanel = second.frameLocator('parley-chat iframe')
  await secondPanel.getByText('Hello Cleo!').waitFor()
  await secondPanel.getByRole('textbox', { name: 'Message' }).fill('from the second tab')
  await secondPanel.getByRole('textbox', { name: 'Message' }).press('Enter')
  await panel.getByText('from the second tab').waitFor()
  await second.close()

  step('offline: messages wait, come once, in order')
  await ctl('down')
  await panel.getByText('Connection lost. Trying again…').waitFor()
  for (const text of ['offline one', 'offline two']) {
    await input.fill(text)
    await input.press('Enter')
  }
  await panel.getByText('Waiting to be sent').first().waitFor()
  await shot(page, '05-offline')
  await axe(page, 'offline')
  await page.reload() // not even a reload loses the messages
  await ctl('up')
  await panel.getByText('offline two').waitFor()
  await page.waitForFunction(
    async () =>
      (await (await fetch('/ctl/events')).json()).filter((e) => /^offline/.test(e.Text)).length >= 2,
  )
  assert.deepEqual(
    (await events()).filter((e) => /^offline/.test(e.Text)).map((e) => e.Text),
    ['offline one', 'offline two'],
  )
  await panel.getByText('Sent', { exact: true }).last().waitFor()

  step('unread badge while closed; focus returns')
  await panel.getByRole('button', { name: 'Close chat window' }).click()
  assert.equal(await page.evaluate(() => document.activeElement?.localName), 'parley-chat')
  await ctl('say', { name: 'Ana Berg', text: 'Are you there?' })
  await page.getByRole('button', { name: 'Open chat, 1 unread' }).waitFor()
  await shot(page, '06-unread')
  await page.getByRole('button', { name: 'Open chat, 1 unread' }).click()
  await page.getByRole('button', { name: 'Close chat', exact: true }).waitFor()

  step('inactivity, ending asks first, new chat')
  await ctl('warn')
  await panel.getByRole('alert').getByText('Are you still there?').waitFor()
  await shot(page, '07-warned')
  await panel.getByRole('button', { name: 'End chat' }).click()
  await panel.getByRole('dialog').waitFor()
  await shot(page, '08-end')
  await axe(page, 'dialog')
  await page.keyboard.press('Escape')
  assert.equal(await panel.getByRole('dialog').count(), 0)
  assert.equal(
    await panel.getByRole('button', { name: 'End chat' }).count(),
    1,
    'Escape closes the question, not the chat',
  )
  await panel.getByRole('button', { name: 'End chat' }).click()
  await panel.getByRole('dialog').getByRole('button', { name: 'End chat' }).click()
  await panel.getByText('Chat session ended.').waitFor()
  await shot(page, '09-ended')
  await axe(page, 'ended')
  await page.reload()
  await page.getByRole('button', { name: 'Open chat' }).click()
  await panel.getByText('Chat session ended.').waitFor()
  await panel.getByRole('button', { name: 'Start a new chat' }).click()
  await fill(panel, 'Cleo', 'One more question')
  await ctl('join', { name: 'Ben' })
  await panel.getByText('Ben joined the chat.').waitFor()
  await ctl('end')
  await panel.getByText('Chat session ended.').waitFor()
  await context.close()

  step('dark, phone, German, keyboard only')
  const phone = await open({
    viewport: { width: 375, height: 720 },
    colorScheme: 'dark',
    locale: 'de-DE',
    reducedMotion: 'reduce',
  })
  await phone.page.goto(`${url}/p/webchat/demo/demo`)
  await phone.page.getByRole('button', { name: 'Chat öffnen' }).focus()
  await phone.page.keyboard.press('Enter')
  await phone.panel.getByLabel('Vorname').waitFor()
  await shot(phone.page, '10-phone-form')
  await axe(phone.page, 'dark form')
  await phone.panel.getByLabel('Wie können wir helfen?').focus()
  await phone.page.keyboard.type('Hallo')
  await phone.page.keyboard.press('Tab')
  await phone.page.keyboard.press('Enter')
  await phone.panel.getByText('Wir suchen jemanden für Sie.').waitFor()
  await ctl('join', { name: 'Ana Berg' })
  await ctl('say', { name: 'Ana Berg', text: 'Guten Tag! Womit kann ich helfen?' })
  await phone.panel.getByText('Guten Tag!').waitFor()
  await phone.page.keyboard.type('Ein Zelt, bitte.')
  await phone.page.keyboard.press('Enter')
  await phone.panel.locator('.mine .bubble', { hasText: 'Ein Zelt' }).waitFor()
  await ctl('read')
  await phone.panel.getByText('Gelesen').last().waitFor()
  await shot(phone.page, '11-phone-chat')
  await axe(phone.page, 'dark chat')
  await ctl('tool', { session: tool })
  await ctl('panel', {
    session: tool,
    revision: 1,
    blocks: JSON.stringify([
      { type: 'text', style: 'heading', text: 'Gemeinsam ansehen?' },
      { type: 'field', name: 'note', label: 'Hinweis', kind: 'multiline' },
      {
        type: 'button',
        action: 'accept',
        label: 'Ja',
        style: 'primary',
        confirm: 'Wirklich gemeinsam ansehen?',
      },
      { type: 'button', action: 'decline', label: 'Nein', style: 'danger' },
    ]),
  })
  await phone.panel.getByText('Bitte entscheiden Sie').waitFor()
  await shot(phone.page, '11-phone-tool')
  await axe(phone.page, 'dark tool')
  await phone.panel.getByRole('button', { name: 'Ja' }).focus()
  await phone.page.keyboard.press('Enter')
  await phone.panel.getByRole('dialog').waitFor()
  await shot(phone.page, '11-phone-tool-question')
  await axe(phone.page, 'dark tool question')
  await phone.panel.getByRole('dialog').getByRole('button', { name: 'Ja' }).focus()
  await phone.page.keyboard.press('Enter')
  await phone.page.waitForFunction(async () =>
    (await (await fetch('/ctl/events')).json()).some((e) => / accept 1 /.test(e.Text) && /note/.test(e.Text)),
  )
  await ctl('tool_end', { session: tool, cause: 'lost' })
  await phone.panel.getByText('abgebrochen').waitFor()
  const size = await phone.panel
    .getByRole('textbox', { name: 'Nachricht' })
    .evaluate((e) => getComputedStyle(e).fontSize)
  assert.equal(size, '16px')
  await phone.context.close()

  step('right to left')
  const arabic = await open({ locale: 'ar' })
  await arabic.page.goto(`${url}/p/webchat/demo/demo`)
  await arabic.page.getByRole('button', { name: 'Open chat' }).click()
  await arabic.panel.getByRole('button', { name: 'ابدأ المحادثة' }).waitFor()
  assert.equal(await arabic.panel.locator('html').getAttribute('dir'), 'rtl')
  await shot(arabic.page, '12-rtl')
  await arabic.context.close()

  assert.deepEqual(problems, [])
  console.log('ok')
} catch (e) {
  for (const c of browser.contexts())
    for (const [i, p] of c.pages().entries()) await shot(p, `failed-${i}`).catch(() => {})
  for (const p of problems) console.error(p)
  throw e
} finally {
  await browser.close()
  server.stdin.end()
}
