// Takes the pictures of the README: node pictures.mjs (needs bin/parley).
import { mkdirSync } from 'node:fs'
import { ask, customer, desk, goReady, handset, launch, root, say, system, write } from './browser.mjs'

const images = `${root}docs/images/`
mkdirSync(images, { recursive: true })

/** A tent at dusk, drawn here. */
async function tent(page) {
  const url = await page.evaluate(() => {
    const c = Object.assign(document.createElement('canvas'), { width: 480, height: 320 })
    const g = c.getContext('2d')
    const shape = (color, ...points) => {
      g.fillStyle = color
      g.beginPath()
      for (const [x, y] of points) g.lineTo(x, y)
      g.fill()
    }
    const sky = g.createLinearGradient(0, 0, 0, 230)
    sky.addColorStop(0, '#3d5a80')
    sky.addColorStop(1, '#f2c9a1')
    g.fillStyle = sky
    g.fillRect(0, 0, 480, 230)
    shape('#5b6f8a', [0, 230], [120, 95], [215, 190], [310, 70], [480, 230])
    shape('#4b6b4f', [0, 225], [480, 215], [480, 320], [0, 320])
    shape('#d96c3b', [130, 275], [230, 140], [350, 275])
    shape('#b4532a', [230, 140], [350, 275], [400, 262], [285, 132])
    shape('#5a2a17', [205, 275], [232, 175], [262, 275])
    return c.toDataURL('image/png')
  })
  return { name: 'tent.png', mimeType: 'image/png', buffer: Buffer.from(url.split(',')[1], 'base64') }
}

/** Texts between a simulated phone and Ben, who logs out afterwards. */
async function texts(browser, sys, scheme) {
  const ben = await desk(browser, sys, 'ben', { scheme, ready: true })
  const log = ben.getByRole('log')
  const phone = await handset(browser, sys, '+15550100142', { scheme })
  await write(phone, 'Hi! A pole of my Rev 2 broke in the storm. Can I get one pole only?')
  await ben.getByRole('alertdialog', { name: 'SMS' }).getByRole('button', { name: 'Accept' }).click()
  await say(ben, 'Sorry to hear that! You can, poles come one by one. Would you send a picture?')
  await phone.bubble('theirs', 'one by one', 'delivered').waitFor()
  await phone.locator('#picture').setInputFiles(await tent(phone))
  await phone.locator('#files img').waitFor()
  await write(phone, 'It is the one in front')
  await log.getByText('It is the one in front').waitFor()
  await log.getByRole('button', { name: /Enlarge picture/ }).locator('img').waitFor()
  await say(ben, 'That is the short one. It leaves today, €14 with delivery.')
  await phone.bubble('theirs', 'leaves today', 'delivered').waitFor()
  await log.getByRole('button', { name: 'Delivered' }).nth(1).waitFor()
  await phone.bubble('mine', 'in front', 'delivered').waitFor()
  await ben.getByRole('textbox', { name: 'Message' }).fill('It goes to the address of your last order.')
  await ben.mouse.move(600, 400)
  await ben.screenshot({ path: `${images}sms-${scheme}.png` })
  await phone.locator('#text').blur()
  await phone.screenshot({ path: `${images}phone-${scheme}.png` })
  await ben.getByRole('button', { name: /Account menu of/ }).click()
  await ben.getByRole('menuitem', { name: 'Log out' }).click()
  await ben.getByRole('dialog').getByRole('button', { name: 'Log out' }).click()
  await ben.getByLabel('Login', { exact: true }).waitFor()
}

const browser = await launch()
for (const scheme of ['light', 'dark']) {
  const sys = await system()
  try {
    await texts(browser, sys, scheme)
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
