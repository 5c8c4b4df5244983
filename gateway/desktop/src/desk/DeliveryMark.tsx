// How far an agent's message got (N4, PR4): as an icon and a word, and in full on a click.

import { Popover } from '@mantine/core';
import {
  IconAlertTriangle,
  IconCheck,
  IconChecks,
  IconClock,
  IconClockExclamation,
  IconHelpCircle,
} from '@tabler/icons-react';
import { Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyDialog } from '../app/lazy';
import type { Conversation } from '../store/conversation';
import type { Delivery } from '../store/select';
import type { MessageItem } from '../store/timeline';
import classes from './MessageRow.module.css';

const DeliveryDetail = lazyDialog(() => import('./DeliveryDetail').then((m) => m.DeliveryDetail));

const icons: Record<Delivery, typeof IconCheck> = {
  accepted: IconClock,
  sent: IconCheck,
  delivered: IconChecks,
  read: IconChecks,
  failed: IconAlertTriangle,
  expired: IconClockExclamation,
  unknown: IconHelpCircle,
};

export function DeliveryMark({
  conversation,
  message,
  state,
}: {
  conversation: Conversation;
  message: MessageItem;
  state: Delivery;
}) {
  const { t } = useTranslation();
  const [opened, setOpened] = useState(false);
  const Icon = icons[state];
  const text = (
    <>
      <Icon size={14} aria-hidden />
      <span>{t(`delivery.${state}`)}</span>
    </>
  );
  if (!message.status) {
    return (
      <span className={classes.delivery} data-state={state}>
        {text}
      </span>
    );
  }
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      width={300}
      position="bottom-end"
      shadow="md"
      withArrow
      trapFocus
      returnFocus
    >
      <Popover.Target>
        <button
          type="button"
          className={`${classes.delivery} ${classes.deliveryButton}`}
          data-state={state}
          onClick={() => setOpened((o) => !o)}
        >
          {text}
          {state === 'failed' && message.statusCode && <span>· {message.statusCode}</span>}
        </button>
      </Popover.Target>
      <Popover.Dropdown>
        <Suspense fallback={null}>
          <DeliveryDetail conversation={conversation} message={message} state={state} onDone={() => setOpened(false)} />
        </Suspense>
      </Popover.Dropdown>
    </Popover>
  );
}
