import type { Desk } from '../store/desk';
import { openDialog } from './ui';

/** Ends a chat (R2); asks what to do with an invitation that is still open (T5). */
export async function endChat(desk: Desk, conversation: string): Promise<void> {
  const result = await desk.end(conversation);
  if (result === 'invite_pending') openDialog({ kind: 'end', conversation });
}
