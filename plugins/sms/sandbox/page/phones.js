// The phones of the sandbox: one page without a framework. Its state comes from the control API
// (/_sandbox/...) and from its stream of events.

const $ = (id) => document.getElementById(id)
const key = 'sandbox.phone'
const state = {
  numbers: [], // the account's numbers
  phones: [], // handsets: {phone, last, count}
  unread: new Map(), // number of unread messages, by handset
  phone: sessionStorage.getItem(key) || '',
  number: '',
  messages: new Map(), // of the handset, by sid, oldest first
  rules: [], // behaviours and faults that were asked for
  files: [], // {content_type, data, name, url}, to be sent with the next text
}

async function api(path, options = {}) {
  const init = { ...options, headers: { 'Content-Type': 'application/json' } }
  if (options.body !== undefined) init.body = JSON.stringify(options.body)
  const response = await fetch(`/_sandbox${path}`, init)
  if (response.status === 204) return null
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error((answer.error || `The sandbox answered ${response.status}`).replace(/^invalid: /, ''))
  return answer
}

function element(tag, properties = {}, ...children) {
  const el = Object.assign(document.createElement(tag), properties)
  el.append(...children)
  return el
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })

// ---- handsets

function showPhones() {
  const list = state.phones.map(({ phone }) => {
    const unread = state.unread.get(phone) || 0
    const button = element('button', { type: 'button' }, element('span', { textContent: phone }))
    button.dataset.phone = phone
    if (phone === state.phone) button.setAttribute('aria-current', 'true')
    if (unread > 0) {
      const badge = element('span', { className: 'new', textContent: unread })
      badge.setAttribute('aria-hidden', 'true')
      button.append(badge)
      button.setAttribute('aria-label', `${phone}, ${unread} unread`)
    }
    button.addEventListener('click', () => choose(phone))
    return element('li', {}, button)
  })
  const focused = document.activeElement?.dataset?.phone
  $('phones').replaceChildren(...list)
  if (focused) [...$('phones').querySelectorAll('button')].find((b) => b.dataset.phone === focused)?.focus()
  const all = [...state.unread.values()].reduce((sum, n) => sum + n, 0)
  document.title = `${all > 0 ? `(${all}) ` : ''}Phones · Sandbox`
}

function showNumbers() {
  $('number').replaceChildren(...state.numbers.map((n) => element('option', { value: n.number, textContent: n.number })))
  if (state.numbers.some((n) => n.number === state.number)) $('number').value = state.number
  else state.number = $('number').value
}

async function choose(phone) {
  state.phone = phone
  sessionStorage.setItem(key, phone)
  state.unread.delete(phone)
  state.messages = new Map()
  $('own').textContent = phone || 'No handset'
  $('next').value = ''
  showPhones()
  if (!phone) return showLog()
  const { messages } = await api(`/phones/${encodeURIComponent(phone)}/messages`)
  if (state.phone !== phone) return undefined // another handset was chosen meanwhile
  for (const m of messages) state.messages.set(m.sid, m)
  const last = messages.at(-1)
  if (last && state.numbers.some((n) => n.number === last.number)) state.number = last.number
  showNumbers()
  return showLog()
}

function remember(phone) {
  if (!state.phones.some((p) => p.phone === phone)) state.phones.push({ phone })
}

// ---- messages

const words = {
  mine: { sending: 'Sending', delivered: 'Delivered', failed: 'Not delivered' },
  theirs: { sending: 'On its way', sent: 'Sent by the carrier', delivered: '', read: 'Read', failed: 'Did not arrive' },
}

function meta(m) {
  const parts = [time.format(new Date(m.at)), words[m.mine ? 'mine' : 'theirs'][m.state] ?? m.state]
  if (m.problem.code) parts.push(`${m.problem.text} (${m.problem.code})`)
  return parts.filter(Boolean).join(' · ')
}

function bubble(m) {
  const el = element('article', { className: `bubble ${m.mine ? 'mine' : 'theirs'} ${m.state}` })
  el.dataset.sid = m.sid
  el.dataset.state = m.state
  el.setAttribute('aria-label', m.mine ? 'Sent' : 'Received')
  for (const f of m.files || []) {
    if (f.content_type.startsWith('image/')) el.append(element('img', { src: f.url, alt: 'Picture' }))
    else el.append(element('a', { href: f.url, className: 'file', target: '_blank', rel: 'noopener', textContent: `File (${f.content_type})` }))
  }
  if (m.body) el.append(element('p', { className: 'said', textContent: m.body }))
  el.append(element('p', { className: 'meta', textContent: meta(m) }))
  return el
}

function shown() {
  return [...state.messages.values()].filter((m) => m.number === state.number)
}

function showLog() {
  const log = $('log')
  const list = []
  let before = ''
  for (const m of shown()) {
    const today = day.format(new Date(m.at))
    if (today !== before) list.push(element('p', { className: 'day', textContent: today }))
    before = today
    list.push(bubble(m))
  }
  if (list.length === 0) {
    list.push(element('p', { className: 'empty', textContent: state.phone ? `Write the first text to ${state.number || 'a number'}.` : 'Choose or add a handset.' }))
  }
  log.replaceChildren(...list)
  log.scrollTop = log.scrollHeight
}

// A picture takes up its space only when it has loaded: a log that shows its end must still show it
// then.
let atEnd = true
$('log').addEventListener('scroll', () => {
  const log = $('log')
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
})
$('log').addEventListener('load', () => {
  if (atEnd) $('log').scrollTop = $('log').scrollHeight
}, true) // captured, because load events do not bubble

// A message was added or changed. Only its bubble is updated, so that screen readers read it once.
function showMessage(m) {
  remember(m.phone)
  if (m.phone !== state.phone) {
    if (!m.mine && !known.has(m.sid)) {
      known.add(m.sid)
      state.unread.set(m.phone, (state.unread.get(m.phone) || 0) + 1)
    }
    return showPhones()
  }
  const fresh = !state.messages.has(m.sid)
  state.messages.set(m.sid, m)
  showPhones()
  if (m.number !== state.number) return undefined
  const old = $('log').querySelector(`[data-sid="${CSS.escape(m.sid)}"]`)
  if (old) {
    old.replaceWith(bubble(m))
  } else if (fresh && shown().length > 1 && sameDay()) {
    $('log').append(bubble(m))
    $('log').scrollTop = $('log').scrollHeight
  } else {
    showLog()
  }
  return undefined
}

const known = new Set() // messages that were counted as unread

function sameDay() {
  const [a, b] = shown().slice(-2)
  return day.format(new Date(a.at)) === day.format(new Date(b.at))
}

// ---- writing

function fail(id, error) {
  $(id).textContent = error ? error.message : ''
}

$('write').addEventListener('submit', async (event) => {
  event.preventDefault()
  const text = $('text').value
  if (text.trim() === '' && state.files.length === 0) return
  fail('write-error')
  try {
    if (!state.phone) throw new Error('Choose or add a handset first.')
    const files = state.files.map(({ content_type, data }) => ({ content_type, data }))
    const sent = { text: $('text').value, files: state.files }
    $('text').value = ''
    state.files = []
    showFiles()
    try {
      await api('/texts', { method: 'POST', body: { from: state.phone, to: state.number, body: text, files } })
    } catch (error) {
      $('text').value ||= sent.text
      state.files = sent.files
      showFiles()
      throw error
    }
  } catch (error) {
    fail('write-error', error)
  }
  $('text').focus()
})

$('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    $('write').requestSubmit()
  }
})

$('attach').addEventListener('click', () => $('picture').click())
$('picture').addEventListener('change', async () => {
  await attach([...$('picture').files])
  $('picture').value = ''
})
$('text').addEventListener('paste', (event) => {
  const files = [...event.clipboardData.files]
  if (files.length > 0) {
    event.preventDefault()
    attach(files)
  }
})

async function attach(files) {
  fail('write-error')
  try {
    for (const file of files) {
      const total = state.files.reduce((sum, f) => sum + f.size, 0) + file.size
      if (state.files.length >= 10 || total > 5 * 1024 * 1024) throw new Error('A message holds at most 10 files and 5 MB.')
      const url = await read(file)
      state.files.push({ content_type: file.type || 'application/octet-stream', data: url.slice(url.indexOf(',') + 1), name: file.name, size: file.size, url })
    }
  } catch (error) {
    fail('write-error', error)
  }
  showFiles()
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.addEventListener('load', () => resolve(reader.result))
    reader.addEventListener('error', () => reject(new Error(`${file.name} cannot be read.`)))
    reader.readAsDataURL(file)
  })
}

function showFiles() {
  const list = state.files.map((f, i) => {
    const view = f.content_type.startsWith('image/') ? element('img', { src: f.url, alt: f.name }) : element('span', { textContent: f.name })
    const remove = element('button', { type: 'button', textContent: '×' })
    remove.setAttribute('aria-label', `Remove ${f.name}`)
    remove.addEventListener('click', () => {
      state.files.splice(i, 1)
      showFiles()
      $('text').focus()
    })
    return element('li', {}, view, remove)
  })
  $('files').replaceChildren(...list)
  $('files').hidden = list.length === 0
}

$('add').addEventListener('submit', async (event) => {
  event.preventDefault()
  fail('add-error')
  try {
    const { phone } = await api('/phones', { method: 'POST', body: { phone: $('add-number').value.replace(/[\s().-]/g, '') } })
    remember(phone)
    $('add-number').value = ''
    await choose(phone)
    $('text').focus()
  } catch (error) {
    fail('add-error', error)
    $('add-number').focus()
  }
})

$('number').addEventListener('change', () => {
  state.number = $('number').value
  showLog()
})

// ---- what was asked for

const failing = (code) => ({ steps: [{ status: 'sending' }, { status: 'sent' }, { status: 'undelivered', error_code: Number(code) }] })
const wishes = {
  read: ['/behaviours', { steps: [{ status: 'sending' }, { status: 'sent' }, { status: 'delivered' }, { status: 'read', after_ms: 2000 }] }],
  slow: ['/behaviours', { steps: [{ status: 'sending' }, { status: 'sent' }, { status: 'delivered', after_ms: 20000 }] }],
  30003: ['/behaviours', failing(30003)],
  30006: ['/behaviours', failing(30006)],
  30007: ['/behaviours', failing(30007)],
  429: ['/faults', { kind: 'status', status: 429 }],
  lost: ['/faults', { kind: 'reset', after: true }],
}

$('next').addEventListener('change', async () => {
  const wish = wishes[$('next').value]
  if (!state.phone) return
  fail('write-error')
  const old = state.rules.filter((r) => r.to === state.phone)
  try {
    if (wish) await api(wish[0], { method: 'POST', body: { ...wish[1], to: state.phone, count: 1 } })
    for (const r of old) await api(`/rules/${r.id}`, { method: 'DELETE' })
  } catch (error) {
    fail('write-error', error)
  }
})

$('clear-rules').addEventListener('click', async () => {
  await api('/rules', { method: 'DELETE' })
  $('text').focus()
})

function showRules({ behaviours, faults }) {
  state.rules = [...behaviours, ...faults]
  const whom = (r) => `${r.count > 0 ? `next ${r.count} ` : 'all '}${r.to ? `to ${r.to}` : r.from ? `from ${r.from}` : 'to anybody'}`
  const list = [
    ...behaviours.map((b) => `${whom(b)}: ${b.steps.map((s) => s.status + (s.error_code ? ` ${s.error_code}` : '')).join(', ') || 'as usual'}`),
    ...faults.map((f) => `${whom(f)}: ${f.kind}${f.status ? ` ${f.status}` : ''}${f.delay_ms ? ` ${f.delay_ms} ms` : ''}${f.after ? ', taken' : ''}`),
  ]
  $('rules').replaceChildren(...list.map((text) => element('li', { textContent: text })))
  $('asked').hidden = list.length === 0
  if (!state.rules.some((r) => r.to === state.phone)) $('next').value = ''
}

// ---- live

async function load() {
  const [self, phones] = await Promise.all([api(''), api('/phones')])
  state.numbers = self.numbers
  state.phones = phones.phones
  if (state.phones.length === 0) {
    const { phone } = await api('/phones', { method: 'POST', body: { phone: '+15550100199' } })
    remember(phone) // the stream of events may have added it already
  }
  if (!state.phones.some((p) => p.phone === state.phone)) state.phone = state.phones[0].phone
  showNumbers()
  await choose(state.phone)
}

function listen() {
  const events = new EventSource('/_sandbox/events')
  const on = (name, f) => events.addEventListener(name, (e) => f(JSON.parse(e.data)))
  events.addEventListener('open', () => {
    $('link').textContent = ''
    load().catch((error) => fail('write-error', error))
  })
  events.addEventListener('error', () => {
    $('link').textContent = 'The sandbox does not answer; trying again.'
  })
  on('message', showMessage)
  on('rules', showRules)
  on('reload', () => load())
  on('phone', ({ phone }) => {
    remember(phone)
    showPhones()
  })
}

function tick() {
  const at = new Date()
  $('clock').textContent = time.format(at)
  setTimeout(tick, 60000 - (at % 60000))
}

tick()
listen()
