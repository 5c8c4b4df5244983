// How an SMS is counted (SPEC N10-N15): in septets if all characters are in the GSM 03.38 default
// alphabet, else in UTF-16 units. The same arithmetic as plugins/sms/segment, tested on the same
// vectors.

/**
 * What a text takes. `units` are septets or UTF-16 units; `parts` holds the units of each message
 * that is sent.
 */
export interface SmsCount {
  encoding: 'gsm7' | 'ucs2';
  units: number;
  segments: number;
  parts: number[];
  /** Units that fit into one message: 160 or 70. */
  limit: number;
}

// 3GPP TS 23.038, table 6.2.1; the escape at 0x1B is not a character.
const basic = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
/** Table 6.2.1.1: each takes an escape and a second septet, which stay together. */
const extension = new Set('\f^{}[]~\\|€');

/**
 * Counts a text. `wide`: a text in parts carries a 16-bit reference, whose header takes one octet
 * more (N15).
 */
export function countSms(text: string, wide = false): SmsCount {
  const gsm = [...text].every((c) => basic.has(c) || extension.has(c));
  const limit = gsm ? 160 : 70;
  const room = (gsm ? 153 : 67) - (wide ? 1 : 0);
  const cost = (c: string) => (gsm ? (extension.has(c) ? 2 : 1) : c.length);
  let units = 0;
  let last = 0;
  const parts: number[] = [];
  // Goes by code points, so that an escape pair or a surrogate pair is never split (N13).
  for (const c of text) {
    const n = cost(c);
    units += n;
    if (last + n > room) {
      parts.push(last);
      last = 0;
    }
    last += n;
  }
  parts.push(last);
  const whole = units <= limit;
  return {
    encoding: gsm ? 'gsm7' : 'ucs2',
    units,
    segments: whole ? 1 : parts.length,
    parts: whole ? [units] : parts,
    limit,
  };
}
