// What waits in Recent: direct texts and replies to parked exchanges (SPEC O1, O2, N16), light and dark.

import { assert, axe, desk, gateway, goReady, picture, until } from '../browser.mjs';

export const name = 'texts in Recent: badge, visit, parked, take up, resume';

const customer = '+4930901820';

export async function run(browser) {
  for (const scheme of process.env.SCHEME ? [process.env.SCHEME] : ['light', 'dark']) await recent(browser, scheme);
}

/** Direct texts and parked exchanges: badge, Recent, Take up (O1, O2, N16). */
async function recent(browser, scheme) {
  const look = async (p, where) => {
    await axe(p, `${where} (${scheme})`);
    await picture(p, `${where}-${scheme}`);
  };
  const fake = await gateway();
  const { world } = fake;
  world.directText({ login: 'ben', from: '+447700900111', text: 'Are you in today?' });
  const page = await desk(browser, fake, 'ben', { scheme });
  const entry = page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: /Recent/ });
  await page.getByRole('link', { name: 'Recent 1 unread message' }).waitFor();
  await page.waitForFunction(() => document.title === '(1) Parley');
  await goReady(page);
  await page.evaluate(() => {
    window.tones = 0;
    const { start } = AudioBufferSourceNode.prototype;
    AudioBufferSourceNode.prototype.start = function (...args) {
      window.tones++;
      return start.apply(this, args);
    };
  });
  world.directText({ login: 'ben', from: '+447700900111', text: 'It is urgent' });
  await page.getByRole('link', { name: 'Recent 2 unread messages' }).waitFor();

  await page.waitForFunction(() => window.tones === 1);

  // An exchange of this agent goes idle and is parked; then the customer replies while the agent is
  // away.
  const c = world.smsStarts({ from: customer, text: 'When do you open?' });
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('textbox', { name: 'Message' }).fill('At nine.');
  await page.keyboard.press('Enter');
  await until(() => c.events.some((e) => e.head.author?.kind === 'agent'), 'the answer');
  world.status(c.id, 'delivered');
  await page.getByRole('button', { name: '2 unread messages wait in Recent' }).waitFor();
  await look(page, 'sms-badge');
  world.park(c.id);
  await page.getByText('No conversations').waitFor();
  await page.getByRole('button', { name: /Your state/ }).click();
  await page.getByRole('menuitem', { name: 'Lunch' }).click();
  await page.getByRole('button', { name: /Your state: Not Ready/ }).waitFor();
  world.replies(c.id, 'And on Sundays?');
  await page.getByRole('link', { name: 'Recent 3 unread messages' }).waitFor();

  // Visiting Recent removes the badge in all tabs; the entries stay marked during the visit.
  const other = await page.context().newPage();
  await other.goto(fake.url);
  await other.getByRole('link', { name: 'Recent 3 unread messages' }).waitFor();
  await page.bringToFront();
  await entry.click();
  await until(() => fake.received.some((f) => f.cmd === 'recent_seen'), 'the visit');
  await page.getByRole('link', { name: 'Recent', exact: true }).waitFor();
  await other.getByRole('link', { name: 'Recent', exact: true }).waitFor();
  await other.close();
  const line = page.getByRole('link', { name: /\+447700900111.*2 unread messages/ });
  await line.waitFor();
  await look(page, 'sms-recent');
  await line.click();
  const log = page.getByRole('log');
  await log.getByText('It is urgent').waitFor();
  await line.waitFor({ state: 'detached' }); // an exchange that is shown is no longer marked
  world.directText({ login: 'ben', from: '+447700900111', text: 'Hello?' });
  await log.getByText('Hello?').waitFor();
  await look(page, 'sms-parked');
  await page.getByRole('link', { name: new RegExp(`\\${customer}`) }).click();
  await log.getByText('And on Sundays?').waitFor();
  await page.getByRole('button', { name: 'Take up' }).press('Enter');
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  await page.getByRole('heading', { name: customer, level: 1 }).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === 'composer-text');
  await log.getByText('At nine.').waitFor();
  await until(() => c.joined.size === 1, 'the join');

  // After the exchange has ended, its number is texted again from the panel (N1, N2): number and
  // service are filled in.
  const panel = page.getByRole('complementary', { name: 'Contact' });
  assert(
    (await panel.getByRole('button', { name: /Send SMS to/ }).count()) === 0,
    'no second exchange with this number',
  );
  await panel.getByRole('button', { name: 'End chat' }).click();
  await page.getByText('No conversations').waitFor();
  await page.getByRole('link', { name: 'Recent', exact: true }).click();
  await page.getByRole('link', { name: new RegExp(`\\${customer}`) }).click();
  await look(page, 'sms-ended');
  await panel.getByRole('button', { name: `Send SMS to ${customer}` }).click();
  const dialog = page.getByRole('dialog', { name: 'Send SMS' });
  await dialog.getByText('+49 30 901820').waitFor();
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await page.getByRole('heading', { name: customer, level: 1 }).waitFor();

  // The connection breaks while a parked exchange is open: what was missed is there afterwards.
  await page.getByRole('link', { name: 'Recent', exact: true }).click();
  await page.getByRole('link', { name: /\+447700900111/ }).click();
  await log.getByText('Hello?').waitFor();
  fake.kill(1500);
  await page.getByText('Reconnecting…').waitFor();
  world.directText({ login: 'ben', from: '+447700900111', text: 'Still there?' });
  await log.getByText('Still there?').waitFor();
  assert(page.faults.length === 0, page.faults.join('\n'));
  await page.context().close();
  await fake.close();
}
