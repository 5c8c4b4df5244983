import { assert, desk, gateway, goReady, until } from '../browser.mjs';

export const name = 'offers: reject, miss, several, preset Not Ready, customer leaves, blinking, transfer';

export async function run(browser) {
  const fake = await gateway({ offerTimeout: 2500 });
  const { world } = fake;
  const page = await desk(browser, fake, 'ana');
  const state = (text) => page.getByRole('button', { name: new RegExp(`Your state: ${text}`) }).waitFor();
  const alert = page.getByRole('alertdialog');
  const gone = () => alert.waitFor({ state: 'detached' });
  await goReady(page);

  // A19: the customer leaves during the offer.
  const left = world.customerStarts({ name: 'Gone' });
  await alert.waitFor();
  world.customerEnds(left.id, 'customer_left');
  await gone();
  await state('Ready');

  // A8: an offer is missed. A9: an offer is rejected.
  const missed = world.customerStarts({ name: 'Missed' });
  await alert.getByText(/0:0\d left/).waitFor();
  await gone();
  await state('Not Ready \\(offer missed\\)');
  world.customerEnds(missed.id);
  await goReady(page);
  const rejected = world.customerStarts({ name: 'Rejected' });
  await alert.getByRole('button', { name: 'Reject' }).click();
  await gone();
  await state('Not Ready \\(offer rejected\\)');
  world.customerEnds(rejected.id);
  await goReady(page);
  world.offerTimeout = 60_000;

  // A6, A7, K1, K2: Accept keeps the focus, Open moves it; the icon of a chat out of focus blinks
  // at a message.
  const list = page.getByRole('navigation', { name: 'Active communications' });
  const item = (who) => list.getByRole('button', { name: new RegExp(`^${who}`) });
  const one = world.customerStarts({ name: 'One' });
  await alert.getByRole('button', { name: 'Accept' }).click();
  await item('One').waitFor();
  const box = page.getByRole('textbox', { name: 'Message' });
  await box.fill('half a sentence');
  const two = world.customerStarts({ name: 'Two', text: 'from two' });
  await alert.getByRole('button', { name: 'Open' }).waitFor();
  assert(await box.evaluate((b) => b === document.activeElement), 'the alert leaves the focus in the composer');
  await alert.getByRole('button', { name: 'Accept' }).click();
  await item('Two, .*1 unread message').waitFor();
  assert((await item('One').getAttribute('aria-current')) === 'true', 'the focus stays (A7)');
  assert((await list.locator('[data-blink]').count()) === 1, 'the icon out of focus blinks (K2)');
  await page.waitForFunction(() => document.title === '(1) Parley');
  await list.getByRole('button', { name: /^Two/ }).click();
  await page.getByRole('log').getByText('from two').waitFor();
  await page.waitForFunction(() => document.title === 'Parley');
  assert((await box.inputValue()) === '', 'a draft stays with its customer');
  world.customerStarts({ name: 'Three' });
  await alert.getByRole('button', { name: 'Open' }).click();
  await page.getByRole('heading', { name: 'Three', level: 1 }).waitFor();
  await item('One, .*Draft').click();
  assert((await box.inputValue()) === 'half a sentence', 'the draft is still there');
  world.customerSays(two.id, { text: 'again' });
  await item('Two, .*1 unread').waitFor();
  assert(
    (await page.getByRole('heading', { name: 'One', level: 1 }).count()) === 1,
    'a message does not move the focus',
  );

  // A12: the agent chooses Not Ready for when the chats are over, and takes it back with Ready.
  await page.getByRole('button', { name: /Your state: Busy/ }).click();
  await page.getByRole('menuitem', { name: 'Lunch' }).click();
  await state('Busy then Lunch');
  await page.getByRole('button', { name: /Your state: Busy/ }).click();
  await page.getByRole('menuitem', { name: 'Ready afterwards' }).click();
  await page.getByRole('button', { name: 'Your state: Busy', exact: true }).waitFor();

  // T1, T2: Ana transfers to Ben, both talk, and Ana leaves when Ben has joined.
  const ben = await desk(browser, fake, 'ben');
  await page.getByRole('complementary').getByRole('button', { name: 'Invite' }).click();
  await page.getByRole('radio', { name: /Ben Okafor/ }).check();
  await page.getByRole('checkbox', { name: 'Transfer the chat' }).check();
  await page.getByRole('button', { name: 'Transfer', exact: true }).click();
  await ben.getByRole('alertdialog').getByText('Ana Petrova invites you').waitFor();
  await ben.getByRole('button', { name: 'Accept' }).click();
  await ben.getByRole('log').getByText('You joined the chat').waitFor();
  await page.getByRole('log').getByText('Ben Okafor joined the chat').waitFor();
  await page.getByRole('region', { name: 'After-call work' }).waitFor();
  await until(() => one.joined.get(world.users[1].id)?.state === 'joined', 'Ben inside');
  assert(one.phase === 'open', 'the conversation goes on with Ben');

  // A10: an agent who rejects while busy becomes Not Ready when the chats are over.
  world.customerStarts({ name: 'Four' });
  await alert.getByRole('button', { name: 'Reject' }).click();
  await state('Busy then offer rejected');
  assert(page.faults.length + ben.faults.length === 0, [...page.faults, ...ben.faults].join('\n'));
  await fake.close();
}
