// An agent begins a text and sees its delivery status, light and dark, with pictures and axe (SPEC
// N).

import { addFile } from '../../fake-gateway/server.mjs';
import { assert, axe, desk, gateway, picture, until } from '../browser.mjs';
import { png } from '../pictures.mjs';

export const name = 'texts: begin, count, statuses, settle, opt-out, offer';

const customer = '+4930901820';

export async function run(browser) {
  for (const scheme of process.env.SCHEME ? [process.env.SCHEME] : ['light', 'dark']) await begin(browser, scheme);
}

/**
 * An agent who is Not Ready texts a number, using the keyboard only (N2), and sees the delivery
 * status of each message.
 */
async function begin(browser, scheme) {
  const look = async (p, where) => {
    await axe(p, `${where} (${scheme})`);
    await picture(p, `${where}-${scheme}`);
  };
  const fake = await gateway();
  const { world } = fake;
  const page = await desk(browser, fake, 'ben', { scheme });
  await page.getByRole('button', { name: 'Send SMS' }).waitFor();
  await page.keyboard.press('Alt+w');
  const dialog = page.getByRole('dialog', { name: 'Send SMS' });
  await dialog.waitFor();
  const number = dialog.getByRole('textbox', { name: 'Number' });
  await page.waitForFunction(() => document.activeElement?.getAttribute('type') === 'tel');
  await page.keyboard.press('Enter');
  await dialog.getByText('Type a number.').waitFor();
  await number.fill('12');
  await page.keyboard.press('Enter');
  await dialog.getByText('begin with +').waitFor();
  await look(page, 'sms-wrong');
  await number.fill('');
  await page.keyboard.type('+49 30 90 18 20');
  await dialog.getByText('+49 30 901820').waitFor();
  await dialog.getByText('Germany').waitFor();
  assert(
    (await dialog.getByRole('combobox', { name: 'From' }).locator('option').count()) === 2,
    'service and own number',
  );
  await look(page, 'sms-dialog');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: customer, level: 1 }).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === 'composer-text');
  await page.getByRole('button', { name: /Your state: Busy/ }).waitFor();
  const sent = fake.received.find((f) => f.cmd === 'text');
  assert(sent.to === customer && sent.service && !sent.account && sent.client_id, `sent ${JSON.stringify(sent)}`);
  const c = [...world.conversations.values()].at(-1);

  // N9-N11: the counter; an attachment does not count, and too long a text is not sent.
  const box = page.getByRole('textbox', { name: 'Message' });
  const log = page.getByRole('log');
  await page.keyboard.type('Hello Maria]');
  await page.getByText('13/160').waitFor();
  await box.fill('я');
  await page.getByText('1/70').waitFor();
  await box.fill('a'.repeat(190));
  await page.getByText('190 (2 messages)').waitFor();
  await page
    .locator('input[type=file]')
    .setInputFiles([{ name: 'lid.png', mimeType: 'image/png', buffer: png(900, 700) }]);
  await page.getByRole('list', { name: 'Attached files' }).getByText('lid.png').waitFor();
  await page.getByText('190 (2 messages)').waitFor();
  await box.fill('a'.repeat(1601));
  await page.getByText('Too long by 1').waitFor();
  assert(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled(), 'too long is not sent');
  await box.press('Enter');
  assert((await box.inputValue()).length === 1601, 'and stays where it is');
  await look(page, 'sms-too-long');
  await box.fill('Your new lid is on its way. Here is how it looks:');
  await box.press('Enter');
  await log.getByRole('button', { name: 'Enlarge picture lid.png' }).waitFor();
  await log.getByText('Accepted').waitFor();

  // N4, PR4, PR5: each message shows its own status, which never goes backwards.
  const say = async (text) => {
    const n = c.events.length;
    await box.fill(text);
    await box.press('Enter');
    await until(() => c.events.slice(n).some((e) => e.body?.parts?.[0]?.text === text), text);
  };
  world.status(c.id, 'delivered');
  world.status(c.id, 'sent');
  await log.getByRole('button', { name: 'Delivered' }).waitFor();
  world.replies(c.id, 'Great, thanks! Do I have to send the broken one back?');
  world.customerSays(c.id, { file: addFile(world, 'broken.png', 'image/png', png(700, 500)) });
  await say('No, you may keep it.');
  world.status(c.id, 'sent');
  await say('We also have a spare handle for you.');
  world.status(c.id, 'failed', { kind: 'address', code: '30005', text: 'Unknown destination handset' });
  await say('It comes with the lid.');
  world.status(c.id, 'failed', { kind: 'temporary', code: 'deadline' });
  await say('Is there anything else?');
  world.status(c.id, 'unknown', { kind: 'internal', code: 'plugin_lost' });
  await log.getByRole('button', { name: 'Unknown' }).waitFor();
  await log.getByRole('button', { name: 'Failed · 30005' }).click();
  const detail = page.getByRole('dialog', { name: /Failed/ });
  await detail.getByText('Unknown destination handset').waitFor();
  await look(page, 'sms-failed');
  await page.keyboard.press('Escape');
  await detail.waitFor({ state: 'detached' });
  await log.getByRole('button', { name: 'Expired' }).waitFor();

  // The agent settles a message of unknown status; sending it again asks for confirmation first.
  const unknown = log.getByRole('button', { name: 'Unknown' });
  await unknown.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'It was sent' }).waitFor();
  await look(page, 'sms-unknown');
  await page.getByRole('button', { name: 'Send it again' }).press('Enter');
  await page.getByText('The customer may get it twice.').waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent === 'Cancel');
  await look(page, 'sms-resend');
  assert(!fake.received.some((f) => f.cmd === 'settle'), 'nothing is settled before the confirmation');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'It was sent' }).press('Enter');
  await until(() => fake.received.some((f) => f.cmd === 'settle' && f.outcome === 'sent'), 'the settling');
  await unknown.waitFor({ state: 'detached' });
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.activeElement?.textContent === 'Sent');
  await box.focus();
  await look(page, 'sms-chat');

  // After the customer has opted out there is a note, and the agent cannot write until the customer
  // opts in again.
  await box.fill('a draft');
  world.consent(c.id, true, 'STOP');
  await log.getByText('opted out (STOP)').waitFor();
  await page.getByText('They can text START').waitFor();
  assert(await box.isDisabled(), 'closed while opted out');
  await look(page, 'sms-opted-out');
  world.consent(c.id, false, 'START');
  await log.getByText('opted in again').waitFor();
  assert((await box.inputValue()) === 'a draft' && !(await box.isDisabled()), 'the draft is kept');

  // Likewise when the provider says that the time for free replies is over, and when it opens a window again.
  world.window(c.id, new Date(Date.now() + 3_600_000));
  await page.getByText('The customer can be written to freely until').waitFor();
  await look(page, 'reply-window-ends');
  world.window(c.id, null);
  await page.getByText('the channel takes only templates').waitFor();
  assert(await box.isDisabled(), 'closed outside the reply window');
  await look(page, 'reply-window-over');
  world.window(c.id, new Date(Date.now() + 86_400_000));
  await page.getByText('the channel takes only templates').waitFor({ state: 'detached' });
  assert((await box.inputValue()) === 'a draft' && !(await box.isDisabled()), 'the draft is kept');

  // A text is offered like a chat (N8): with the title, and the number as the customer's name.
  world.agents.get(world.users[1].id).ready = true;
  const offered = world.smsStarts({ from: '+447700900123', text: 'Is my table free?', queuedFor: 61_000 });
  const alert = page.getByRole('alertdialog', { name: 'SMS' });
  await alert.getByText('+447700900123').waitFor();
  await alert.getByText('Text Line').waitFor();
  await look(page, 'sms-offer');
  await alert.getByRole('button', { name: 'Open' }).click();
  await page.getByRole('heading', { name: '+447700900123', level: 1 }).waitFor();
  await until(() => offered.joined.size === 1, 'the accept');
  assert(page.faults.length === 0, page.faults.join('\n'));
  await page.context().close();
  await fake.close();
}
