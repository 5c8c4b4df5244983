// Prints how much JavaScript a first visit loads, compressed, and fails if that is above the
// budget.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const budget = 260_000;
const dist = new URL('../dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
const files = new Set([...html.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((m) => m[1]));
let total = 0;
for (const file of files) total += gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
console.log(`first load: ${(total / 1000).toFixed(1)} kB of JavaScript (gzip), budget ${budget / 1000} kB`);
if (total > budget) process.exit(1);
