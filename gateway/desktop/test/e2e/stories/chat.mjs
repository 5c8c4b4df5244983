import { addFile } from '../../fake-gateway/server.mjs';
import { assert, desk, gateway, goReady, until } from '../browser.mjs';
import { png } from '../pictures.mjs';

export const name = 'chat: accept, talk, typing, marks, files, end, wrap-up, ready again';

export async function run(browser) {
  const fake = await gateway();
  const { world } = fake;
  const page = await desk(browser, fake, 'ana');
  await goReady(page);
  const c = world.customerStarts({
    name: 'Maria',
    text: 'Form text with https://example.com and example.org',
    page: { url: 'https://shop.example/a', title: 'First page' },
    queuedFor: 177_000,
  });

  // A2-A5: title, service, name, wait; accepting the only chat brings it into focus with its timer and contact.
  const alert = page.getByRole('alertdialog', { name: 'Web Chat' });
  await alert.getByText('Customer Service').waitFor();
  await alert.getByText('Maria').waitFor();
  await alert.getByText(/^Q 2:5\d$/).waitFor();
  assert((await alert.getByRole('button', { name: 'Open' }).count()) === 0, 'no Open without an active chat (A6)');
  await page.getByRole('button', { name: /Your state: Busy/ }).waitFor();
  await alert.getByRole('button', { name: 'Accept' }).click();
  await alert.waitFor({ state: 'detached' });
  const log = page.getByRole('log');
  await log.getByText('Form text with').waitFor();
  await log.getByText('You joined the chat').waitFor();
  const link = log.getByRole('link', { name: 'https://example.com' });
  assert((await link.getAttribute('rel')) === 'noopener noreferrer', 'links open without an opener (B8)');
  assert((await log.getByRole('link').count()) === 1, 'a bare domain is no link (B6)');

  // B5: the panel shows the page that the customer has open.
  const contact = page.getByRole('complementary', { name: 'Contact' });
  await contact.getByText('First page').waitFor();
  world.customerVisits(c.id, { url: 'javascript:alert(1)', title: 'Second page' });
  await contact.getByText('Second page').waitFor();
  assert((await contact.getByRole('link').count()) === 0, 'a page with another scheme is no link (B7)');

  // Typing and messages go both ways; messages are delivered and read.
  const box = page.getByRole('textbox', { name: 'Message' });
  await box.pressSequentially('Hel');
  await until(() => fake.received.some((f) => f.t === 'typing' && f.on), 'the agent’s typing');
  world.customerTypes(c.id, true);
  await log.getByText('Maria is typing…').waitFor();
  world.customerSays(c.id, { text: 'Second message' });
  await log.getByText('Second message').waitFor();
  await log.getByText('Maria is typing…').waitFor({ state: 'detached' });
  await until(() => fake.received.some((f) => f.cmd === 'mark' && f.read > 3), 'the read mark');
  await box.fill('Hello Maria,');
  await box.press('Shift+Enter');
  await box.pressSequentially('how can I help?');
  await box.press('Enter');
  await log.getByText('how can I help?').waitFor();
  const sent = () => c.events.findLast((e) => e.type === 'message/1' && e.head.author.kind === 'agent');
  await until(() => sent()?.body.parts[0].text === 'Hello Maria,\nhow can I help?', 'the two lines');
  world.customerReads(c.id, { delivered: sent().seq });
  await log.getByText('Delivered').waitFor();
  world.customerReads(c.id, { read: sent().seq });
  await log.getByText('Read', { exact: true }).waitFor();

  // P1-P3: attach by button, by drop and by pasting; a thumbnail opens large, with zoom if the
  // picture is larger than the window.
  await page.locator('input[type=file]').setInputFiles([
    { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') },
    { name: 'shot.png', mimeType: 'image/png', buffer: png(2000, 1400) },
  ]);
  await page.getByRole('list', { name: 'Attached files' }).getByText('shot.png').waitFor();
  await box.fill('Two files');
  await box.press('Enter');
  await log.getByRole('button', { name: 'Enlarge picture shot.png' }).waitFor();
  await log.getByRole('link', { name: /note\.txt/ }).waitFor();
  await until(() => sent()?.body.parts.length === 3, 'text and both files in one message');
  await page.getByRole('region', { name: 'Conversation with Maria' }).evaluate((region) => {
    const data = new DataTransfer();
    data.items.add(new File(['x'], 'dropped.txt', { type: 'text/plain' }));
    region.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await page.getByRole('list', { name: 'Attached files' }).getByText('dropped.txt').waitFor();
  await page.getByRole('button', { name: 'Remove dropped.txt' }).click();
  await box.evaluate((field) => {
    const data = new DataTransfer();
    data.items.add(new File(['y'], 'pasted.txt', { type: 'text/plain' }));
    field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await page.getByRole('list', { name: 'Attached files' }).getByText('pasted.txt').waitFor();
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await log.getByRole('link', { name: /pasted\.txt/ }).waitFor();
  world.customerSays(c.id, { file: addFile(world, 'small.png', 'image/png', png(60, 40)) });
  await log.getByRole('button', { name: 'Enlarge picture small.png' }).click();
  await page.getByRole('dialog', { name: 'small.png' }).waitFor();
  assert((await page.getByRole('button', { name: 'Zoom in' }).count()) === 0, 'no zoom for what fits (P3)');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await log.getByRole('button', { name: 'Enlarge picture shot.png' }).click();
  await page.getByRole('button', { name: 'Zoom in' }).click();
  await page.getByRole('link', { name: 'Open in a separate tab' }).waitFor();
  await page.keyboard.press('Escape');

  // A5: the conversation is linked to a known contact.
  await contact.getByRole('button', { name: 'Find contact' }).click();
  await page.getByRole('radio', { name: /Santos/ }).check();
  await page.getByRole('button', { name: 'Link contact' }).click();
  await contact.getByText('Santos Ceramics').waitFor();

  // Q1, Q2, R4: the customer is warned, the chat ends, after-call work needs a disposition, and the
  // agent is Ready again.
  world.warn(c.id, 60_000);
  await log.getByText('Are you still there?').waitFor();
  world.customerEnds(c.id, 'inactivity');
  await log.getByText('Chat session ended.').waitFor();
  await page.getByRole('button', { name: /Your state: After-call work/ }).waitFor();
  await page.getByRole('button', { name: 'Finish' }).click();
  await page.getByText('Choose a disposition first.').waitFor();
  await page.getByRole('radio', { name: 'Solved' }).check();
  await page.getByLabel('Notes').fill('all good');
  await page.getByRole('button', { name: 'Finish' }).click();
  await page.getByRole('button', { name: /Your state: Ready/ }).waitFor();
  await page.getByText('You are ready').waitFor();
  const done = c.events.find((e) => e.type === 'wrapup.ended/1');
  assert(done.head.disposition === 'solved' && done.body.notes === 'all good', 'disposition and notes arrived');

  // A service without wrap-up: the chat goes away, and a notice links to its transcript.
  const s = world.customerStarts({ name: 'Sam', service: 'Sales' });
  await page.getByRole('button', { name: 'Accept' }).click();
  await log.getByText('Hello').waitFor();
  world.customerEnds(s.id);
  await page.getByRole('link', { name: 'Transcript' }).click();
  await page.getByRole('log').getByText('Chat session ended.').waitFor();
  assert(page.faults.length === 0, page.faults.join('\n'));
  await fake.close();
}
