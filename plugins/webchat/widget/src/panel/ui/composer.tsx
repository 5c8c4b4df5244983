import { useEffect, useRef, useState } from 'preact/hooks'
import { useUi } from './context'
import { Clip, Send } from './icons'

/** Where the customer writes. Enter sends, Shift+Enter starts a new line. */
export function Composer({ ready, files }: { ready: boolean; files: boolean }) {
  const { words, chat, site } = useUi()
  const { t } = words
  const [text, setText] = useState('')
  const area = useRef<HTMLTextAreaElement>(null)
  const picker = useRef<HTMLInputElement>(null)

  // The focus moves only if it is in the panel already: when a page opens its chat again by itself,
  // the focus stays in the page.
  useEffect(() => {
    if (document.hasFocus()) area.current?.focus({ preventScroll: true })
  }, [])
  useEffect(() => {
    const e = area.current
    if (!e) return
    e.style.height = 'auto'
    e.style.height = `${Math.min(e.scrollHeight, 132)}px`
  }, [text])

  const send = () => {
    const trimmed = text.trim()
    if (!trimmed) return
    chat.say(trimmed)
    setText('')
    area.current?.focus()
  }
  const attach = (list: FileList | null | undefined) => {
    for (const f of list ?? []) chat.attach(f)
  }
  return (
    <footer class="composer">
      {files && (
        <>
          <input
            type="file"
            multiple
            hidden
            ref={picker}
            onChange={() => {
              attach(picker.current?.files)
              if (picker.current) picker.current.value = ''
            }}
          />
          <button
            type="button"
            class="tool"
            aria-label={t('attach')}
            title={t('attach')}
            onClick={() => picker.current?.click()}
          >
            <Clip />
          </button>
        </>
      )}
      <textarea
        ref={area}
        rows={1}
        value={text}
        maxLength={site.max_text}
        aria-label={t('input')}
        placeholder={t('placeholder')}
        enterkeyhint="send"
        dir="auto"
        onInput={(e) => {
          setText(e.currentTarget.value)
          if (ready) chat.typed(e.currentTarget.value !== '')
        }}
        onKeyDown={(e) => {
          if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return
          e.preventDefault()
          send()
        }}
        onPaste={(e) => {
          if (!files || !e.clipboardData?.files.length) return
          e.preventDefault()
          attach(e.clipboardData.files)
        }}
      />
      <button
        type="button"
        class="send"
        aria-label={t('send')}
        title={t('send')}
        aria-disabled={!text.trim()}
        onClick={send}
      >
        <Send />
      </button>
    </footer>
  )
}
