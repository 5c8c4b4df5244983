// The channel: what Echo accepts and what it sends. Copy this file to begin your own.

const accountSchema = {
  type: 'object',
  properties: { callback_url: { type: 'string' } },
  additionalProperties: false,
};

export const manifest = {
  id: 'echo-node',
  name: 'Echo (Node)',
  version: '1.0.0',
  account_schema: JSON.stringify(accountSchema),
  delivery: 'DELIVERY_STORE_AND_FORWARD',
  capabilities: { text: true, outbound_first: true, offer_title: 'Echo', icon: 'message-circle' },
  hook: {}, // the defaults: POST, 10 s, 1 MiB
  abilities: ['metrics'],
};

/** Returns all faults at once, or the settings of the enabled accounts. */
export function checkConfig(request) {
  const problems = [];
  const configured = new Map();
  for (const account of request.accounts) {
    const fault = (path, code, text) => problems.push({ account: account.id, path, code, text });
    const settings = parseObject(account.settings || '{}');
    if (!settings) {
      fault('', 'type', 'want a JSON object');
      continue;
    }
    for (const key of Object.keys(settings)) {
      if (!(key in accountSchema.properties)) fault(`/${key}`, 'unknown', 'is not known');
    }
    if (settings.callback_url && !URL.canParse(settings.callback_url)) fault('/callback_url', 'invalid', 'is no URL');
    if (account.enabled) configured.set(account.id, settings);
  }
  return { problems, configured };
}

/**
 * A webhook's answer and events. It depends on the webhook alone, so that a webhook that comes
 * again gets the same.
 */
export function answerHook(accounts, hook) {
  if (!accounts.has(hook.account)) return { status: 404, reason: 'unknown_account' };
  const note = parseObject(hook.body.toString('utf8'));
  const texts = note && [note.id, note.from, note.text].every((field) => typeof field === 'string');
  if (!texts || !note.id || !note.from || !note.text) return { status: 400, reason: 'malformed' };
  const message = { from: { address: note.from }, parts: [{ text: { text: note.text } }], provider_ids: [note.id] };
  return { status: 200, events: [{ account: hook.account, thread: note.from, dedupe_key: note.id, message }] };
}

/**
 * Posts a message to the callback URL and returns the outcome.
 * @param {() => Promise<boolean>} begin asks the gateway; nothing may be sent before it resolves to true
 */
export async function send(accounts, command, begin) {
  const { message_id: id, to, parts } = command.send;
  if (!accounts.has(command.account)) return failed('ERROR_KIND_INTERNAL', 'unknown_account', false);
  if (parts.some((part) => part.part !== 'text')) return failed('ERROR_KIND_CONTENT', 'unsupported', false);
  if (!(await begin())) return failed('ERROR_KIND_TEMPORARY', 'not_begun', true);
  const url = accounts.get(command.account)?.callback_url;
  const sent = { outcome: 'OUTCOME_SENT', provider_ids: [id] };
  if (!url) return sent;
  const left = command.deadline ? command.deadline / 1000 - Date.now() : 10_000;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ id, to, text: parts.map((part) => part.text.text).join('\n') }),
      signal: AbortSignal.timeout(Math.min(10_000, Math.max(1, left))),
    });
    await response.body?.cancel();
    return response.ok ? sent : refused(response.status);
  } catch {
    return { outcome: 'OUTCOME_UNKNOWN', code: 'no_answer' }; // the other side may have got it
  }
}

function refused(status) {
  if (status === 429) return failed('ERROR_KIND_THROTTLED', '429', true);
  return failed(status >= 500 ? 'ERROR_KIND_TEMPORARY' : 'ERROR_KIND_CONTENT', String(status), status >= 500);
}

const failed = (error_kind, code, retryable) => ({ outcome: 'OUTCOME_FAILED', error_kind, code, retryable });

function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
