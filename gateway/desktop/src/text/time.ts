import { clock as clockOf } from '@parley/shared/format';

/** A duration as people read it on a clock: 0:07, 12:30, 1:02:03. Negative counts as zero. */
export function clock(ms: number): string {
  return clockOf(ms / 1000);
}

/** What is left of a time, rounded up, so that "0:00" means that it is over. */
export function remaining(ms: number): string {
  return clock(Math.ceil(Math.max(0, ms) / 1000) * 1000);
}

/** Minutes and seconds with the hours in the minutes, as the Q text has it (A4): "2:57", "75:03". */
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

/** The reader's own region, where it speaks the desk's language: English in Europe has a 24-hour clock. */
function regional(language: string): string {
  return navigator.languages.find((l) => l === language || l.startsWith(`${language}-`)) ?? language;
}

/** Formatters are dear to make and asked for by every message. */
function format(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language + JSON.stringify(options);
  let f = formats.get(key);
  if (!f) {
    f = new Intl.DateTimeFormat(regional(language), options);
    formats.set(key, f);
  }
  return f;
}
