import type { Desk } from '../store/desk';
import { openDialog } from './ui';

/** End Chat (R2); asks what becomes of an invitation that is still open (T5). */
export async function endChat(desk: Desk, conversation: string): Promise<void> {
  const result = await desk.end(conversation);
  if (result === 'invite_pending') openDialog({ kind: 'end', conversation });
}
