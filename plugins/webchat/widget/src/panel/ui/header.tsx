import { useChat, useUi } from './context'
import { Bubble, Close, SoundOff, SoundOn } from './icons'
import { Avatar } from './message'

export function Header({ canEnd, onEnd }: { canEnd: boolean; onEnd: () => void }) {
  const { words, title, close, sound, framed } = useUi()
  const { t } = words
  const { view } = useChat()
  const names = Object.values(view.agents).filter(Boolean)
  return (
    <header>
      {names[0] && view.open ? (
        <Avatar name={names[0]} bot={false} />
      ) : (
        <span class="avatar brand">
          <Bubble />
        </span>
      )}
      <div class="titles">
        <h1>{title}</h1>
        {names.length > 0 && view.open && (
          <p>
            <span class="sr">{t('with')} </span>
            {names.join(', ')}
          </p>
        )}
      </div>
      {canEnd && (
        <button type="button" class="end" aria-label={t('end')} onClick={onEnd}>
          {t('end_short')}
        </button>
      )}
      {sound.possible && (
        <button
          type="button"
          class="tool"
          aria-pressed={sound.on}
          aria-label={t('sound')}
          title={t('sound')}
          onClick={sound.toggle}
        >
          {sound.on ? <SoundOn /> : <SoundOff />}
        </button>
      )}
      {framed && (
        <button type="button" class="tool" aria-label={t('close')} title={t('close')} onClick={close}>
          <Close />
        </button>
      )}
    </header>
  )
}
