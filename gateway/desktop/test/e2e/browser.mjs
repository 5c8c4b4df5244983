// One headless Chromium for all stories, and what they share: pages that are logged in, customers,
// axe, screenshots.

import { mkdirSync } from 'node:fs';
import * as shared from '@parley/shared/browser';
import { startFake } from '../fake-gateway/server.mjs';

const root = new URL('../../dist', import.meta.url).pathname;
export const shots = new URL('./shots/', import.meta.url).pathname;

export const launch = () => shared.launch('--autoplay-policy=user-gesture-required');

/** Starts a fresh fake gateway; close() ends it. */
export function gateway(rules = {}) {
  return startFake({ root, ...rules });
}

export async function desk(browser, fake, login, options = {}) {
  const { scheme = 'light', size = { width: 1280, height: 720 }, ...more } = options;
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, locale: 'en-GB', ...more });
  const page = await context.newPage();
  await shared.slowDown(page);
  page.setDefaultTimeout(20_000);
  page.faults = [];
  page.on('console', (m) => {
    // Several stories are about refused connections, so their messages are no faults.
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

export async function goReady(page) {
  await page.getByRole('button', { name: 'Go ready' }).click();
  await page.getByRole('button', { name: /Your state: Ready/ }).waitFor();
}

export async function picture(page, name) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}${name}.png` });
}

/**
 * Throws when axe finds anything on the page; waits a moment first, so that what a click has
 * started can begin.
 */
export function axe(page, where) {
  return shared.axe(page, where, async () => {
    await page.waitForTimeout(250);
    return shared.violations(page);
  });
}

export function assert(condition, text) {
  if (!condition) throw new Error(text);
}

/** Waits until a condition of the fake gateway holds. */
export async function until(condition, what, ms = 20_000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
