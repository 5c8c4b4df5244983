import { assert, desk, gateway, goReady } from '../browser.mjs';

export const name = 'sound: one tab rings, until the offer is gone; long transcripts stay small in the page';

// Counts tones where they start and stop, since nobody can listen here.
const spy = () => {
  window.tones = { started: 0, ringing: 0 };
  const proto = AudioBufferSourceNode.prototype;
  const { start, stop } = proto;
  proto.start = function (...args) {
    window.tones.started++;
    if (this.loop) window.tones.ringing++;
    return start.apply(this, args);
  };
  proto.stop = function (...args) {
    if (this.loop) window.tones.ringing--;
    return stop.apply(this, args);
  };
};

export async function run(browser) {
  const fake = await gateway();
  const { world } = fake;
  const page = await desk(browser, fake, 'ana');
  await page.addInitScript(spy);
  await page.reload();
  await goReady(page);
  const second = await page.context().newPage();
  await second.addInitScript(spy);
  await second.goto(fake.url);
  await second.getByText('You are ready').click();
  const ringing = () => Promise.all([page, second].map((p) => p.evaluate(() => window.tones.ringing)));

  const c = world.customerStarts({ name: 'Ring' });
  await second.getByRole('alertdialog').waitFor();
  await page.waitForTimeout(900); // by then both tabs could have rung
  const now = await ringing();
  assert(now[0] + now[1] === 1, `one tab rings, not ${now}`);
  await second.close();
  await page.waitForFunction(() => window.tones.ringing === 1);
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  await page.waitForFunction(() => window.tones.ringing === 0);
  const before = await page.evaluate(() => window.tones.started);
  world.customerSays(c.id, { text: 'ping' });
  await page.waitForFunction((n) => window.tones.started === n + 1, before);

  // Ten thousand messages at once, faster than a page draws them: the list's end stays in view,
  // also after a reload, and only rows in view are in the page.
  for (let i = 0; i < 10_000; i++) world.customerSays(c.id, { text: `message ${i}` });
  await page.getByRole('log').getByText('message 9999').waitFor({ timeout: 30_000 });
  const began = Date.now();
  await page.reload();
  await page.getByRole('log').getByText('message 9999').waitFor({ timeout: 30_000 });
  const took = Date.now() - began;
  const rows = await page.getByRole('log').locator('[data-item-index]').count();
  console.log(`      10,000 messages: on screen ${took} ms after a reload, ${rows} rows in the page`);
  assert(rows < 100, `${rows} rows in the page`);

  // An agent who has scrolled up stays there, and is told of new messages.
  await page.getByRole('log').hover();
  await page.mouse.wheel(0, -3000);
  await page.getByRole('button', { name: 'Latest messages' }).waitFor();
  world.customerSays(c.id, { text: 'one more' });
  await page.getByRole('button', { name: '1 new message' }).waitFor();
  await page.waitForTimeout(500); // by then the list would have gone to its end by itself
  assert((await page.getByRole('log').getByText('one more').count()) === 0, 'the list stays where it was scrolled to');
  await page.getByRole('button', { name: '1 new message' }).click();
  await page.getByRole('log').getByText('one more').waitFor();
  assert(page.faults.length === 0, page.faults.join('\n'));
  await fake.close();
}
