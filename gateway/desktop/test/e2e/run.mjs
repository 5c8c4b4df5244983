// Runs the stories against the fake gateway, one after another in one browser: `npm run e2e:fake [part of a name]`.

import { readdirSync } from 'node:fs';
import { launch } from './browser.mjs';

const wanted = process.argv[2] ?? '';
const folder = new URL('./stories/', import.meta.url);
const browser = await launch();
let failed = 0;
for (const file of readdirSync(folder).sort()) {
  const story = await import(new URL(file, folder).href);
  if (!story.name.includes(wanted)) continue;
  const began = Date.now();
  try {
    await story.run(browser);
    console.log(`ok    ${story.name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (err) {
    failed++;
    console.log(`FAIL  ${story.name}\n${err.stack}`);
  }
  for (const context of browser.contexts()) await context.close();
}
await browser.close();
process.exit(failed > 0 ? 1 : 0);
