// Takes the pictures of the README: node pictures.mjs (needs bin/parley).
import { mkdirSync } from 'node:fs'
import { ask, customer, desk, goReady, launch, root, say, system } from './browser.mjs'

const images = `${root}docs/images/`
mkdirSync(images, { recursive: true })
const browser = await launch()
for (const scheme of ['light', 'dark']) {
  const sys = await system()
  try {
    const ana = await desk(browser, sys, 'ana', { scheme })
    await goReady(ana)
    const alert = ana.getByRole('alertdialog', { name: 'Web Chat' })
    const log = ana.getByRole('log')
    const cora = await customer(browser, sys, { scheme })
    await ask(cora, 'Cora', 'Hello! Does the Rev 2 come with a groundsheet?')
    await alert.getByRole('button', { name: 'Accept' }).click()
    await log.getByText('groundsheet').waitFor()
    await say(ana, 'Hello Cora! It does: the groundsheet is in the bag, with two spare pegs.')
    await cora.panel.getByText('two spare pegs').waitFor()
    await say(cora, 'Lovely. And how long does delivery to Tromsø take?')
    await log.getByText('Tromsø').waitFor()
    await cora.getByRole('link', { name: /Delivery/ }).first().click()
    await cora.panel.getByText('Tromsø').waitFor()
    const dan = await customer(browser, sys, { scheme })
    await ask(dan, 'Dan', 'My order arrived without the poles')
    await alert.getByRole('button', { name: 'Accept' }).click()
    await say(dan, 'The box was open, by the way.')
    await ana.getByText('The box was open').first().waitFor()
    await say(ana, 'Three working days, and free of charge above €60.')
    await cora.panel.getByText('Three working days').waitFor()
    const eve = await customer(browser, sys, { scheme })
    await ask(eve, 'Eve', 'Is the tarp still made?')
    await alert.getByRole('button', { name: 'Open' }).waitFor()
    await ana.waitForTimeout(600) // the alert has slid in
    await ana.screenshot({ path: `${images}desktop-${scheme}.png` })
    await cora.screenshot({ path: `${images}widget-${scheme}.png` })
  } finally {
    for (const c of browser.contexts()) await c.close()
    await sys.close()
  }
}
await browser.close()
