import { Button, Group, Modal, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { firstFocus } from '../app/focus';
import type { Desk } from '../store/desk';

/**
 * Asks what to do when the agent ends a chat while an invitation is open (T5): keep the customer
 * waiting for it, cancel it, or stay.
 */
export function EndDialog({ desk, conversation, onClose }: { desk: Desk; conversation: string; onClose: () => void }) {
  const { t } = useTranslation();
  const queue = async () => {
    onClose();
    await desk.end(conversation, true);
  };
  const cancel = async () => {
    onClose();
    const c = desk.store.getState().conversations[conversation];
    for (const r of c?.requests ?? []) if (r.invitedBy) await desk.cancelInvite(conversation, r.id);
    await desk.end(conversation);
  };
  return (
    <Modal opened onClose={onClose} title={t('end.title')} closeButtonProps={{ 'aria-label': t('close') }}>
      <Text>{t('end.pending')}</Text>
      <Group mt="lg" justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          {t('end.stay')}
        </Button>
        <Button variant="default" data-danger onClick={() => void cancel()}>
          {t('end.cancelInvite')}
        </Button>
        <Button onClick={() => void queue()} {...firstFocus}>
          {t('end.queue')}
        </Button>
      </Group>
    </Modal>
  );
}
