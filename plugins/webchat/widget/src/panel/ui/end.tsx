import { useEffect, useRef } from 'preact/hooks'
import { useUi } from './context'

/** Asks before a chat is ended. Focus stays inside and returns afterwards. */
export function EndDialog({ onClose }: { onClose: () => void }) {
  const { words, chat } = useUi()
  const { t } = words
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null
    ref.current?.showModal()
    return () => before?.isConnected && before.focus()
  }, [])
  return (
    <dialog ref={ref} onClose={onClose} aria-labelledby="end-question" aria-describedby="end-text">
      <h2 id="end-question">{t('end_question')}</h2>
      <p id="end-text">{t('end_text')}</p>
      <div class="buttons">
        <button type="button" class="plain" onClick={() => ref.current?.close()}>
          {t('cancel')}
        </button>
        <button
          type="button"
          class="primary"
          onClick={() => {
            chat.end()
            ref.current?.close()
          }}
        >
          {t('end_yes')}
        </button>
      </div>
    </dialog>
  )
}
