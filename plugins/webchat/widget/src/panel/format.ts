/** Seconds as minutes:seconds, "2:57"; with hours from one on. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(s / 3600)
  const m = Math.floor(s / 60) % 60
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`
}

/** Bytes for people, in steps of 1024 as file managers show them. */
export function bytes(n: number, locale: string): string {
  const units = ['B', 'KB', 'MB', 'GB']
  let i = 0
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024
    i++
  }
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: n < 10 && i > 0 ? 1 : 0 }).format(n)} ${units[i]}`
}

/** The time of day, with the day before it when that is not today. */
export function moment(at: string, locale: string, now: Date): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return ''
  const today = d.toDateString() === now.toDateString()
  return new Intl.DateTimeFormat(locale, {
    hour: 'numeric',
    minute: '2-digit',
    ...(!today && { day: 'numeric', month: 'short' }),
  }).format(d)
}

/** Two letters of a name; '' where there are none. */
export function initials(name: string): string {
  const all = name.trim().split(/\s+/).filter(Boolean)
  const pick = all.length > 1 ? [all[0], all.at(-1)] : all
  return pick
    .map((w) => [...(w ?? '')][0] ?? '')
    .join('')
    .toLocaleUpperCase()
}
