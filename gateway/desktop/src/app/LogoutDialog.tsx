import { Button, Group, Modal, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { storesAndForwards } from '../store/select';
import { useDesk, useDeskState } from './context';
import { firstFocus } from './focus';
import { useLogout } from './logout';

/**
 * Shown to an agent who logs out with chats open: customers who are connected go back to the queue,
 * slow exchanges are parked.
 */
export function LogoutDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const logout = useLogout();
  const conversations = useDeskState((s) => s.conversations);
  const open = desk.activeIds().flatMap((id) => conversations[id] ?? []);
  const parked = open.filter(storesAndForwards).length;
  const chats = open.length - parked;
  return (
    <Modal opened onClose={onClose} title={t('leave.title')} closeButtonProps={{ 'aria-label': t('close') }}>
      {chats > 0 && <Text>{t('leave.text', { count: chats })}</Text>}
      {parked > 0 && <Text>{t('leave.parked', { count: parked })}</Text>}
      <Group mt="lg" justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose} {...firstFocus}>
          {t('cancel')}
        </Button>
        <Button
          variant="default"
          data-danger
          onClick={() => {
            onClose();
            void logout();
          }}
        >
          {t('user.logout')}
        </Button>
      </Group>
    </Modal>
  );
}
