// REST calls under /api/v1 with the session cookie. Unsafe methods carry the header that the
// gateway demands of browsers, as protection against cross-site requests.

import type { Part, Problem, Routes, User } from '@parley/shared/protocol';
import { type Answer, post } from '@parley/shared/upload';

/**
 * An answer that is not 2xx; `status` 0 means that no answer came. `code` is the gateway's code, if
 * any, and `retryAfter` how many seconds it asks to wait (0: it does not say).
 */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryAfter: number;
  constructor(status: number, message: string, code = '', retryAfter = 0) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

const csrf = { 'Parley-CSRF': '1' };

/** Calls a route with the path, query and body that it takes. A parameter that is undefined is left out. */
export async function call<R extends keyof Routes>(
  route: R,
  given: Omit<Routes[R], 'answer'>,
  signal?: AbortSignal,
): Promise<Routes[R]['answer']> {
  const [method] = route.split(' ');
  const { body, ...at } = given as { path?: Record<string, string>; query?: Record<string, unknown>; body?: unknown };
  const unsafe = method !== 'GET';
  let response: Response;
  try {
    response = await fetch(address(route, at.path, at.query), {
      method,
      credentials: 'same-origin',
      headers: {
        Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(unsafe ? csrf : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new HttpError(0, 'unreachable');
  }
  if (!response.ok) throw await problem(response);
  return response.status === 204 ? undefined : await response.json();
}

function address(route: keyof Routes, path: Record<string, string> = {}, query: Record<string, unknown> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  const [, below = ''] = route.split(' ');
  const filled = below.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
  return `/api/v1${filled}${search && `?${search}`}`;
}

/** Reads RFC 9457 problem details. */
async function problem(response: Response): Promise<HttpError> {
  const retryAfter = Math.max(0, Number(response.headers.get('Retry-After')) || 0);
  try {
    const p = (await response.json()) as Partial<Problem>;
    return new HttpError(response.status, p.detail || p.title || response.statusText, p.code, retryAfter);
  } catch {
    return new HttpError(response.status, response.statusText, '', retryAfter);
  }
}

export function login(name: string, password: string): Promise<unknown> {
  return call('POST /login', { body: { login: name, password } });
}

export function logout(): Promise<unknown> {
  return call('POST /logout', {});
}

/** The user who is logged in; null when nobody is. */
export async function me(): Promise<User | null> {
  try {
    return await call('GET /me', {});
  } catch (err) {
    if (err instanceof HttpError && (err.status === 401 || err.status === 403)) return null;
    throw err;
  }
}

const uploadRoute = 'POST /conversations/{id}/files';

/**
 * Uploads an attachment; resolves with the part by which a message refers to it. Progress runs from
 * 0 to 1.
 */
export async function upload(
  conversation: string,
  file: File,
  progress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<Part> {
  const body = new FormData();
  body.append('file', file, file.name);
  const headers = { Accept: 'application/json', ...csrf };
  let answer: Answer;
  try {
    answer = await post(address(uploadRoute, { id: conversation }), headers, body, progress, signal);
  } catch {
    throw new HttpError(0, 'unreachable');
  }
  if (answer.status < 200 || answer.status >= 300) {
    const p = answer.response as Partial<Problem> | null;
    throw new HttpError(answer.status, p?.detail || p?.title || answer.statusText, p?.code);
  }
  const { file: stored } = answer.response as Routes[typeof uploadRoute]['answer'];
  return { kind: 'file', file: stored };
}

/** A short-lived address of an attachment on the files origin. */
export function fileUrl(blob: string, thumbnail: boolean) {
  return call('GET /files/{id}/url', { path: { id: blob }, query: { thumbnail: thumbnail || undefined } });
}
