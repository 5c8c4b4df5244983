// Texts that cannot begin: each reason is given in clear words (SPEC N1, N17).

import { assert, axe, desk, gateway, goReady, picture, until } from '../browser.mjs';

export const name = 'texts refused: privilege, open thread, opted out, line down, lost answer, no senders';

const customer = '+4930901820';

/**
 * Goes through the reasons why a text cannot begin (N1, N17), and the places where texting is not
 * offered.
 */
export async function run(browser) {
  const fake = await gateway();
  const { world } = fake;
  const sue = await desk(browser, fake, 'sue');
  await sue.keyboard.press('Alt+w');
  await sue.keyboard.press('?');
  await sue.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  assert((await sue.getByText('Send SMS').count()) === 0, 'nothing of it without the privilege (N1)');
  await sue.context().close();

  const ben = await desk(browser, fake, 'ben');
  await goReady(ben);
  const c = world.smsStarts({ from: customer });
  await ben.getByRole('button', { name: 'Accept' }).click();
  await ben.getByRole('textbox', { name: 'Message' }).waitFor();
  const ana = await desk(browser, fake, 'ana');
  await ana.keyboard.press('Control+k');
  await ana.getByRole('combobox', { name: 'Command palette' }).waitFor();
  await ana.keyboard.type('send sms');
  await ana.getByRole('option', { name: /Send SMS/ }).waitFor();
  await ana.keyboard.press('Enter');
  const dialog = ana.getByRole('dialog', { name: 'Send SMS' });
  const number = dialog.getByRole('textbox', { name: 'Number' });
  await number.fill('0049 30 901820');
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await dialog.getByText('Ben Okafor has an open exchange with +49 30 901820.').waitFor();
  for (const scheme of ['light', 'dark']) {
    await ana.emulateMedia({ colorScheme: scheme });
    await picture(ana, `sms-thread-open-${scheme}`);
    await axe(ana, `thread open (${scheme})`);
  }
  world.joinable = false;
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await dialog.getByText('Ask Ben Okafor to invite you.').waitFor();
  assert((await dialog.getByRole('button', { name: 'Join' }).count()) === 0, 'no Join where it is refused');
  world.joinable = true;
  world.optedOut.add('+447700900222');
  await number.fill('+447700900222');
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await dialog.getByText('The customer opted out').waitFor();
  // The gateway refuses a number that looks right to the desktop.
  await number.fill('+49 999 1234567');
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await dialog.getByText('Messages cannot be sent to this number.').waitFor();
  await number.fill(customer);
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  fake.kill(3000);
  await dialog.getByText('You can send as soon as it is back.').waitFor();
  assert(await dialog.getByRole('button', { name: 'Send SMS' }).isDisabled(), 'not while the line is down');
  await picture(ana, 'sms-offline-dark');
  await dialog.getByText('You can send as soon as it is back.').waitFor({ state: 'detached' });
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await dialog.getByRole('button', { name: 'Join' }).click();
  await dialog.waitFor({ state: 'detached' });
  await ana.getByRole('heading', { name: customer, level: 1 }).waitFor();
  await until(() => c.joined.size === 2, 'both in it');

  // After a lost answer the same client id is sent again, so no second exchange begins.
  await ana.keyboard.press('Alt+w');
  await number.fill('+447700900333');
  await dialog.getByText('+44 7700 900333').waitFor();
  fake.breakAt = 'text';
  await number.press('Enter');
  await dialog.getByText('The connection broke').waitFor();
  await dialog.getByRole('button', { name: 'Send SMS' }).click();
  await dialog.waitFor({ state: 'detached' });
  await ana.getByRole('heading', { name: '+447700900333', level: 1 }).waitFor();
  const tries = fake.received.filter((f) => f.to === '+447700900333');
  assert(tries.length === 2 && tries[0].client_id === tries[1].client_id, 'one client id');

  // N1: beside a number the button is shown only where the service has text messages.
  world.agents.get(world.users[0].id).ready = true;
  for (const [service, shown] of [
    ['Sales', 0],
    ['Text Line', 1],
  ]) {
    world.customerStarts({ name: service, phone: '+447700900555', service });
    await ana.getByRole('button', { name: 'Open' }).click();
    await ana.getByRole('heading', { name: service, level: 1 }).waitFor();
    const icons = ana.getByRole('complementary').getByRole('button', { name: 'Send SMS to +447700900555' });
    assert((await icons.count()) === shown, `${shown} icons in a chat of ${service}`);
  }

  // The list of senders cannot be loaded, and then is empty.
  fake.noSenders = true;
  const again = await desk(browser, fake, 'ana');
  await again.getByRole('button', { name: 'Send SMS' }).click();
  await again.getByText('Your numbers cannot be loaded').waitFor();
  await axe(again, 'senders unavailable');
  fake.noSenders = false;
  world.german = world.lines[0];
  world.lines.length = 0;
  await again.getByRole('button', { name: 'Try again' }).click();
  await again.getByText('There is no number that you can text from.').waitFor();
  await axe(again, 'no senders');
  await again.evaluate(() => localStorage.setItem('parley.prefs', JSON.stringify({ language: 'de' })));
  world.lines.push(world.german);
  await again.reload();
  await again.getByRole('button', { name: 'SMS senden' }).click();
  await again.getByRole('textbox', { name: 'Nummer' }).fill('+49 30 901820');
  await again.getByText('Deutschland').waitFor();
  await picture(again, 'sms-dialog-de');
  await axe(again, 'the dialog in German');
  for (const p of [ana, ben, again]) assert(p.faults.length === 0, p.faults.join('\n'));
  await fake.close();
}
