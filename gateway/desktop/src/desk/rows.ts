// The rows that the list draws: items with day separators between them. A message is either the
// first of a run by the same author or a further one.

import type { Conversation } from '../store/conversation';
import type { Outgoing } from '../store/state';
import type { LineItem, MessageItem, NoteItem } from '../store/timeline';

export type Row =
  | { kind: 'day'; key: string; at: string }
  | { kind: 'message'; key: string; message: MessageItem; first: boolean; last: boolean }
  | { kind: 'line'; key: string; line: LineItem }
  | { kind: 'note'; key: string; note: NoteItem }
  | { kind: 'outgoing'; key: string; outgoing: Outgoing; first: boolean };

const runGap = 3 * 60_000;

export function rowsOf(c: Conversation, outgoing: Outgoing[]): Row[] {
  const rows: Row[] = [];
  let previous: MessageItem | null = null;
  let lastAt = '';
  let day: Day | null = null;
  const today = dayOf(Date.now());
  for (let i = 0; i < c.items.length; i++) {
    const item = c.items[i];
    if (!item) continue;
    const at = Date.parse(item.at);
    if (!day || at < day.from || at >= day.to) {
      day = dayOf(at);
      // Today gets a separator only if another day comes before it.
      if (lastAt || day.from !== today.from) rows.push({ kind: 'day', key: `d${item.seq}`, at: item.at });
      previous = null;
    }
    lastAt = item.at;
    if (item.kind === 'line') {
      rows.push({ kind: 'line', key: `l${item.seq}`, line: item });
      previous = null;
      continue;
    }
    if (item.kind === 'note') {
      rows.push({ kind: 'note', key: `n${item.seq}`, note: item });
      previous = null;
      continue;
    }
    const next = c.items[i + 1];
    const last = !(next?.kind === 'message' && sameRun(item, next));
    rows.push({
      kind: 'message',
      key: item.clientId ?? `m${item.seq}`,
      message: item,
      first: !previous || !sameRun(previous, item),
      last,
    });
    previous = item;
  }
  outgoing.forEach((o, i) => {
    rows.push({ kind: 'outgoing', key: o.clientId, outgoing: o, first: i === 0 });
  });
  return rows;
}

function sameRun(a: MessageItem, b: MessageItem): boolean {
  return (
    a.author.kind === b.author.kind && a.author.agent === b.author.agent && Date.parse(b.at) - Date.parse(a.at) < runGap
  );
}

interface Day {
  from: number;
  to: number;
}

/**
 * The reader's calendar day that contains an instant, in milliseconds; computed once for each day
 * of a transcript, not for each row.
 */
function dayOf(at: number): Day {
  const d = new Date(at);
  const from = new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  return { from, to: new Date(d.getFullYear(), d.getMonth(), d.getDate() + 1).getTime() };
}
