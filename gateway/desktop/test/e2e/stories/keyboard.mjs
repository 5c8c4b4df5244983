import { assert, axe, desk, gateway, picture, until } from '../browser.mjs';

export const name = 'keyboard: ready, accept, answer, end, finish without a mouse; small windows';

export async function run(browser) {
  const fake = await gateway();
  const { world } = fake;
  const page = await desk(browser, fake, 'ana');
  const focused = () =>
    page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName);
  const key = (k) => page.keyboard.press(k);

  // At the greatest typing speed, whatever opens has the focus before the next key.
  await key('Alt+s');
  await key('Enter');
  await page.getByRole('button', { name: /Your state: Ready/ }).waitFor();
  const c = world.customerStarts({ name: 'Kim' });
  await page.getByRole('alertdialog').waitFor();
  await key('Alt+a');
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  await until(() => c.joined.size === 1, 'the accept');
  await page.waitForFunction(() => document.activeElement?.id === 'composer-text');
  await page.keyboard.type('What does ? mean');
  assert((await page.getByRole('dialog').count()) === 0, '? in text is text');
  await key('Enter');
  await until(() => c.events.some((e) => e.body?.parts?.[0]?.text === 'What does ? mean'), 'the message');

  // No key that is meant for a menu or dialog goes into the draft below, or the other way round,
  // and the focus goes back afterwards.
  const draft = page.getByRole('textbox', { name: 'Message' });
  await page.keyboard.type('a draft');
  await key('Alt+s');
  await key('ArrowDown');
  await key('Enter');
  await page.getByRole('button', { name: /Your state: Busy.* then/ }).waitFor();
  await key('Alt+s');
  await key('Enter');
  await page.getByRole('button', { name: /Your state: Busy *$/ }).waitFor();
  await key('Alt+s');
  await key('Escape');
  await page.getByRole('menu').waitFor({ state: 'detached' });
  assert((await focused()) === 'Message', 'the menu gave the focus back');
  await key('Alt+s');
  await key('Tab');
  await page.getByRole('menu').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Account menu/ }).focus();
  await key('Enter');
  await key('Enter');
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  await key('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction(() => /^Account menu/.test(document.activeElement?.getAttribute('aria-label') ?? ''));
  await draft.focus();
  await key('Control+k');
  await page.keyboard.type('transf');
  await key('Enter');
  await page.getByRole('dialog', { name: 'Invite to this chat' }).waitFor();
  await key('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.activeElement?.id === 'composer-text');
  assert((await draft.inputValue()) === 'a draft', 'the draft is as it was');
  await draft.fill('');

  // A second chat is reached by Alt and its number, and left by the arrow keys.
  world.customerStarts({ name: 'Lee', text: 'hey' });
  await page.getByRole('button', { name: 'Open' }).waitFor();
  assert((await focused()) === 'Message', 'the alert does not take the focus');
  await key('Alt+o');
  await page.getByRole('heading', { name: 'Lee', level: 1 }).waitFor();
  await key('Alt+1');
  await page.getByRole('heading', { name: 'Kim', level: 1 }).waitFor();
  await key('Alt+ArrowDown');
  await page.getByRole('heading', { name: 'Lee', level: 1 }).waitFor();
  await key('Alt+ArrowUp');
  await key('Alt+e');
  await page.getByRole('region', { name: 'After-call work' }).waitFor();
  await page.getByRole('radio', { name: 'Solved' }).focus();
  await key('Space');
  await key('Tab');
  await page.keyboard.type('note');
  await key('Control+Enter');
  await until(() => c.phase === 'concluded', 'the end of the wrap-up');
  assert(c.events.find((e) => e.type === 'wrapup.ended/1').body.notes === 'note', 'notes by keyboard');

  // Shortcuts with other modifier keys, and none.
  await page.evaluate(() => {
    localStorage.setItem('parley.prefs', JSON.stringify({ shortcuts: 'off' }));
    window.dispatchEvent(new StorageEvent('storage', { key: 'parley.prefs' }));
  });
  await page.getByRole('log').focus();
  await key('?');
  await key('Alt+e');
  await page.waitForTimeout(300);
  assert((await page.getByRole('dialog').count()) === 0, 'switched off');
  await page.getByRole('heading', { name: 'Lee', level: 1 }).waitFor();

  // 200 % zoom of 1280x720, and a width of 320: everything is there without scrolling sideways.
  for (const [width, height, where] of [
    [640, 360, 'zoom-200'],
    [320, 640, 'width-320'],
  ]) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(200);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(wide <= width, `${where}: the page is ${wide} wide`);
    const send = await page.getByRole('button', { name: 'Send', exact: true }).boundingBox();
    assert(send && send.width >= 24 && send.height >= 24, `${where}: Send is there`);
    await picture(page, where);
    await axe(page, where);
    world.customerStarts({ name: 'Alert' });
    await page.getByRole('alertdialog').waitFor();
    await picture(page, `${where}-offer`);
    await axe(page, `${where} with an offer`);
    await page.getByRole('button', { name: 'Reject' }).click();
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    for (const x of world.conversations.values()) if (x.name === 'Alert') world.customerEnds(x.id);
    world.agents.get(world.users[0].id).pending = '';
    await page.getByRole('button', { name: 'Show contact' }).click();
    await page.getByRole('dialog', { name: 'Contact' }).waitFor();
    await axe(page, `${where} with the contact`);
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }
  assert(page.faults.length === 0, page.faults.join('\n'));
  await fake.close();
}
