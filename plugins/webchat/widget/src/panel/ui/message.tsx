import { initials } from '@parley/shared/format'
import { linkify, sameSite } from '@parley/shared/links'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Pending } from '../chat'
import type { MessageEntry, NoticeEntry, Part } from '../fold'
import { bytes, moment } from '../format'
import { notShown, problem } from '../i18n'
import type { FilePart } from '../protocol'
import { type Rich, rich } from '../richtext'
import { useChat, useUi } from './context'
import { Alert, Check, Checks, Clock, Doc, Gear } from './icons'

export function Avatar({ name, bot }: { name: string; bot: boolean }) {
  return (
    <span class="avatar" aria-hidden="true">
      {bot ? <Gear /> : initials(name) || '·'}
    </span>
  )
}

interface Props {
  entry: MessageEntry
  first: boolean
  last: boolean
  mark?: 'sent' | 'delivered' | 'read' | undefined
  /** Writes the mark out. */
  spell?: boolean
  pending?: Pending
}

export function Message({ entry, first, last, mark, spell, pending }: Props) {
  const { words } = useUi()
  const { t, locale } = words
  const author = entry.mine ? t('you') : entry.name || t(entry.bot ? 'assistant' : 'agent')
  return (
    <div class={`row ${entry.mine ? 'mine' : 'theirs'} ${last ? 'last' : ''} ${pending ? 'pending' : ''}`}>
      {!entry.mine && (last ? <Avatar name={author} bot={entry.bot} /> : <span class="avatar none" />)}
      <div class="stack">
        {first && <span class={entry.mine ? 'sr' : 'author'}>{author}</span>}
        {entry.replyTo && <Quote id={entry.replyTo} />}
        {entry.revoked && (
          <Bubble>
            <em>{t('taken_back')}</em>
          </Bubble>
        )}
        {entry.parts.map((p, i) => (
          <PartView key={i} part={p} entry={entry} pending={pending} />
        ))}
        {entry.edited && !entry.revoked && <small class="edited">{t('edited')}</small>}
        <Reactions of={entry} />
        {pending?.state === 'failed' ? (
          <Failed pending={pending} />
        ) : (
          (last || spell) && (
            <span class="meta">
              <time dateTime={entry.at}>{moment(entry.at, locale, new Date())}</time>
              {entry.mine && (
                <Mark state={pending ? 'waiting' : (mark ?? 'sent')} spell={spell || Boolean(pending)} />
              )}
            </span>
          )
        )}
      </div>
    </div>
  )
}

/** What a message answers. */
function Quote({ id }: { id: string }) {
  const { t } = useUi().words
  const of = useChat().view.entries.find((e) => e.kind === 'message' && e.id === id) as
    | MessageEntry
    | undefined
  const text = of?.parts.map((p) => p.text || p.file?.caption || p.file?.name || '').join(' ')
  return (
    <div class="quote" dir="auto">
      <span class="sr">{t('answers')}: </span>
      {of && !of.revoked ? text : <em>{t(of ? 'taken_back' : 'original_gone')}</em>}
    </div>
  )
}

function Reactions({ of }: { of: MessageEntry }) {
  const { t } = useUi().words
  const list = Object.values(of.reactions ?? {}).filter(Boolean)
  if (!list.length) return null
  return (
    <small class="reactions">
      <span class="sr">{t('reactions')}: </span>
      {list.join(' ')}
    </small>
  )
}

function Mark({ state, spell }: { state: 'waiting' | 'sent' | 'delivered' | 'read'; spell: boolean }) {
  const { t } = useUi().words
  const Icon = state === 'waiting' ? Clock : state === 'sent' ? Check : Checks
  return (
    <span class={`mark ${state}`}>
      <Icon />
      <span class={spell ? '' : 'sr'}>{t(`status_${state}`)}</span>
    </span>
  )
}

function Failed({ pending }: { pending: Pending }) {
  const { words, chat, site } = useUi()
  const { t, locale } = words
  const why = pending.code ? problem(t, pending.code, bytes(site.max_file, locale)) : ''
  return (
    <div class="failed" role="alert">
      <span>
        <Alert /> {t('status_failed')}. {why}
      </span>
      <button type="button" onClick={() => chat.again(pending.clientId)}>
        {t('retry')}
      </button>
      <button type="button" onClick={() => chat.discard(pending.clientId)}>
        {t('discard')}
      </button>
    </div>
  )
}

function PartView({
  part,
  entry,
  pending,
}: {
  part: Part
  entry: MessageEntry
  pending: Pending | undefined
}) {
  const { words } = useUi()
  switch (part.kind) {
    case 'text':
      return (
        <Bubble>
          {linkify(part.text ?? '').map((p, i) =>
            'href' in p ? (
              <Anchor key={i} href={p.href}>
                {p.text}
              </Anchor>
            ) : (
              p.text
            ),
          )}
        </Bubble>
      )
    case 'rich_text':
      return <Bubble>{draw(rich(part.html ?? ''))}</Bubble>
    case 'answer':
      return <Bubble>{part.answer?.title ?? part.answer?.choice}</Bubble>
    case 'choices':
      return <Choices part={part} entry={entry} />
    case 'file':
      if (!part.file) return null
      if (pending?.file) return <Uploading pending={pending} file={pending.file} />
      return (
        <>
          <Attachment file={part.file} mediaKey={entry.keys[part.file.blob] ?? ''} />
          {part.file.caption && <Bubble>{part.file.caption}</Bubble>}
        </>
      )
    case 'template':
      return <Bubble>{part.template?.rendered || <em>{notShown(words.t, part)}</em>}</Bubble>
    default:
      return (
        <Bubble>
          <em>{notShown(words.t, part)}</em>
        </Bubble>
      )
  }
}

const Bubble = ({ children }: { children: ComponentChildren }) => (
  <div class="bubble" dir="auto">
    {children}
  </div>
)

/** The site's own pages open in its window, others in a new one (B8). */
function Anchor({ href, children }: { href: string; children: ComponentChildren }) {
  const { pageUrl, words } = useUi()
  if (sameSite(href, pageUrl())) {
    return (
      <a href={href} target="_top">
        {children}
      </a>
    )
  }
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
      <span class="sr"> ({words.t('new_window')})</span>
    </a>
  )
}

function draw(list: Rich[]): ComponentChildren {
  return list.map((r, i) => {
    if (typeof r === 'string') return r
    if ('href' in r)
      return (
        <Anchor key={i} href={r.href}>
          {draw(r.children)}
        </Anchor>
      )
    if (r.tag === 'br') return <br key={i} />
    const Tag = r.tag
    return <Tag key={i}>{draw(r.children)}</Tag>
  })
}

function Choices({ part, entry }: { part: Part; entry: MessageEntry }) {
  const { chat } = useUi()
  const { view } = useChat()
  const done = !view.open || view.entries.some((e) => e.kind === 'message' && e.mine && e.seq > entry.seq)
  return (
    <>
      {part.choices?.text && <Bubble>{part.choices.text}</Bubble>}
      <div class="choices">
        {part.choices?.options?.map((o) => (
          <button type="button" key={o.id} disabled={done} onClick={() => chat.answer(o.id, o.title)}>
            {o.title}
            {o.description && <small>{o.description}</small>}
          </button>
        ))}
      </div>
    </>
  )
}

/** Kinds that a browser shows as pictures; anything else is a document (P2, P4). */
const picture = /^image\/(png|jpeg|gif|webp|avif)$/

function Attachment({ file, mediaKey }: { file: FilePart; mediaKey: string }) {
  const { words, chat } = useUi()
  const { t, locale } = words
  const [gone, setGone] = useState(false)
  const [thumb, setThumb] = useState('')
  const shown = picture.test(file.mime) && !gone
  useEffect(() => {
    if (!shown || !mediaKey) return
    let live = true
    chat.fileUrl(file.blob, mediaKey, true).then(
      (url) => live && setThumb(url),
      () => live && setGone(true),
    )
    return () => {
      live = false
    }
  }, [chat, file.blob, mediaKey, shown])

  const open = async (e: Event) => {
    e.preventDefault()
    try {
      const a = document.createElement('a')
      a.href = await chat.fileUrl(file.blob, mediaKey, false)
      a.target = '_blank'
      a.rel = 'noopener noreferrer'
      a.download = file.name
      a.click()
    } catch {
      setGone(true)
    }
  }
  if (shown) {
    const ratio = file.width && file.height ? `${file.width} / ${file.height}` : '4 / 3'
    return (
      <button
        type="button"
        class="picture"
        style={{ aspectRatio: ratio }}
        onClick={open}
        aria-label={`${t('picture', { name: file.name })} (${t('new_window')})`}
      >
        {thumb ? (
          <img src={thumb} alt="" onError={() => setGone(true)} />
        ) : (
          <span class="spinner" aria-hidden="true" />
        )}
      </button>
    )
  }
  return (
    <button type="button" class="file" onClick={open} aria-label={t('download', { name: file.name })}>
      <Doc />
      <span>
        <b>{file.name}</b>
        <small>{gone ? t('file_gone') : bytes(file.size, locale)}</small>
      </span>
    </button>
  )
}

function Uploading({ pending, file }: { pending: Pending; file: File }) {
  const { t, locale } = useUi().words
  return (
    <div class="file">
      <Doc />
      <span>
        <b>{file.name}</b>
        <small>{bytes(file.size, locale)}</small>
        {pending.state === 'waiting' && (
          <progress max={1} value={pending.progress ?? 0} aria-label={t('uploading', { name: file.name })} />
        )}
      </span>
    </div>
  )
}

/** What happened besides messages. */
export function Notice({ entry, current }: { entry: NoticeEntry; current: boolean }) {
  const { t } = useUi().words
  switch (entry.what) {
    case 'warned':
      return (
        <p class={`notice ${current ? 'warned' : ''}`} role={current ? 'alert' : undefined}>
          {entry.text || t('warned')}
        </p>
      )
    case 'ended':
      return <p class="notice end-line">{t('ended')}</p>
    case 'tool_ended':
    case 'tool_lost':
      return <p class="notice">{t(entry.what)}</p>
    case 'system':
      return <p class="notice">{entry.text}</p>
    default:
      return (
        <p class="notice">{entry.name ? t(entry.what, { name: entry.name }) : t(`${entry.what}_nameless`)}</p>
      )
  }
}
