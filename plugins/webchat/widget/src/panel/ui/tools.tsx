import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Pending } from '../chat'
import type { Tool } from '../fold'
import { problem } from '../i18n'
import { asks, type Block, type Value } from '../panels'
import { useChat, useUi } from './context'
import { Alert, Close } from './icons'

/**
 * What tools show the customer, below the messages. A tool that never had anything to show is not there; another one
 * is until its end, so that the customer can end it.
 */
export function Tools() {
  const { view, pending } = useChat()
  const shown = view.tools.filter((x) => x.shown || x.mine)
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
  const [asked, ask] = useState<Act | null>(null)
  const away = status !== 'online'
  const busy = pending?.state === 'waiting'
  const off = away || busy
  // An end waits for nothing but an end.
  const ending = busy && pending.frame.action === 'end'
  const held = (action: string) => (action === 'end' ? ending : off)
  // A question that the panel does not ask any more is taken back.
  const question = asked && tool.blocks.some((b) => asksFor(b, asked)) ? asked : null
  const heading = tool.blocks.find((b) => b.type === 'text' && b.style === 'heading')
  const name = heading?.type === 'text' ? heading.text : t('tool')

  // A button that had the focus may be gone with the panel before.
  useLayoutEffect(() => {
    if (inside.current && document.activeElement === document.body) section.current?.focus()
  }, [tool.revision])

  useLayoutEffect(() => {
    if (!question) ask(null)
  }, [question])

  const act = ({ action, revision, values }: Act) => chat.act(tool.session, action, revision, values)
  const press = (action: string, confirm: string) => {
    if (held(action) || !(plain.has(action) || form.current?.reportValidity())) return
    const values = plain.has(action) ? {} : entered(tool, form.current)
    const one = { action, confirm, revision: tool.revision, values }
    if (confirm) ask(one)
    else act(one)
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
          aria-disabled={ending}
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
            id={fieldId(tool, i)}
            held={held}
            press={press}
          />
        ))}
      </form>
      <div role="status" class="shared-state">
        {away && t('tool_offline')}
        {!away && (busy || !tool.shown) && (
          <>
            <span class="spinner" aria-hidden="true" /> {t('tool_wait')}
          </>
        )}
        {!away && !busy && tool.shown && tool.blocks.length === 0 && t('tool_empty')}
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
          text={question.confirm}
          held={held(question.action)}
          onAnswer={(yes) => {
            ask(null)
            if (yes) act(question)
          }}
        />
      )}
    </section>
  )
}

/** What a button does with the panel as it was when it was pressed; `confirm` is the question that is asked first. */
interface Act {
  action: string
  confirm: string
  revision: number
  values: Record<string, Value>
}

const asksFor = (b: Block, { action, confirm }: Act) =>
  b.type === 'button' && b.action === action && b.confirm === confirm && !b.disabled

/**
 * Fields have ids of ours and no names: under a name or id of the tool's, such as `elements`, the form's own property
 * would be hidden.
 */
const fieldId = (tool: Tool, index: number) => `${tool.session}-${index}`

/** What the customer entered, by the fields' names. */
function entered(tool: Tool, form: HTMLFormElement | null): Record<string, Value> {
  const out: [string, Value][] = []
  for (const [i, b] of tool.blocks.entries()) {
    if (b.type !== 'field') continue
    const e = form?.elements.namedItem(fieldId(tool, i))
    if (e instanceof HTMLInputElement) out.push([b.name, e.type === 'checkbox' ? e.checked : e.value])
    else if (e instanceof HTMLTextAreaElement || e instanceof HTMLSelectElement) out.push([b.name, e.value])
  }
  return Object.fromEntries(out)
}

interface BlockProps<B = Block> {
  block: B
  id: string
  held: (action: string) => boolean
  press: (action: string, confirm: string) => void
}

function BlockView({ block: b, id, held, press }: BlockProps) {
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
          aria-disabled={held(b.action) || b.disabled}
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
                <button
                  type="button"
                  class="plain"
                  aria-disabled={held(i.action)}
                  onClick={() => press(i.action, '')}
                >
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
  const shared = { id, required: b.required, autoComplete: 'off' }
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
function Question({
  text,
  held,
  onAnswer,
}: {
  text: string
  held: boolean
  onAnswer: (yes: boolean) => void
}) {
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
        <button type="button" class="primary" aria-disabled={held} onClick={() => held || close(true)}>
          {t('yes')}
        </button>
      </div>
    </dialog>
  )
}
