/**
 * How long to wait before the nth attempt to reconnect (n from 0), in milliseconds: short at first,
 * at most about 5 s.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const base = Math.min(5000, 250 * 2 ** Math.min(attempt, 5));
  // The random part keeps many desktops from connecting at the same instant after a restart.
  return Math.round(base * (0.75 + random() * 0.5));
}
