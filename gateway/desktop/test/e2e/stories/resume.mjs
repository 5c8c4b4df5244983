import { assert, desk, gateway, goReady, until } from '../browser.mjs';

export const name = 'resume: reload, lost lines, lost answers, sleep: nothing lost, nothing doubled';

export async function run(browser) {
  const fake = await gateway();
  const { world } = fake;
  const page = await desk(browser, fake, 'ana');
  await goReady(page);
  const first = world.customerStarts({ name: 'First' });
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('heading', { name: 'First', level: 1 }).waitFor();
  const second = world.customerStarts({ name: 'Second' });
  await page.getByRole('button', { name: 'Open' }).click();
  await page.getByRole('heading', { name: 'Second', level: 1 }).waitFor();
  for (let i = 1; i <= 60; i++) world.customerSays(second.id, { text: `line ${i}` });
  const log = page.getByRole('log');
  const box = page.getByRole('textbox', { name: 'Message' });
  await log.getByText('line 60').waitFor();

  // After a reload focus, draft and place in the transcript are the same.
  await box.fill('a draft');
  await log.evaluate((el) => {
    el.scrollTop = el.scrollHeight / 2;
  });
  await page.getByRole('button', { name: 'Latest messages' }).waitFor();
  await page.waitForTimeout(300);
  const seen = await firstLine(page);
  await page.reload();
  await page.getByRole('heading', { name: 'Second', level: 1 }).waitFor();
  assert((await box.inputValue()) === 'a draft', 'the draft is back');
  await page.waitForTimeout(500);
  const back = await firstLine(page);
  assert(Math.abs(back - seen) <= 2, `scrolled to line ${back}, was at ${seen}`);
  await page.getByRole('button', { name: 'Latest messages' }).click();
  await log.getByText('line 60').waitFor();
  await page.getByText('Your browser keeps this page silent').waitFor({ state: 'detached' });

  // While the gateway is away, what the agent sends waits; what the customer sends comes
  // afterwards.
  fake.kill(3000);
  await page.getByText('Reconnecting…').waitFor();
  await box.fill('while away');
  await box.press('Enter');
  await log.getByText('Waiting for the connection…').waitFor();
  world.customerSays(second.id, { text: 'meanwhile' });
  world.customerSays(first.id, { text: 'from the first' });
  await log.getByText('meanwhile').waitFor();
  await log.getByText('Sent', { exact: true }).waitFor();
  const said = (text) => second.events.filter((e) => e.body?.parts?.[0]?.text === text).length;
  await until(() => said('while away') === 1, 'the message after the line came back');
  await page.getByRole('button', { name: /^First, .*unread/ }).waitFor();

  // The answer to a message is lost with the connection: the message is sent again and appears
  // once.
  fake.breakAt = 'send';
  await box.fill('acked nowhere');
  await box.press('Enter');
  const tries = () => fake.received.filter((f) => f.cmd === 'send' && f.parts[0].text === 'acked nowhere');
  await until(() => tries().length === 2, 'the second try');
  await log.getByText('Sending…').waitFor({ state: 'detached' });
  assert(said('acked nowhere') === 1, 'sent again, yet one message');
  assert((await log.getByText('acked nowhere').count()) === 1, 'shown once');

  // The gateway sends nothing any more, as after a sleep: this is noticed when the page wakes.
  fake.mute = true;
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await page.getByText('The gateway does not answer.').waitFor({ timeout: 15_000 });
  fake.mute = false;
  await page.getByText('Reconnecting…').waitFor({ state: 'detached' });
  world.customerSays(second.id, { text: 'awake again' });
  await log.getByText('awake again').waitFor();

  // The session is over: the login says so, and the draft is there after the next login.
  await box.fill('kept over the login');
  fake.sessions.clear();
  fake.kill();
  await page.getByText('You have been logged out.').waitFor();
  await page.getByLabel('Login', { exact: true }).fill('ana');
  await page.getByLabel('Password', { exact: true }).fill('parley-demo');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Second', level: 1 }).waitFor();
  assert((await box.inputValue()) === 'kept over the login', 'the draft outlives the session');

  // The route is the same after a reload, too.
  await page.getByRole('link', { name: 'Recent' }).click();
  await page.getByRole('link', { name: /Second/ }).click();
  await page.getByRole('log').waitFor();
  await page.reload();
  await page.getByRole('log').waitFor();
  assert(page.url().includes(`/recent/${second.id}`), 'the route is kept');
  assert(page.faults.length === 0, page.faults.join('\n'));
  await fake.close();
}

/** The number in the topmost line in view. */
function firstLine(page) {
  return page.getByRole('log').evaluate((el) => {
    const top = el.getBoundingClientRect().top;
    for (const row of el.querySelectorAll('[data-item-index]')) {
      const line = /line (\d+)/.exec(row.textContent ?? '');
      if (line && row.getBoundingClientRect().bottom > top + 4) return Number(line[1]);
    }
    return -1;
  });
}
