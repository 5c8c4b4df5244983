import { afterEach, expect, it, vi } from 'vitest';
import { HttpError, login } from '../../src/api/http';

afterEach(() => vi.unstubAllGlobals());

const answer = (status: number, headers: Record<string, string>) =>
  vi.stubGlobal('fetch', async () => new Response('{"code":"rate_limited","detail":"wait"}', { status, headers }));

it.each([
  ['seconds', { 'Retry-After': '320' }, 320],
  ['nothing', {}, 0],
  ['a date, which we never send', { 'Retry-After': 'Sun, 06 Nov 2044 08:49:37 GMT' }, 0],
  ['nonsense', { 'Retry-After': '-5' }, 0],
])('says how long a refused login must wait: %s', async (_, headers, want) => {
  answer(429, headers);
  const err = await login('ana', 'wrong').catch((e: unknown) => e);
  expect(err).toBeInstanceOf(HttpError);
  expect((err as HttpError).status).toBe(429);
  expect((err as HttpError).retryAfter).toBe(want);
});
