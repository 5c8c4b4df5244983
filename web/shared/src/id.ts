/**
 * 128 random bits, URL-safe. crypto.randomUUID exists in secure contexts only, and a page over
 * plain HTTP is not one.
 */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}
