// One headless Chromium for all stories, and what they share: pages logged in, customers, axe, pictures.

import { mkdirSync } from 'node:fs';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { startFake } from '../fake-gateway/server.mjs';

const root = new URL('../../dist', import.meta.url).pathname;
export const shots = new URL('./shots/', import.meta.url).pathname;

const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=user-gesture-required',
];

export async function launch() {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
  return browser;
}

/** A fresh gateway; close() ends it. */
export function gateway(rules = {}) {
  return startFake({ root, ...rules });
}

export async function desk(browser, fake, login, options = {}) {
  const { scheme = 'light', size = { width: 1280, height: 720 }, ...more } = options;
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, locale: 'en-GB', ...more });
  const page = await context.newPage();
  await slowDown(page);
  page.setDefaultTimeout(20_000);
  page.faults = [];
  page.on('console', (m) => {
    // A refused connection is what several stories are about.
    if (m.type() === 'error' && !/WebSocket|Failed to load resource|ERR_/.test(m.text())) page.faults.push(m.text());
  });
  page.on('pageerror', (err) => page.faults.push(String(err)));
  await page.goto(fake.url);
  await page.getByLabel('Login', { exact: true }).fill(login);
  await page.getByLabel('Password', { exact: true }).fill('parley-demo');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: /Your state/ }).waitFor();
  return page;
}

/** With SLOW=6 a page has a sixth of its processor: what a story takes for granted on a fast machine shows. */
async function slowDown(page) {
  const rate = Number(process.env.SLOW ?? 1);
  if (rate <= 1) return;
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate });
}

export async function goReady(page) {
  await page.getByRole('button', { name: 'Go ready' }).click();
  await page.getByRole('button', { name: /Your state: Ready/ }).waitFor();
}

export async function picture(page, name) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}${name}.png` });
}

/**
 * Throws when axe finds anything on the page as it stands. What it finds must be there when it looks
 * again: a tooltip may begin to fade in while it looks, in colours that nobody sees for long.
 */
export async function axe(page, where) {
  const found = await violations(page);
  if (found.length === 0) return;
  const text = await violations(page);
  if (text.length > 0) throw new Error(`axe on ${where}:\n  ${text.join('\n  ')}`);
}

async function violations(page) {
  await page.waitForTimeout(250);
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every((a) => a.playState !== 'running' || a.effect?.getTiming().iterations === Number.POSITIVE_INFINITY),
  );
  const result = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  return result.violations.flatMap((v) =>
    v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary?.split('\n')[1] ?? ''}`),
  );
}

export function assert(condition, text) {
  if (!condition) throw new Error(text);
}

/** Waits until a condition of the fake's holds. */
export async function until(condition, what, ms = 20_000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
