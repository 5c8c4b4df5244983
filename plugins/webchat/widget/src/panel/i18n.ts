// Words. A site may override any key for any language in its settings
// (texts), and so add languages; what is missing falls back to English.

import type { Part } from './fold'

const en = {
  title: 'Chat with us',
  welcome: 'Hello! Tell us how we can help, and somebody will be with you.',
  first_name: 'First name',
  last_name: 'Last name',
  email: 'E-mail',
  phone: 'Phone',
  subject: 'Subject',
  message: 'How can we help?',
  optional: 'optional',
  start: 'Start chat',
  choose: 'Please choose',
  required: 'Please fill this in.',
  email_wrong: 'This does not look like an e-mail address.',
  starting: 'Starting your chat…',
  connecting: 'Connecting…',
  offline: 'You are offline. We send your messages when you are back.',
  reconnecting: 'Connection lost. Trying again…',
  refused: 'This chat is not available here.',
  waiting: 'We are finding somebody for you.',
  position: 'You are number {n} in the queue.',
  waited: 'Waiting for {time}',
  with: 'You are chatting with',
  joined: '{name} joined the chat.',
  joined_nameless: 'Somebody joined the chat.',
  left: '{name} left the chat.',
  left_nameless: 'Your chat partner left.',
  warned: 'Are you still there? Please send a message to keep this chat open.',
  ended: 'Chat session ended.',
  new_chat: 'Start a new chat',
  end: 'End chat',
  end_short: 'End',
  end_question: 'End this chat?',
  end_text: 'You can start a new one at any time.',
  end_yes: 'End chat',
  cancel: 'Cancel',
  close: 'Close chat window',
  menu: 'More',
  sound: 'Sound',
  log: 'Messages',
  input: 'Message',
  placeholder: 'Write a message…',
  send: 'Send',
  attach: 'Attach a file',
  drop: 'Drop files here',
  typing: '{name} is typing',
  typing_nameless: 'Somebody is typing',
  you: 'You',
  assistant: 'Assistant',
  agent: 'Agent',
  answers: 'Reply to',
  original_gone: 'a message that is not available',
  edited: 'edited',
  taken_back: 'This message was taken back.',
  reactions: 'Reactions',
  status_waiting: 'Waiting to be sent',
  status_sent: 'Sent',
  status_delivered: 'Delivered',
  status_read: 'Read',
  status_failed: 'Not sent',
  retry: 'Try again',
  discard: 'Discard',
  new_messages: 'New messages',
  new_window: 'opens in a new window',
  picture: 'Picture {name}',
  download: 'Download {name}',
  file_gone: 'This file is not available.',
  unsupported: 'This kind of message cannot be shown here.',
  uploading: 'Uploading {name}',
  err_too_large: 'The file is larger than {size}.',
  err_type: 'Files of this type are not accepted.',
  err_ended: 'The chat has ended.',
  err_banned: 'This chat is not available to you.',
  err_rate: 'Too many messages. Please wait a moment.',
  err_quota: 'Too many files for now. Please try again in an hour.',
  err_no_service: 'The chat is closed at the moment.',
  err_too_long: 'The text is too long.',
  tool: 'Shared with you',
  tool_asks: 'Please decide',
  tool_end: 'End this',
  tool_wait: 'One moment…',
  tool_empty: 'There is nothing to see at the moment.',
  tool_offline: 'You are offline. You can go on here when you are back.',
  tool_ended: 'What was shared here has ended. The chat goes on.',
  tool_lost: 'What was shared here was interrupted. The chat goes on.',
  yes: 'Yes',
  err_tool_fault: 'That is not possible now.',
  err_no_such_session: 'This has ended.',
  err_unavailable: 'There was no answer. Please try again.',
  err_rate_limited: 'That was too fast. Please wait a moment.',
  err_other: 'This did not work. Please try again.',
}

export type Key = keyof typeof en

const de: Record<Key, string> = {
  title: 'Chatten Sie mit uns',
  welcome: 'Guten Tag! Schreiben Sie uns Ihr Anliegen, gleich ist jemand für Sie da.',
  first_name: 'Vorname',
  last_name: 'Nachname',
  email: 'E-Mail',
  phone: 'Telefon',
  subject: 'Betreff',
  message: 'Wie können wir helfen?',
  optional: 'freiwillig',
  start: 'Chat starten',
  choose: 'Bitte wählen',
  required: 'Bitte ausfüllen.',
  email_wrong: 'Das sieht nicht nach einer E-Mail-Adresse aus.',
  starting: 'Der Chat wird gestartet…',
  connecting: 'Verbindung wird hergestellt…',
  offline: 'Sie sind offline. Ihre Nachrichten gehen hinaus, sobald Sie zurück sind.',
  reconnecting: 'Verbindung verloren. Neuer Versuch…',
  refused: 'Dieser Chat ist hier nicht verfügbar.',
  waiting: 'Wir suchen jemanden für Sie.',
  position: 'Sie sind Nummer {n} in der Warteschlange.',
  waited: 'Wartezeit {time}',
  with: 'Sie chatten mit',
  joined: '{name} ist dem Chat beigetreten.',
  joined_nameless: 'Jemand ist dem Chat beigetreten.',
  left: '{name} hat den Chat verlassen.',
  left_nameless: 'Ihr Gegenüber hat den Chat verlassen.',
  warned: 'Sind Sie noch da? Bitte schreiben Sie etwas, damit der Chat offen bleibt.',
  ended: 'Der Chat wurde beendet.',
  new_chat: 'Neuen Chat starten',
  end: 'Chat beenden',
  end_short: 'Beenden',
  end_question: 'Diesen Chat beenden?',
  end_text: 'Sie können jederzeit einen neuen beginnen.',
  end_yes: 'Beenden',
  cancel: 'Abbrechen',
  close: 'Chatfenster schließen',
  menu: 'Mehr',
  sound: 'Ton',
  log: 'Nachrichten',
  input: 'Nachricht',
  placeholder: 'Nachricht schreiben…',
  send: 'Senden',
  attach: 'Datei anhängen',
  drop: 'Dateien hier ablegen',
  typing: '{name} schreibt',
  typing_nameless: 'Jemand schreibt',
  you: 'Sie',
  assistant: 'Assistent',
  agent: 'Mitarbeiter',
  answers: 'Antwort auf',
  original_gone: 'eine Nachricht, die nicht verfügbar ist',
  edited: 'bearbeitet',
  taken_back: 'Diese Nachricht wurde zurückgenommen.',
  reactions: 'Reaktionen',
  status_waiting: 'Wartet auf Versand',
  status_sent: 'Gesendet',
  status_delivered: 'Zugestellt',
  status_read: 'Gelesen',
  status_failed: 'Nicht gesendet',
  retry: 'Erneut versuchen',
  discard: 'Verwerfen',
  new_messages: 'Neue Nachrichten',
  new_window: 'öffnet ein neues Fenster',
  picture: 'Bild {name}',
  download: '{name} herunterladen',
  file_gone: 'Diese Datei ist nicht verfügbar.',
  unsupported: 'Diese Art von Nachricht kann hier nicht angezeigt werden.',
  uploading: '{name} wird hochgeladen',
  err_too_large: 'Die Datei ist größer als {size}.',
  err_type: 'Dateien dieser Art werden nicht angenommen.',
  err_ended: 'Der Chat ist beendet.',
  err_banned: 'Dieser Chat steht Ihnen nicht zur Verfügung.',
  err_rate: 'Zu viele Nachrichten. Bitte warten Sie einen Moment.',
  err_quota: 'Zu viele Dateien. Bitte versuchen Sie es in einer Stunde noch einmal.',
  err_no_service: 'Der Chat ist zurzeit geschlossen.',
  err_too_long: 'Der Text ist zu lang.',
  tool: 'Mit Ihnen geteilt',
  tool_asks: 'Bitte entscheiden Sie',
  tool_end: 'Dies beenden',
  tool_wait: 'Einen Moment…',
  tool_empty: 'Im Moment gibt es hier nichts zu sehen.',
  tool_offline: 'Sie sind offline. Hier geht es weiter, wenn Sie zurück sind.',
  tool_ended: 'Was hier geteilt wurde, ist beendet. Der Chat geht weiter.',
  tool_lost: 'Was hier geteilt wurde, ist abgebrochen. Der Chat geht weiter.',
  yes: 'Ja',
  err_tool_fault: 'Das ist jetzt nicht möglich.',
  err_no_such_session: 'Das ist bereits beendet.',
  err_unavailable: 'Es kam keine Antwort. Bitte versuchen Sie es noch einmal.',
  err_rate_limited: 'Das war zu schnell. Bitte warten Sie einen Moment.',
  err_other: 'Das hat nicht geklappt. Bitte versuchen Sie es noch einmal.',
}

const builtIn: Record<string, Partial<Record<string, string>>> = { en, de }

export type T = (key: Key, values?: Record<string, string | number>) => string

/** Languages written from right to left. */
const rtl = /^(ar|arc|ckb|dv|fa|he|ks|ps|sd|ug|ur|yi)\b/i

export interface Words {
  t: T
  /** The site's own text for a key; undefined = none. */
  own: (key: string) => string | undefined
  /** For numbers and times: what was asked for. */
  locale: string
  /** The language that the words are really in, and its direction. */
  lang: string
  dir: 'ltr' | 'rtl'
}

/** Words for a BCP 47 tag: the site's, then the built-in ones, then English. */
export function words(locale: string, texts: Record<string, Record<string, string>> = {}): Words {
  const tag = locale || 'en'
  const base = tag.split('-')[0] ?? 'en'
  const find = (key: string, ...lists: (Partial<Record<string, string>> | undefined)[]) =>
    lists.find((l) => l?.[key])?.[key]
  const lang = texts[tag] || texts[base] || builtIn[base] ? tag : 'en'
  return {
    own: (key) => find(key, texts[tag], texts[base], builtIn[base] ? undefined : texts.en),
    t: (key, values = {}) =>
      (find(key, texts[tag], texts[base], builtIn[base], texts.en) ?? en[key]).replace(
        /\{(\w+)\}/g,
        (all, name: string) => String(values[name] ?? all),
      ),
    locale: tag,
    lang,
    dir: rtl.test(lang) ? 'rtl' : 'ltr',
  }
}

/** What to say of a part that cannot be shown. An attachment that could not be fetched is told from the rest. */
export function notShown(t: T, part: Part): string {
  return t(part.raw?.kind === 'media' ? 'file_gone' : 'unsupported')
}

/** The published code's words. */
export function problem(t: T, code: string, size: string): string {
  const key = `err_${code}`
  return t(key in en ? (key as Key) : 'err_other', { size })
}
