// What every browser test needs: a headless Chromium, a slower machine, axe.

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launch = (...more) => chromium.launch({ executablePath: '/usr/bin/chromium', args: [...args, ...more] });

/**
 * With SLOW=6 a page gets a sixth of its processor, which shows what a story takes for granted on a
 * fast machine.
 */
export async function slowDown(page) {
  const rate = Number(process.env.SLOW ?? 1);
  if (rate <= 1) return;
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate });
}

/**
 * Throws when axe finds anything on the page. axe looks a second time, and only what it finds again
 * counts: a tooltip may just begin to fade in at the first time, with colours that are seen for a
 * moment only.
 */
export async function axe(page, where, look = violations) {
  if ((await look(page)).length === 0) return;
  const found = await look(page);
  if (found.length > 0) throw new Error(`axe on ${where}:\n  ${found.join('\n  ')}`);
}

/**
 * What axe finds (WCAG 2.2 AA), one line for each finding, once all animations on the page have
 * ended.
 */
export async function violations(page) {
  // An element that fades in has other colours for a moment.
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every((a) => a.playState !== 'running' || a.effect?.getTiming().iterations === Number.POSITIVE_INFINITY),
  );
  const result = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  return result.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`));
}
