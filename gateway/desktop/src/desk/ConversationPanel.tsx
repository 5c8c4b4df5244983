import { ActionIcon, Button, Tooltip } from '@mantine/core';
import {
  IconClockExclamation,
  IconFlag,
  IconFlagFilled,
  IconInfoCircle,
  IconMessageOff,
  IconPlugConnectedX,
  IconUserPlus,
} from '@tabler/icons-react';
import { type DragEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Since, Until } from '../app/Clock';
import { useDesk, useDeskState } from '../app/context';
import { endChat } from '../app/endChat';
import { lazyDialog } from '../app/lazy';
import { openDialog } from '../app/ui';
import type { Conversation } from '../store/conversation';
import { allows, customerName, isActive, takesFiles } from '../store/select';
import { ChannelIcon } from './ChannelIcon';
import { Composer, type ComposerHandle } from './Composer';
import classes from './ConversationPanel.module.css';
import { Transcript } from './Transcript';

const WrapupPanel = lazyDialog(() => import('./WrapupPanel').then((m) => m.WrapupPanel));

/**
 * The conversation in focus: its header, one list of everything said (B3), and below it what the
 * agent can do now.
 */
export function ConversationPanel({
  conversation: c,
  infoButton,
}: {
  conversation: Conversation;
  infoButton: boolean;
}) {
  const { t } = useTranslation();
  const composer = useRef<ComposerHandle>(null);
  const [dropping, setDropping] = useState(false);
  const active = isActive(c);
  const files = active && takesFiles(c);
  // Loaded while the chat goes on, because the connection may be down when it ends.
  useEffect(() => {
    WrapupPanel.load().catch(() => undefined);
  }, []);
  const name = customerName(c) || t('customer.unknown');

  const drag = (e: DragEvent) => {
    if (!files || !e.dataTransfer.types.includes('Files')) return;
    e.preventDefault();
    setDropping(e.type === 'dragover');
  };
  const drop = (e: DragEvent) => {
    drag(e);
    setDropping(false);
    if (files) composer.current?.attach([...e.dataTransfer.files]);
  };

  return (
    <section
      className={classes.panel}
      aria-label={t('conversation.region', { name })}
      onDragOver={drag}
      onDragLeave={drag}
      onDrop={drop}
    >
      <Header c={c} name={name} infoButton={infoButton} />
      <Transcript conversation={c} />
      {active && c.inactivityEndsAt && (
        <p className={classes.idle}>
          <IconClockExclamation size={15} aria-hidden />
          <span>
            {t('conversation.endsIn')} <Until at={c.inactivityEndsAt} />
          </span>
        </p>
      )}
      {c.member === 'wrapup' ? (
        <WrapupPanel conversation={c} />
      ) : active ? (
        <Composer key={c.id} ref={composer} conversation={c} />
      ) : (
        <p className={classes.over}>{t(c.member === 'parked' ? 'conversation.parked' : 'session.ended')}</p>
      )}
      {dropping && (
        <div className={classes.drop} aria-hidden>
          {t('composer.drop')}
        </div>
      )}
    </section>
  );
}

function Header({ c, name, infoButton }: { c: Conversation; name: string; infoButton: boolean }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const online = useDeskState((s) => s.link.phase === 'online');
  const active = isActive(c);
  return (
    <header className={classes.header}>
      <span className={classes.channel}>
        <ChannelIcon icon={c.info?.icon} channel={c.channel} size={18} />
      </span>
      <div className={classes.who}>
        <h1 className={classes.name}>{name}</h1>
        <div className={classes.sub}>
          {c.info?.service?.name ?? c.service?.name ?? c.info?.title}
          {' · '}
          <Since at={c.sessionAt} />
          {active && c.present === false && (
            <span className={classes.absent}>
              <IconPlugConnectedX size={14} aria-hidden /> {t('conversation.absent')}
            </span>
          )}
        </div>
      </div>
      <div className={classes.actions}>
        {active && (
          <>
            <Button
              className={classes.end}
              size="compact-md"
              variant="default"
              data-danger
              disabled={!online}
              leftSection={<IconMessageOff size={16} aria-hidden />}
              onClick={() => void endChat(desk, c.id)}
            >
              {t('end.button')}
            </Button>
            <Tooltip label={t('invite.button')}>
              <ActionIcon
                aria-label={t('invite.button')}
                disabled={!online}
                onClick={() => openDialog({ kind: 'invite', conversation: c.id, transfer: false })}
              >
                <IconUserPlus size={19} />
              </ActionIcon>
            </Tooltip>
            {allows(c, 'flag') && (
              <Tooltip label={t(c.flagged ? 'flag.clear' : 'flag.set')}>
                <ActionIcon
                  aria-label={t('flag.set')}
                  aria-pressed={c.flagged}
                  disabled={!online}
                  data-danger={c.flagged || undefined}
                  onClick={() => void desk.flag(c.id, !c.flagged)}
                >
                  {c.flagged ? <IconFlagFilled size={19} /> : <IconFlag size={19} />}
                </ActionIcon>
              </Tooltip>
            )}
          </>
        )}
        {infoButton && (
          <Tooltip label={t('contact.open')}>
            <ActionIcon aria-label={t('contact.open')} onClick={() => openDialog({ kind: 'info' })}>
              <IconInfoCircle size={19} />
            </ActionIcon>
          </Tooltip>
        )}
      </div>
    </header>
  );
}
