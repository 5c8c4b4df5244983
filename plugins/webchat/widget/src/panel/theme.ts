// Colours computed from one accent, readable in light and dark (WCAG 2.2, 1.4.3): whatever a site
// picks, text on the accent and accent on the background have a contrast of at least 4.5 : 1.

export type RGB = [number, number, number]

export function parse(hex: string): RGB | null {
  const m = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(hex)
  return m ? (m.slice(1).map((x) => Number.parseInt(x, 16)) as RGB) : null
}

export function luminance(c: RGB): number {
  const [r, g, b] = c.map((v) => {
    const s = v / 255
    return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4
  }) as RGB
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

export function contrast(a: RGB, b: RGB): number {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number]
  return (x + 0.05) / (y + 0.05)
}

export function mix(a: RGB, b: RGB, share: number): RGB {
  return a.map((v, i) => Math.round(v + ((b[i] ?? 0) - v) * share)) as RGB
}

const white: RGB = [255, 255, 255]
const black: RGB = [17, 17, 20]

/** The colour for text on a colour: white if its contrast suffices, else near black. */
export function ink(c: RGB): RGB {
  return contrast(c, white) >= 4.5 ? white : black
}

/** The colour, moved towards white or black until it is readable on a background. */
export function readable(c: RGB, on: RGB): RGB {
  const target = luminance(on) > 0.5 ? black : white
  for (let share = 0; share < 1; share += 0.05) {
    const m = mix(c, target, share)
    if (contrast(m, on) >= 4.6) return m
  }
  return target
}

const css = (c: RGB) => `rgb(${c.join(' ')})`

/** The custom properties that panel.css uses. */
export function palette(accent: string, dark: boolean): Record<string, string> {
  const c = parse(accent) ?? [52, 81, 178]
  const paper: RGB = dark ? [24, 25, 29] : white
  const field: RGB = dark ? [38, 40, 46] : [241, 242, 245]
  // On a dark panel a very dark accent would not stand out from the paper.
  const fill = contrast(c, paper) < 1.6 ? mix(c, dark ? white : black, 0.3) : c
  return {
    '--accent': css(fill),
    '--on-accent': css(ink(fill)),
    '--accent-soft': css(mix(paper, fill, dark ? 0.22 : 0.1)),
    '--accent-text': css(readable(c, field)),
  }
}
