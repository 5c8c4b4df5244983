import { clock } from '@parley/shared/format'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Pending } from '../chat'
import type { Entry, MessageEntry } from '../fold'
import { useChat, useSeconds, useUi } from './context'
import { Down } from './icons'
import { Message, Notice } from './message'

/** Within so many CSS pixels of its end the log counts as being read at its end. */
const near = 80

export function Log({ starting }: { starting: boolean }) {
  const { words } = useUi()
  const { t } = words
  const { view, pending, typing } = useChat()
  const box = useRef<HTMLDivElement>(null)
  const stick = useRef(true)
  const [behind, setBehind] = useState(false)
  const waiting = pending.filter(
    (p) => p.frame.t === 'message' || (p.frame.t === 'start' && p.frame.form?.message),
  )
  const count = view.entries.length + waiting.length

  const down = () => {
    const e = box.current
    if (e) e.scrollTop = e.scrollHeight
    stick.current = true
    setBehind(false)
  }
  useLayoutEffect(() => {
    const mine = view.entries.at(-1)
    if (stick.current || (mine?.kind === 'message' && mine.mine) || waiting.length > 0) down()
    else setBehind(true)
  }, [count, typing])
  useLayoutEffect(() => {
    const e = box.current
    if (!e) return
    const keep = new ResizeObserver(() => stick.current && down())
    keep.observe(e)
    for (const child of e.children) keep.observe(child)
    return () => keep.disconnect()
  })
  const scrolled = () => {
    const e = box.current
    if (!e) return
    stick.current = e.scrollHeight - e.scrollTop - e.clientHeight < near
    if (stick.current) setBehind(false)
  }

  // The mark is shown only at the last of the customer's messages that got so far.
  const mine = view.entries.filter((e): e is MessageEntry => e.kind === 'message' && e.mine)
  const marks = new Map<number, 'sent' | 'delivered' | 'read'>()
  for (const m of mine)
    marks.set(m.seq, m.seq <= view.read ? 'read' : m.seq <= view.delivered ? 'delivered' : 'sent')
  const lastMine = mine.at(-1)?.seq

  return (
    <div class="log-place">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <div class="log" ref={box} role="log" aria-label={t('log')} tabIndex={0} onScroll={scrolled}>
        <div class="entries">
          {view.entries.map((e, i) =>
            e.kind === 'notice' ? (
              <Notice key={e.seq} entry={e} current={view.open && i === view.entries.length - 1} />
            ) : (
              <Message
                key={e.seq}
                entry={e}
                first={!continues(view.entries[i - 1], e)}
                last={!continues(e, view.entries[i + 1])}
                mark={e.mine ? marks.get(e.seq) : undefined}
                spell={e.seq === lastMine}
              />
            ),
          )}
          {waiting.map((p) => (
            <Message key={p.clientId} entry={draft(p)} first last pending={p} />
          ))}
          {starting && <p class="notice">{t('starting')}</p>}
          <Queue />
        </div>
      </div>
      <div class="typing" aria-live="polite">
        {typing && view.open && (
          <>
            <span class="dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            {typing.name ? t('typing', { name: typing.name }) : t('typing_nameless')}
          </>
        )}
      </div>
      {behind && (
        <button type="button" class="jump" onClick={down}>
          <Down />
          {t('new_messages')}
        </button>
      )}
    </div>
  )
}

/**
 * Whether b is shown below a without a name of its own: same side and author, within five minutes.
 */
function continues(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a?.kind !== 'message' || b?.kind !== 'message') return false
  return (
    a.mine === b.mine && a.name === b.name && new Date(b.at).getTime() - new Date(a.at).getTime() < 300_000
  )
}

function draft(p: Pending): MessageEntry {
  const parts = p.frame.parts ?? [{ kind: 'text', text: p.frame.form?.message ?? '' }]
  return {
    kind: 'message',
    replyTo: '',
    author: '',
    seq: 0,
    id: p.clientId,
    clientId: p.clientId,
    mine: true,
    bot: false,
    name: '',
    at: p.at,
    parts,
    keys: {},
  }
}

/**
 * Shown until an agent joins: that the customer waits, the place in the queue and the time waited.
 */
function Queue() {
  const { t } = useUi().words
  const { view, queue } = useChat()
  const nobody = view.open && Object.keys(view.agents).length === 0
  const show = nobody && (queue !== null || !view.entries.some((e) => e.kind === 'notice'))
  const now = useSeconds(show && queue !== null)
  if (!show) return null
  return (
    <div class="queue">
      <span class="spinner" aria-hidden="true" />
      <div>
        <p>{queue ? t('position', { n: queue.position }) : t('waiting')}</p>
        {queue && (
          <p class="soft" aria-live="off">
            {t('waited', { time: clock((now - queue.since) / 1000) })}
          </p>
        )}
      </div>
    </div>
  )
}
