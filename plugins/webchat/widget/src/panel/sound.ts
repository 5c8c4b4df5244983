// A short tone of two notes, computed here, so that no file is loaded.

let context: AudioContext | undefined

/** Browsers play sounds only after a gesture; call this in a gesture's handler. */
export function unlock(): void {
  try {
    context ??= new AudioContext()
    void context.resume()
  } catch {}
}

export function tone(): void {
  if (context?.state !== 'running') return
  const at = context.currentTime
  for (const [i, hz] of [660, 880].entries()) {
    const osc = context.createOscillator()
    const gain = context.createGain()
    const from = at + i * 0.11
    osc.frequency.value = hz
    gain.gain.setValueAtTime(0, from)
    gain.gain.linearRampToValueAtTime(0.12, from + 0.02)
    gain.gain.exponentialRampToValueAtTime(0.001, from + 0.28)
    osc.connect(gain).connect(context.destination)
    osc.start(from)
    osc.stop(from + 0.3)
  }
}
