import { clock as clockOf } from '@parley/shared/format';

/** A duration as a clock shows it: 0:07, 12:30, 1:02:03. Negative counts as zero. */
export function clock(ms: number): string {
  return clockOf(ms / 1000);
}

/** The time left, rounded up, so that "0:00" means that it is over. */
export function remaining(ms: number): string {
  return clock(Math.ceil(Math.max(0, ms) / 1000) * 1000);
}

/**
 * Minutes and seconds, hours counted as minutes, as the text about the queue shows them (A4):
 * "2:57", "75:03".
 */
export function queueTime(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, '0')}`;
}

/** Hour and minute of an RFC 3339 time in the reader's language and zone. */
export function timeOfDay(at: string, language: string): string {
  return format(language, { hour: '2-digit', minute: '2-digit' }).format(new Date(at));
}

export function dateAndTime(at: string, language: string): string {
  return format(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at));
}

/** A day for separators, e.g. "Monday, 23 November". */
export function dayName(at: string, language: string): string {
  return format(language, { weekday: 'long', day: 'numeric', month: 'long' }).format(new Date(at));
}

/** A size in bytes for people: 812 B, 14 kB, 3.2 MB. */
export function fileSize(bytes: number, language: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
  let n = bytes;
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: units[unit],
    unitDisplay: 'short',
    maximumFractionDigits: n < 10 && unit > 0 ? 1 : 0,
  }).format(n);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * The browser's regional form of the desktop's language, if it has one: English in Europe has a
 * 24-hour clock.
 */
function regional(language: string): string {
  return navigator.languages.find((l) => l === language || l.startsWith(`${language}-`)) ?? language;
}

/** A formatter is slow to make and every message needs one, so they are kept. */
function format(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language + JSON.stringify(options);
  let f = formats.get(key);
  if (!f) {
    f = new Intl.DateTimeFormat(regional(language), options);
    formats.set(key, f);
  }
  return f;
}
