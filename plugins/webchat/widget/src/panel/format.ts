/** A size in bytes as people read it, in steps of 1024 as file managers use. */
export function bytes(n: number, locale: string): string {
  const units = ['B', 'KB', 'MB', 'GB']
  let i = 0
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024
    i++
  }
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: n < 10 && i > 0 ? 1 : 0 }).format(n)} ${units[i]}`
}

/** The time of day; with the day before it if that is not today. */
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
