import type { TFunction } from 'i18next';
import type { Trouble } from '../store/state';

/** What went wrong: in the agent's language if the code is known, else in the gateway's words. */
export function troubleText(t: TFunction, { code, text }: Trouble): string {
  return t(`error.${code}`, { defaultValue: text || code });
}
