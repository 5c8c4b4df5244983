// The rules that the folds of all front ends over a conversation's events have in common. What an event changes depends
// on who reads it, and is told in each front end (docs/decisions/0019).

/**
 * How an event follows those that a reader has: all that it may see up to the sequence `have`, 0 = none. `next`: it is
 * the following one. `repeat`: the reader has it already. `gap`: events before it are missing and must be requested.
 */
export function order(have: number, event: { seq: number; prev: number }): 'next' | 'repeat' | 'gap' {
  if (event.seq <= have) return 'repeat';
  return event.prev > have ? 'gap' : 'next';
}

/** The sequences up to which a party has received and has read everything. */
export interface Mark {
  delivered: number;
  read: number;
}

/** A mark after another receipt. Marks never go back, and what was read was received. */
export function advance(mark: Mark, { delivered = 0, read = 0 }: Partial<Mark>): Mark {
  return { delivered: Math.max(mark.delivered, delivered, read), read: Math.max(mark.read, read) };
}
