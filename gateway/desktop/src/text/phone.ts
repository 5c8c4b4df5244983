// Reads telephone numbers as people type them into E.164. Loaded together with the dialog that asks
// for a number.

import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/min';

export interface Phone {
  /** Plus and digits only, as it is sent to the gateway. */
  e164: string;
  /** Grouped for reading. */
  shown: string;
  /** ISO 3166 code; undefined for numbers that belong to no country. */
  country?: string;
}

/**
 * Reads a number; `region` is the country of a number without a country code. Null when the text
 * cannot be a number.
 */
export function readPhone(text: string, region: string | undefined): Phone | null {
  const country = region && isSupportedCountry(region) ? (region as CountryCode) : undefined;
  const number = parsePhoneNumberFromString(text.trim().replace(/^00(?=[\d\s])/, '+'), {
    defaultCountry: country,
    extract: false,
  });
  if (!number?.isPossible() || number.ext) return null;
  return { e164: number.number, shown: number.formatInternational(), country: number.country };
}
