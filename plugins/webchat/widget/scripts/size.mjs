// Fails if the launcher, or what the panel loads first, is over its size budget.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const kB = 1000
const budgets = { launcher: 3 * kB, panel: 35 * kB }

const gz = (file) => gzipSync(readFileSync(new URL(`../dist/${file}`, import.meta.url)), { level: 9 }).length

const manifest = JSON.parse(readFileSync(new URL('../dist/.vite/manifest.json', import.meta.url), 'utf8'))
const first = new Set()
const gather = (chunk) => {
  if (!chunk || first.has(chunk.file)) return
  first.add(chunk.file)
  for (const css of chunk.css ?? []) first.add(css)
  for (const name of chunk.imports ?? []) gather(manifest[name])
}
for (const chunk of Object.values(manifest)) if (chunk.isEntry) gather(chunk)

const sizes = { launcher: gz('widget.js'), panel: [...first].reduce((sum, file) => sum + gz(file), 0) }
let over = false
for (const [name, size] of Object.entries(sizes)) {
  const bad = size > budgets[name]
  over ||= bad
  console.log(
    `${name}: ${(size / kB).toFixed(2)} kB gzip of ${budgets[name] / kB} kB${bad ? '  TOO LARGE' : ''}`,
  )
}
process.exit(over ? 1 : 0)
