// Notes, and who supervises: told apart from messages, spoken as notes; light and dark, with pictures and axe (H2, H3).

import { axe, desk, gateway, goReady, picture } from '../browser.mjs';

export const name = 'supervision: notes, who coaches and who takes part';

export async function run(browser) {
  for (const scheme of process.env.SCHEME ? [process.env.SCHEME] : ['light', 'dark']) await show(browser, scheme);
}

async function show(browser, scheme) {
  const fake = await gateway();
  const { world } = fake;
  const page = await desk(browser, fake, 'ana', { scheme });
  await goReady(page);
  const c = world.customerStarts({ name: 'Kim Lee', text: 'Where is my parcel?' });
  await page.getByRole('alertdialog').getByRole('button', { name: 'Accept' }).click();
  const log = page.getByRole('log');
  await log.getByText('Where is my parcel?').waitFor();

  const ana = c.events.find((e) => e.type === 'participant.joined/1').head.who;
  const sue = { kind: 'supervisor', agent: 'sue' };
  const supervises = (mode) =>
    world.append(c, 'supervisor.joined/1', { agent: 'sue', mode, audience: 'agent' }, { name: 'Sue Martin' });
  const leaves = (mode) =>
    world.append(c, 'supervisor.left/1', { agent: 'sue', mode, cause: 'supervisor', audience: 'agent' });
  const note = (author, n, name) =>
    world.append(c, 'note/1', { id: n, author, kinds: ['text'] }, { name, parts: [{ kind: 'text', text: n }] });

  supervises('coach');
  await log.getByText('Sue Martin is coaching: the customer does not see it').waitFor();
  const people = page.getByRole('listitem').filter({ hasText: 'Sue Martin (supervisor, coaching)' });
  await people.waitFor();
  note(sue, 'Offer the express delivery.', 'Sue Martin');
  await log.getByText('Internal note: Sue Martin').waitFor();
  await page
    .locator('[aria-live=polite]', { hasText: 'Internal note, Sue Martin: Offer the express' })
    .waitFor({ state: 'attached' });
  note(ana, 'Will do.', 'Ana');
  await log.getByText('Internal note: You').waitFor();
  world.append(
    c,
    'message/1',
    { id: 'm1', author: ana, kinds: ['text'] },
    { name: 'Ana', parts: [{ kind: 'text', text: 'I send it by express.' }] },
  );
  await log.getByText('I send it by express.').waitFor();
  await axe(page, `supervision (${scheme})`);
  await picture(page, `supervision-${scheme}`);

  leaves('coach');
  await log.getByText('Sue Martin supervises no more').waitFor();
  await people.waitFor({ state: 'detached' });
  await page.context().close();
  await fake.close();
}
