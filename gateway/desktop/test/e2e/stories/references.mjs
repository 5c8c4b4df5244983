// What refers to other messages: answers, changes, reactions, captions, a template's text, and texts that were replaced
// in the log; light and dark, with pictures and axe (DESIGN.md 3).

import { addFile } from '../../fake-gateway/server.mjs';
import { axe, desk, gateway, goReady, picture } from '../browser.mjs';
import { png } from '../pictures.mjs';

export const name = 'references: answers, edits, reactions, templates, replaced texts';

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
  const kim = { kind: 'customer' };
  const first = c.events.find((e) => e.type === 'message/1').head.id;
  let n = 0;
  const post = (author, parts, head = {}) => {
    const id = `m${++n}`;
    world.append(c, 'message/1', { id, author, kinds: parts.map((p) => p.kind), ...head }, { parts });
    return id;
  };
  const text = (t) => ({ kind: 'text', text: t });
  const answer = post(ana, [text('It leaves tomorow.')], { reply_to: first });
  post(ana, [{ kind: 'edit', edit: { message: answer, text: 'It leaves tomorrow.' } }]);
  post(kim, [{ kind: 'reaction', reaction: { message: answer, emoji: '👍' } }]);
  const slip = post(kim, [text('my card is 4111 1111')]);
  post(kim, [{ kind: 'revoke', revoke: { message: slip } }]);
  post(kim, [text('And this one?')], { reply_to: 'gone' });
  post(kim, [text('As I said')], { reply_to: slip });
  const file = addFile(world, 'label.png', 'image/png', png(320, 200));
  post(kim, [{ kind: 'file', file: { ...file, caption: 'The label of the parcel' } }]);
  const template = {
    name: 'order',
    language: 'en',
    placed: [{ place: 'body', text: '7' }],
    rendered: 'Parcel 7 is on its way',
  };
  post(ana, [{ kind: 'template', template }]);
  post(kim, [
    { kind: 'unsupported', raw: { kind: 'reaction', data: { kind: 'reaction', reaction: { emoji: '🎉' } } } },
  ]);

  await log.getByText('It leaves tomorrow.').waitFor();
  await log.getByText('Reply to Kim Lee').waitFor();
  await log.getByText('(edited)').waitFor();
  await log.getByText('👍').waitFor();
  await log.getByText('This message was taken back.').first().waitFor();
  await log.getByText('Reply to a message that is not available here.').waitFor();
  await log.getByText('The label of the parcel').waitFor();
  await log.getByText('Parcel 7 is on its way').waitFor();
  await log.getByText('(reaction to a message that is not available here)').waitFor();
  await axe(page, `references (${scheme})`);
  await picture(page, `references-${scheme}`);

  // A text that is replaced in the log is replaced on the desk.
  const asked = c.events.find((e) => e.type === 'message/1');
  asked.body = { ...asked.body, parts: [text('Where is my ######?')] };
  world.append(c, 'content.rewritten/1', { by: ana, seqs: [asked.seq], reason: 'masked', audience: 'agent' });
  await log.getByText('Where is my ######?').first().waitFor();
  await log.getByText('Where is my parcel?').first().waitFor({ state: 'detached' });
  await log.getByText('Parcel 7 is on its way').waitFor();
  await page.context().close();
  await fake.close();
}
