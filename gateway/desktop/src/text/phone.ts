// Telephone numbers as people type them, read into E.164. Loaded with the dialog that asks for one.

import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/min';

export interface Phone {
  /** With plus and digits only, as it is sent. */
  e164: string;
  /** Grouped for reading. */
  shown: string;
  /** ISO 3166 code; undefined for numbers of no country. */
  country?: string;
}

/** Reads a number; `region` is where one without a country code belongs. Null when it cannot be one. */
export function readPhone(text: string, region: string | undefined): Phone | null {
  const country = region && isSupportedCountry(region) ? (region as CountryCode) : undefined;
  const number = parsePhoneNumberFromString(text.trim().replace(/^00(?=[\d\s])/, '+'), {
    defaultCountry: country,
    extract: false,
  });
  if (!number?.isPossible() || number.ext) return null;
  return { e164: number.number, shown: number.formatInternational(), country: number.country };
}
