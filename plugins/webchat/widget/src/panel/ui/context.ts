import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import type { Chat, State } from '../chat'
import type { Words } from '../i18n'
import type { Site } from '../protocol'

/** What every part of the panel may use. */
export interface Ui {
  site: Site
  title: string
  words: Words
  chat: Chat
  pageUrl: () => string
  close: () => void
  sound: { on: boolean; possible: boolean; toggle: () => void }
  framed: boolean
}

export const UiContext = createContext<Ui | null>(null)

export function useUi(): Ui {
  const ui = useContext(UiContext)
  if (!ui) throw new Error('no context')
  return ui
}

export function useChat(): State {
  const { chat } = useUi()
  const [state, set] = useState(chat.state)
  useEffect(() => {
    set(chat.state)
    return chat.subscribe(() => set(chat.state))
  }, [chat])
  return state
}

/** The current second, for clocks; stands still while off. */
export function useSeconds(on: boolean): number {
  const [now, set] = useState(Date.now())
  useEffect(() => {
    if (!on) return
    set(Date.now())
    const timer = setInterval(() => set(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [on])
  return now
}
