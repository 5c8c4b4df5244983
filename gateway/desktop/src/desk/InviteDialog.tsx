// Invite and transfer (T1-T3): to an agent by name or to a service's queue. With Transfer this
// agent leaves as soon as the other has joined.

import { Alert, Button, Checkbox, Group, Loader, Modal, Radio, SegmentedControl, Text, TextInput } from '@mantine/core';
import type { AgentStatus, ServiceRef } from '@parley/shared/protocol';
import { IconSearch } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useDirectory } from '../api/directory';
import { stateTones } from '../app/agentState';
import { useDesk, useDeskState } from '../app/context';
import { firstFocus } from '../app/focus';
import classes from './InviteDialog.module.css';

export function InviteDialog({
  conversation,
  transfer: transferAsked,
  onClose,
}: {
  conversation: string;
  transfer: boolean;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const desk = useDesk();
  const c = useDeskState((s) => s.conversations[conversation]);
  const me = useDeskState((s) => s.user?.id);
  const online = useDeskState((s) => s.link.phase === 'online');
  const [kind, setKind] = useState<'agent' | 'service'>('agent');
  const [search, setSearch] = useState('');
  const [chosen, setChosen] = useState('');
  const [transfer, setTransfer] = useState(transferAsked);
  const [busy, setBusy] = useState(false);
  const { data, isPending, isError } = useDirectory();

  const inside = new Set(c?.agents.filter((a) => a.inside).map((a) => a.id));
  const all = (kind === 'agent' ? data?.agents : data?.services) ?? [];
  const entries = all.filter(
    (e) => e.id !== me && !inside.has(e.id) && e.name.toLocaleLowerCase().includes(search.trim().toLocaleLowerCase()),
  );

  const submit = async () => {
    setBusy(true);
    const target = kind === 'agent' ? { kind, agent: chosen } : { kind: 'directory' as const, service: chosen };
    const ack = await desk.invite(conversation, target, transfer);
    setBusy(false);
    if (ack) onClose();
  };

  return (
    <Modal opened onClose={onClose} title={t('invite.title')} closeButtonProps={{ 'aria-label': t('close') }}>
      <SegmentedControl
        fullWidth
        aria-label={t('invite.kind')}
        value={kind}
        onChange={(value) => {
          setKind(value as typeof kind);
          setChosen('');
        }}
        data={[
          { value: 'agent', label: t('invite.agents') },
          { value: 'service', label: t('invite.services') },
        ]}
      />
      <TextInput
        mt="sm"
        aria-label={t('invite.search')}
        placeholder={t('invite.search')}
        leftSection={<IconSearch size={16} aria-hidden />}
        value={search}
        onChange={(e) => setSearch(e.currentTarget.value)}
        {...firstFocus}
      />
      <div className={classes.list}>
        {isPending ? (
          <Loader size="sm" />
        ) : isError ? (
          <Alert color="red">{t('invite.unavailable')}</Alert>
        ) : entries.length === 0 ? (
          <Text c="dimmed">{t('invite.nobody')}</Text>
        ) : (
          <Radio.Group
            aria-label={t(kind === 'agent' ? 'invite.agents' : 'invite.services')}
            value={chosen}
            onChange={setChosen}
          >
            {entries.map((e) => (
              <Radio
                key={e.id}
                className={classes.entry}
                value={e.id}
                disabled={offline(e)}
                label={<Entry entry={e} />}
              />
            ))}
          </Radio.Group>
        )}
      </div>
      <Checkbox
        mt="sm"
        checked={transfer}
        onChange={(e) => setTransfer(e.currentTarget.checked)}
        label={t('invite.transfer')}
        description={t('invite.transferHelp')}
      />
      <Group mt="lg" justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          {t('cancel')}
        </Button>
        <Button disabled={!chosen || !online} loading={busy} onClick={() => void submit()}>
          {t(transfer ? 'invite.doTransfer' : 'invite.do')}
        </Button>
      </Group>
    </Modal>
  );
}

/** An agent, who has a status, or a service, which has none. */
type Target = ServiceRef & { status?: AgentStatus };

function Entry({ entry }: { entry: Target }) {
  const { t } = useTranslation();
  return (
    <span className={classes.entryText}>
      <span>{entry.name}</span>
      {entry.status && (
        <span className={classes.status} data-tone={stateTones[entry.status]}>
          {t(`state.${entry.status}`)}
        </span>
      )}
    </span>
  );
}

/** T6: an agent who is logged out cannot be invited. */
function offline(entry: Target): boolean {
  return entry.status === 'logged_out';
}
