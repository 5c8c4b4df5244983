import { Button, Group, Modal, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useDesk } from './context';
import { useLogout } from './logout';

/** Asked of who logs out with chats open: their customers go back to the queue. */
export function LogoutDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const logout = useLogout();
  return (
    <Modal opened onClose={onClose} title={t('leave.title')} closeButtonProps={{ 'aria-label': t('close') }}>
      <Text>{t('leave.text', { count: desk.activeIds().length })}</Text>
      <Group mt="lg" justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose} data-autofocus>
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
