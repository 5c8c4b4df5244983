import { useEffect, useState } from 'preact/hooks'
import { Composer } from './composer'
import { useChat, useUi } from './context'
import { EndDialog } from './end'
import { RequestForm } from './form'
import { Header } from './header'
import { Log } from './log'
import { Tools } from './tools'

/** Which of the panel's views is shown. */
type Face = 'refused' | 'connecting' | 'form' | 'chat' | 'ended'

export function App() {
  const { words, chat, site } = useUi()
  const { t } = words
  const state = useChat()
  const { view, status, ready } = state
  const [ending, setEnding] = useState(false)
  const [dragging, setDragging] = useState(false)
  const starting = state.pending.some((p) => p.frame.t === 'start')

  let face: Face = 'chat'
  if (status === 'refused') face = 'refused'
  else if (!view.conversation && !starting) face = ready ? 'form' : 'connecting'
  else if (!view.open && !starting) face = 'ended'

  useEffect(() => {
    if (face !== 'chat') setEnding(false)
  }, [face])

  const files = site.max_file > 0 && face === 'chat' && view.open
  const drop = (e: DragEvent) => {
    setDragging(false)
    if (!files || !e.dataTransfer?.files.length) return
    e.preventDefault()
    for (const f of e.dataTransfer.files) chat.attach(f)
  }
  const over = (e: DragEvent) => {
    if (!files || !e.dataTransfer?.types.includes('Files')) return
    e.preventDefault()
    setDragging(true)
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping has a button beside it (WCAG 2.5.7)
    <div
      class="panel"
      onDragOver={over}
      onDragLeave={(e) => e.relatedTarget === null && setDragging(false)}
      onDrop={drop}
    >
      <Header canEnd={face === 'chat' && view.open} onEnd={() => setEnding(true)} />
      <Banner show={face !== 'refused' && (face !== 'connecting' || !navigator.onLine)} />
      <main>
        {face === 'form' && <RequestForm />}
        {face === 'connecting' && (
          <div class="center" role="status">
            <span class="spinner" />
            {t('connecting')}
          </div>
        )}
        {face === 'refused' && (
          <div class="center" role="alert">
            {t('refused')}
          </div>
        )}
        {(face === 'chat' || face === 'ended') && <Log starting={starting && !view.conversation} />}
        {face === 'chat' && <Tools />}
        {face === 'chat' && <Composer ready={view.open} files={files} />}
        {face === 'ended' && <Ended />}
      </main>
      {ending && <EndDialog onClose={() => setEnding(false)} />}
      {dragging && <div class="drop">{t('drop')}</div>}
    </div>
  )
}

/** Says that the connection is gone, once it has been gone for a moment. */
function Banner({ show }: { show: boolean }) {
  const { t } = useUi().words
  const { status } = useChat()
  const [late, setLate] = useState(false)
  const away = status === 'offline'
  useEffect(() => {
    if (!away) return setLate(false)
    const timer = setTimeout(() => setLate(true), 800)
    return () => clearTimeout(timer)
  }, [away])
  return (
    <div role="status" class="banner-place">
      {show && away && late && <div class="banner">{t(navigator.onLine ? 'reconnecting' : 'offline')}</div>}
    </div>
  )
}

function Ended() {
  const { words, chat } = useUi()
  return (
    <footer class="ended">
      <button type="button" class="primary wide" onClick={() => chat.fresh()}>
        {words.t('new_chat')}
      </button>
    </footer>
  )
}
