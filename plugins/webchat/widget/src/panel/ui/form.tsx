import { useRef, useState } from 'preact/hooks'
import { type Key, problem } from '../i18n'
import type { Field } from '../protocol'
import { useChat, useUi } from './context'

const known = new Set(['first_name', 'last_name', 'email', 'phone', 'subject', 'message'])
const autocomplete: Record<string, string> = {
  first_name: 'given-name',
  last_name: 'family-name',
  email: 'email',
  phone: 'tel',
}

function kindOf(f: Field): string {
  if (f.kind) return f.kind
  if (f.name === 'message') return 'textarea'
  return f.name === 'email' ? 'email' : f.name === 'phone' ? 'tel' : 'text'
}

/** A field called `elements` or `l` must not hide the form's own property, nor Preact's. */
const idOf = (f: Field) => `field-${f.name}`

/** The request form, drawn from the site's settings. */
export function RequestForm() {
  const { site, words, chat } = useUi()
  const { t, own } = words
  const state = useChat()
  const [faults, setFaults] = useState<Record<string, string>>({})
  const form = useRef<HTMLFormElement>(null)
  const fields = site.form.fields ?? []
  const label = (f: Field) =>
    own(`field_${f.name}`) ?? f.label ?? (known.has(f.name) ? t(f.name as Key) : f.name.replace(/_/g, ' '))

  const submit = (e: Event) => {
    e.preventDefault()
    const data = new FormData(form.current ?? undefined)
    const values: Record<string, string> = {}
    const wrong: Record<string, string> = {}
    for (const f of fields) {
      const value = String(data.get(idOf(f)) ?? '').trim()
      if (value) values[f.name] = value
      if (f.required && !value) wrong[f.name] = t('required')
      else if (value && kindOf(f) === 'email' && !/^\S+@\S+$/.test(value)) wrong[f.name] = t('email_wrong')
    }
    setFaults(wrong)
    const first = fields.find((f) => wrong[f.name])
    if (first) (form.current?.elements.namedItem(idOf(first)) as HTMLElement | null)?.focus()
    else chat.start(values)
  }

  return (
    <form class="request" ref={form} onSubmit={submit} noValidate>
      <div class="fields">
        <p class="welcome">{t('welcome')}</p>
        {state.problem && (
          <p class="fault" role="alert">
            {problem(t, state.problem, '')}
          </p>
        )}
        {fields.map((f) => {
          const id = idOf(f)
          const kind = kindOf(f)
          const fault = faults[f.name]
          const shared = {
            id,
            name: id,
            required: f.required ?? false,
            'aria-invalid': Boolean(fault),
            'aria-describedby': fault ? `${id}-fault` : undefined,
            autoComplete: autocomplete[f.name] ?? 'off',
          }
          return (
            <div
              class={`field ${f.name === 'first_name' || f.name === 'last_name' ? 'half' : ''}`}
              key={f.name}
            >
              <label for={id}>
                {label(f)} {!f.required && <small>({t('optional')})</small>}
              </label>
              {kind === 'textarea' ? (
                <textarea {...shared} rows={3} maxLength={f.name === 'message' ? site.max_text : 1000} />
              ) : kind === 'select' ? (
                <select {...shared}>
                  <option value="">{t('choose')}</option>
                  {f.options?.map((o) => (
                    <option key={o}>{o}</option>
                  ))}
                </select>
              ) : (
                <input {...shared} type={kind} maxLength={200} />
              )}
              {fault && (
                <p class="fault" id={`${id}-fault`}>
                  {fault}
                </p>
              )}
            </div>
          )
        })}
      </div>
      <footer>
        <button type="submit" class="primary wide">
          {t('start')}
        </button>
      </footer>
    </form>
  )
}
