// The fake gateway on a port of its own: `npm run fake`, then open the printed address.

import { startFake } from './server.mjs';

const fake = await startFake({
  port: Number(process.env.PORT ?? 4780),
  root: new URL('../../dist', import.meta.url).pathname,
});
console.log(`desk at ${fake.url} (ana, ben, sue; password parley-demo), controls at ${fake.url}/__fake`);
