// Runs the stories: node run.mjs [name ...]. One browser, a fresh system for each.
import { readdirSync } from 'node:fs'
import { launch, picture, system } from './browser.mjs'

const wanted = process.argv.slice(2)
const files = readdirSync(new URL('./stories/', import.meta.url)).filter((f) => f.endsWith('.mjs')).sort()
const browser = await launch()
let passed = 0
let failed = 0
for (const file of files) {
  const story = await import(`./stories/${file}`)
  if (wanted.length > 0 && !wanted.some((w) => file.includes(w))) continue
  const began = Date.now()
  const sys = await system()
  try {
    await story.run(browser, sys)
    const faults = browser.contexts().flatMap((c) => c.pages()).flatMap((p) => p.faults ?? [])
    if (faults.length > 0) throw new Error(`pages complained:\n  ${faults.join('\n  ')}`)
    passed++
    console.log(`ok   ${story.name} (${((Date.now() - began) / 1000).toFixed(1)} s)`)
  } catch (err) {
    failed++
    console.log(`FAIL ${story.name}\n${err.stack}`)
    let n = 0
    for (const c of browser.contexts()) for (const p of c.pages()) await picture(p, `failed-${file}-${n++}`).catch(() => {})
    console.log(sys.log.slice(-15).join('\n'))
  } finally {
    for (const c of browser.contexts()) await c.close()
    await sys.close()
  }
}
await browser.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
