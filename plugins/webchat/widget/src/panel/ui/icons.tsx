// The icons are drawn here: 24 by 24, strokes of two units, hidden from screen readers.
const icon = (paths: string) => () => (
  <svg
    class="icon"
    viewBox="0 0 24 24"
    aria-hidden="true"
    focusable="false"
    dangerouslySetInnerHTML={{ __html: paths }}
  />
)

export const Close = icon('<path d="m6 6 12 12M18 6 6 18"/>')
export const Down = icon('<path d="m6 9 6 6 6-6"/>')
export const Send = icon(
  '<path d="M5 12 3 4.5c-.2-.8.6-1.4 1.3-1.1L21 11c.9.4.9 1.6 0 2L4.3 20.6c-.7.3-1.5-.3-1.3-1.100L5 12zm0 0h7"/>',
)
export const Clip = icon(
  '<path d="m20 11.5-8.3 8.300a5.3 5.3 0 0 1-7.5-7.500L12.5 4a3.5 3.5 0 0 1 5 5l-8.3 8.300a1.8 1.8 0 0 1-2.5-2.500l7.6-7.6"/>',
)
export const SoundOn = icon(
  '<path d="M11 5 6.5 9H3v6h3.500L11 19V5zM15 9.500a4 4 0 0 1 0 5M17.5 7a7.5 7.5 0 0 1 0 10"/>',
)
export const SoundOff = icon('<path d="M11 5 6.5 9H3v6h3.500L11 19V5zM16 9.500l5 5M21 9.500l-5 5"/>')
export const Gear = icon(
  '<circle cx="12" cy="12" r="3.2"/><path d="M12 2.500v3M12 18.500v3M21.5 12h-3M5.5 12h-3M18.7 5.300l-2.1 2.100M7.4 16.600l-2.1 2.100M18.7 18.700l-2.1-2.100M7.4 7.4 5.3 5.3"/>',
)
export const Doc = icon(
  '<path d="M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8l-5-5zM14 3v5h5"/>',
)
export const Check = icon('<path d="m5 12.5 4.5 4.500L19 7.5"/>')
export const Checks = icon('<path d="m2 12.5 4.5 4.500L16 7.500M11.5 17 21 7.5"/>')
export const Clock = icon('<circle cx="12" cy="12" r="8.5"/><path d="M12 7.500V12l3 2"/>')
export const Alert = icon('<circle cx="12" cy="12" r="9"/><path d="M12 7.500v5.500M12 16.500v.010"/>')
export const Bubble = icon(
  '<path d="M21 11.500a8.5 8.5 0 0 1-12.6 7.400L3 20.500l1.6-5.100A8.5 8.5 0 1 1 21 11.500z"/>',
)
