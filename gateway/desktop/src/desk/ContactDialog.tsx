// Links the conversation to a known contact (A5).

import { Button, Group, Modal, Radio, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useContactSearch } from '../api/contacts';
import { useDesk, useDeskState } from '../app/context';
import { firstFocus } from '../app/focus';
import { customerName } from '../store/select';
import classes from './InviteDialog.module.css';

export function ContactDialog({ conversation, onClose }: { conversation: string; onClose: () => void }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const c = useDeskState((s) => s.conversations[conversation]);
  const online = useDeskState((s) => s.link.phase === 'online');
  const [text, setText] = useState(c ? c.customer.email || customerName(c) : '');
  const [search] = useDebouncedValue(text, 250);
  const [chosen, setChosen] = useState('');
  const { data } = useContactSearch(search);
  const found = data?.items ?? [];

  const link = async () => {
    const ack = await desk.linkContact(conversation, chosen);
    if (ack) onClose();
  };
  return (
    <Modal opened onClose={onClose} title={t('contact.find')} closeButtonProps={{ 'aria-label': t('close') }}>
      <TextInput
        aria-label={t('contact.findHelp')}
        placeholder={t('contact.findHelp')}
        leftSection={<IconSearch size={16} aria-hidden />}
        value={text}
        onChange={(e) => {
          setText(e.currentTarget.value);
          setChosen('');
        }}
        {...firstFocus}
      />
      <div className={classes.list}>
        {data && found.length === 0 ? (
          <Text c="dimmed" role="status">
            {t('contact.none')}
          </Text>
        ) : (
          <Radio.Group aria-label={t('contact.find')} value={chosen} onChange={setChosen}>
            {found.map((x) => (
              <Radio
                key={x.id}
                className={classes.entry}
                value={x.id}
                label={x.name}
                description={[x.company, ...(x.addresses ?? [])].filter(Boolean).join(' · ')}
              />
            ))}
          </Radio.Group>
        )}
      </div>
      <Group mt="lg" justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          {t('cancel')}
        </Button>
        <Button disabled={!chosen || !online} onClick={() => void link()}>
          {t('contact.link')}
        </Button>
      </Group>
    </Modal>
  );
}
