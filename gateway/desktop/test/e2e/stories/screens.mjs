// On every screen and every open dialog, light and dark, axe finds nothing (ux.md, accessibility
// gate); a picture of each is kept for people to look at.

import { addFile } from '../../fake-gateway/server.mjs';
import { assert, axe, desk, gateway, goReady, picture, until } from '../browser.mjs';
import { png } from '../pictures.mjs';

export const name = 'screens: axe finds nothing, light and dark, with dialogs open';

export async function run(browser) {
  for (const scheme of process.env.SCHEME ? [process.env.SCHEME] : ['light', 'dark']) await tour(browser, scheme);
}

async function tour(browser, scheme) {
  const fake = await gateway({ offerTimeout: 60_000 });
  const { world } = fake;
  const look = async (page, where) => {
    await picture(page, `${where}-${scheme}`);
    await axe(page, `${where} (${scheme})`);
  };
  const out = await (
    await browser.newContext({ viewport: { width: 1280, height: 720 }, colorScheme: scheme })
  ).newPage();
  await out.goto(fake.url);
  await out.getByRole('button', { name: 'Log in' }).waitFor();
  await look(out, 'login');
  await out.getByLabel('Login', { exact: true }).fill('ana');
  await out.getByLabel('Password', { exact: true }).fill('wrong');
  await out.keyboard.press('Enter');
  await out.getByText('Login or password is wrong.').waitFor();
  await look(out, 'login-error');
  await out.context().close();

  const page = await desk(browser, fake, 'ana', { scheme });
  await look(page, 'empty');
  await page.getByRole('button', { name: /Your state/ }).click();
  await page.getByRole('menuitem', { name: 'Lunch' }).waitFor();
  await look(page, 'state-menu');
  await page.keyboard.press('Escape');
  await goReady(page);

  const maria = world.customerStarts({
    name: 'Maria Santos',
    email: 'maria@example.org',
    text: 'Hi, my order 4711 arrived with a broken lid. See www.example.com/orders/4711',
    page: { url: 'https://shop.example.com/orders/4711', title: 'Order 4711 – Example Shop' },
    queuedFor: 177_000,
    subject: 'Broken lid',
    attributes: { 'Customer number': '88-1204', Tariff: 'Premium' },
  });
  await page.getByRole('alertdialog', { name: 'Web Chat' }).waitFor();
  await look(page, 'offer');
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  world.customerSays(maria.id, { text: 'Hello, I am the guide. I connect you to a colleague.', bot: true });
  world.customerSays(maria.id, { text: 'This is how it looks:' });
  world.customerSays(maria.id, { file: addFile(world, 'lid.png', 'image/png', png(1600, 1100)) });
  world.customerSays(maria.id, { file: addFile(world, 'invoice-4711.pdf', 'application/pdf', Buffer.alloc(48_211)) });
  const box = page.getByRole('textbox', { name: 'Message' });
  await box.fill('Good morning Maria, I am sorry about that. We will send you a new lid today.');
  await box.press('Enter');
  await until(() => maria.events.some((e) => e.head.author?.kind === 'agent'), 'the message');
  world.customerReads(maria.id, { read: maria.events.length });
  await box.fill('You will get the tracking number by e-mail.\nIs the address still the same?');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  world.customerVisits(maria.id, { url: 'https://shop.example.com/account', title: 'My account – Example Shop' });
  world.customerTypes(maria.id, true);

  const jo = world.customerStarts({ name: 'Jonas Weber', text: 'Is the blue one in stock again?', service: 'Sales' });
  await page.getByRole('button', { name: 'Open' }).waitFor();
  await look(page, 'offer-busy');
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  world.customerSays(jo.id, { text: 'Hello?' });
  const anon = world.customerStarts({ text: 'How do I reset my password?' });
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  world.customerPresent(anon.id, false);
  await page.getByRole('button', { name: 'Flag for a supervisor' }).click();
  world.warn(maria.id, 95_000);
  await page.getByText('The customer is idle.').waitFor();
  await look(page, 'chat');

  await page.getByRole('button', { name: 'Enlarge picture lid.png' }).click();
  await page.getByRole('button', { name: 'Zoom in' }).click();
  await look(page, 'picture');
  await page.keyboard.press('Escape');
  await page.getByRole('complementary').getByRole('button', { name: 'Invite' }).click();
  await page.getByRole('radio', { name: /Ben Okafor/ }).waitFor();
  await look(page, 'invite');
  await page.keyboard.press('Escape');
  for (const [open, where] of [
    [() => page.keyboard.press('Control+k'), 'palette'],
    [() => page.keyboard.press('?'), 'help'],
  ]) {
    await page.getByRole('log').focus();
    await open();
    await page.getByRole('dialog').waitFor();
    await look(page, where);
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }
  await page.getByRole('button', { name: 'Find contact' }).click();
  await page.getByRole('radio', { name: /Santos/ }).waitFor();
  await look(page, 'find-contact');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /Account menu/ }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await page.getByRole('dialog', { name: 'Log out with chats open?' }).waitFor();
  await look(page, 'logout');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /Account menu/ }).click();
  await look(page, 'account-menu');
  await page.getByRole('menuitem', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Test' }).waitFor();
  await look(page, 'settings');
  await page.getByText('Deutsch').click();
  await page.getByRole('dialog', { name: 'Einstellungen' }).waitFor();
  await look(page, 'settings-de');
  await page.getByText('English').click();
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  await page.keyboard.press('Escape');

  fake.kill(2500);
  await page.getByText('Reconnecting…').waitFor();
  await box.fill('This goes out as soon as the line is back.');
  await box.press('Enter');
  await look(page, 'reconnecting');
  await page.getByText('Reconnecting…').waitFor({ state: 'detached' });

  // An invitation that nobody answers, and what ending the chat then asks (T5).
  const ben = await desk(browser, fake, 'ben', { scheme });
  await page.getByRole('complementary').getByRole('button', { name: 'Invite' }).click();
  await page.getByRole('radio', { name: /Ben Okafor/ }).check();
  await page.getByRole('dialog').getByRole('button', { name: 'Invite' }).click();
  await page.getByText('Invitation rings').waitFor();
  await ben.getByText('Ana Petrova invites you').waitFor();
  await page.getByRole('complementary').getByRole('button', { name: 'End chat' }).click();
  await page.getByRole('dialog', { name: 'An invitation is still open' }).waitFor();
  await look(page, 'end-pending');
  await page.getByRole('button', { name: 'Take back and end' }).click();
  await page.getByRole('region', { name: 'After-call work' }).waitFor();
  await page.getByRole('button', { name: 'Finish' }).click();
  await look(page, 'wrapup');
  await page.getByRole('radio', { name: 'Solved' }).check();
  await page.getByLabel('Notes').fill('New lid sent.');
  await page.getByRole('button', { name: 'Finish' }).click();
  await page.getByRole('region', { name: 'After-call work' }).waitFor({ state: 'detached' });

  await page.getByRole('link', { name: 'Recent' }).click();
  await page.getByRole('link', { name: /Maria Santos/ }).click();
  await page.getByText('New lid sent.').waitFor();
  await look(page, 'recent');

  const sue = await desk(browser, fake, 'sue', { scheme });
  world.customerStarts({ name: 'Kim', service: 'Sales' });
  world.customerStarts({ name: 'Lee', service: 'Sales', queuedFor: 64_000 });
  await sue.getByRole('link', { name: 'Team board' }).click();
  await sue.getByRole('table', { name: 'Agents' }).waitFor();
  await look(sue, 'board');
  for (const p of [page, ben, sue]) assert(p.faults.length === 0, `console errors: ${p.faults.join('\n')}`);
  for (const p of [page, ben, sue]) await p.context().close();
  await fake.close();
}
