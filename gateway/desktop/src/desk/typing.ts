import { useDeskState, useNow } from '../app/context';
import type { Typing } from '../store/state';

const none: Record<string, Typing> = {};

/**
 * Who is typing in a conversation, or undefined. It is forgotten 6 s after the last typing frame.
 */
export function useTyping(conversation: string): Typing | undefined {
  const typing = useDeskState((s) => s.typing[conversation] ?? none);
  useNow();
  const now = Date.now();
  return Object.values(typing).find((t) => t.until > now);
}
