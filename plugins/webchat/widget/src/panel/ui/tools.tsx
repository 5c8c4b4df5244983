import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Pending } from '../chat'
import type { Tool } from '../fold'
import { problem } from '../i18n'
import { asks, type Block, type Value } from '../panels'
import { useChat, useUi } from './context'
import { Alert, Close } from './icons'

/** What tools show the customer, below the messages. A tool that has nothing to show is not there. */
export function Tools() {
  const { view, pending } = useChat()
  const shown = view.tools.filter((x) => x.blocks.length > 0 || x.mine)
  if (!view.open || shown.length === 0) return null
  return (
    <div class="tools">
      {shown.map((x) => (
        <ToolPanel key={x.session} tool={x} pending={pending.find((p) => p.frame.session === x.session)} />
      ))}
    </div>
  )
}

/** These need no fields: what was entered so far does not matter to them. */
const plain = new Set(['decline', 'end'])

function ToolPanel({ tool, pending }: { tool: Tool; pending: Pending | undefined }) {
  const { words, chat } = useUi()
  const { t } = words
  const { status } = useChat()
  const section = useRef<HTMLElement>(null)
  const form = useRef<HTMLFormElement>(null)
  const inside = useRef(false)
  const [question, setQuestion] = useState<{ text: string; action: string } | null>(null)
  const away = status !== 'online'
  const busy = pending?.state === 'waiting'
  const off = away || busy
  const heading = tool.blocks.find((b) => b.type === 'text' && b.style === 'heading')
  const name = heading?.type === 'text' ? heading.text : t('tool')

  // A button that had the focus may be gone with the panel before.
  useLayoutEffect(() => {
    if (inside.current && document.activeElement === document.body) section.current?.focus()
  }, [tool.revision])

  const act = (action: string) => {
    if (off) return
    const fields = plain.has(action) ? {} : values(tool.blocks, form.current)
    if (!plain.has(action) && !form.current?.reportValidity()) return
    chat.act(tool.session, action, tool.revision, fields)
  }
  const press = (action: string, confirm: string) => {
    if (off) return
    if (confirm) setQuestion({ text: confirm, action })
    else act(action)
  }

  return (
    <section
      class="shared"
      ref={section}
      aria-label={name}
      aria-busy={busy}
      tabIndex={-1}
      onFocusCapture={() => {
        inside.current = true
      }}
      onBlurCapture={(e) => {
        if (e.relatedTarget) inside.current = section.current?.contains(e.relatedTarget as Node) ?? false
      }}
    >
      <div class="shared-top">
        <span role="status">{t(asks(tool.blocks) ? 'tool_asks' : 'tool')}</span>
        <button
          type="button"
          class="tool"
          aria-label={t('tool_end')}
          title={t('tool_end')}
          aria-disabled={off}
          onClick={() => press('end', '')}
        >
          <Close />
        </button>
      </div>
      <form ref={form} onSubmit={(e) => e.preventDefault()}>
        {tool.blocks.map((b, i) => (
          <BlockView
            key={b.type === 'field' ? `field ${b.name}` : i}
            block={b}
            id={`${tool.session}-${i}`}
            off={off}
            press={press}
          />
        ))}
      </form>
      <div role="status" class="shared-state">
        {away && t('tool_offline')}
        {!away && (busy || tool.blocks.length === 0) && (
          <>
            <span class="spinner" aria-hidden="true" /> {t('tool_wait')}
          </>
        )}
      </div>
      {pending?.state === 'failed' && (
        <div class="failed" role="alert">
          <span>
            <Alert /> {problem(t, pending.code ?? '', '')}
          </span>
          <button type="button" onClick={() => chat.again(pending.clientId)}>
            {t('retry')}
          </button>
          <button type="button" onClick={() => chat.discard(pending.clientId)}>
            {t('discard')}
          </button>
        </div>
      )}
      {question && (
        <Question
          text={question.text}
          onAnswer={(yes) => {
            setQuestion(null)
            if (yes) act(question.action)
          }}
        />
      )}
    </section>
  )
}

/** What the customer entered, by the fields' names. */
function values(blocks: Block[], form: HTMLFormElement | null): Record<string, Value> {
  const out: Record<string, Value> = {}
  for (const b of blocks) {
    const e = b.type === 'field' && form?.elements.namedItem(b.name)
    if (e instanceof HTMLInputElement) out[e.name] = e.type === 'checkbox' ? e.checked : e.value
    else if (e instanceof HTMLTextAreaElement || e instanceof HTMLSelectElement) out[e.name] = e.value
  }
  return out
}

interface BlockProps<B = Block> {
  block: B
  id: string
  off: boolean
  press: (action: string, confirm: string) => void
}

function BlockView({ block: b, id, off, press }: BlockProps) {
  const { t } = useUi().words
  switch (b.type) {
    case 'text':
      if (b.style === 'heading') return <h2>{b.text}</h2>
      return <p class={b.style === 'muted' ? 'soft' : ''}>{b.text}</p>
    case 'key_value':
      return (
        <dl>
          {b.items.map((i) => (
            <div key={i.key}>
              <dt>{i.key}</dt>
              <dd>{i.value}</dd>
            </div>
          ))}
        </dl>
      )
    case 'field':
      return <FieldView block={b} id={id} />
    case 'button':
      return (
        <button
          type="button"
          class={b.style === 'primary' ? 'primary' : `plain ${b.style}`}
          aria-disabled={off || b.disabled}
          onClick={() => b.disabled || press(b.action, b.confirm)}
        >
          {b.label}
        </button>
      )
    case 'link':
      return (
        <a href={b.url} target="_blank" rel="noopener noreferrer">
          {b.label}
          <span class="sr"> ({t('new_window')})</span>
        </a>
      )
    case 'code':
      return (
        <p class="code">
          {b.label && <span>{b.label}</span>}
          <code>{b.code}</code>
        </p>
      )
    case 'status':
      return <p class={`state ${b.state}`}>{b.text}</p>
    case 'list':
      return (
        <ul>
          {b.items.map((i, n) => (
            <li key={n}>
              {i.action ? (
                <button type="button" class="plain" aria-disabled={off} onClick={() => press(i.action, '')}>
                  {i.text}
                </button>
              ) : (
                i.text
              )}
              {i.detail && <small>{i.detail}</small>}
            </li>
          ))}
        </ul>
      )
    case 'image':
      return <p class="soft">{t('picture', { name: b.alt })}</p>
    default:
      return (
        <p>
          <em>{t('unsupported')}</em>
        </p>
      )
  }
}

function FieldView({ block: b, id }: { block: Extract<Block, { type: 'field' }>; id: string }) {
  const { t } = useUi().words
  const shared = { id, name: b.name, required: b.required, autoComplete: 'off' }
  const label = (
    <label for={id}>
      {b.label} {!b.required && <small>({t('optional')})</small>}
    </label>
  )
  if (b.kind === 'checkbox')
    return (
      <div class="check">
        <input {...shared} type="checkbox" defaultChecked={b.value === 'true'} />
        <label for={id}>{b.label}</label>
      </div>
    )
  const box = { ...shared, maxLength: b.max, placeholder: b.placeholder }
  return (
    <div class="field">
      {label}
      {b.kind === 'multiline' ? (
        <textarea {...box} rows={3} defaultValue={b.value} />
      ) : b.kind === 'select' ? (
        <select {...shared} defaultValue={b.value}>
          {b.options.map((o) => (
            <option key={o.value} value={o.value} selected={o.value === b.value}>
              {o.label}
            </option>
          ))}
        </select>
      ) : (
        <input {...box} type={b.kind || 'text'} defaultValue={b.value} />
      )}
    </div>
  )
}

/** Asks before a button does what it says. */
function Question({ text, onAnswer }: { text: string; onAnswer: (yes: boolean) => void }) {
  const { t } = useUi().words
  const ref = useRef<HTMLDialogElement>(null)
  const yes = useRef(false)
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null
    ref.current?.showModal()
    return () => before?.isConnected && before.focus()
  }, [])
  const close = (answer: boolean) => {
    yes.current = answer
    ref.current?.close()
  }
  return (
    <dialog ref={ref} onClose={() => onAnswer(yes.current)} aria-labelledby="question">
      <h2 id="question">{text}</h2>
      <div class="buttons">
        <button type="button" class="plain" onClick={() => close(false)}>
          {t('cancel')}
        </button>
        <button type="button" class="primary" onClick={() => close(true)}>
          {t('yes')}
        </button>
      </div>
    </dialog>
  )
}
