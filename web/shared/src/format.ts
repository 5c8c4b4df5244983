/** Seconds as people read them on a clock: 0:07, 12:30, 1:02:03. Negative counts as zero. */
export function clock(seconds: number): string {
  const total = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(total % 60)}` : `${minutes}:${two(total % 60)}`;
}

/** Two letters of a name: of its first and its last word; '' if it has none. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  return [words[0], words.length > 1 && words.at(-1)]
    .map((w) => [...(w || '')][0] ?? '')
    .join('')
    .toLocaleUpperCase();
}
