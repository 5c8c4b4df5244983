// Says what is happening while the connection to the gateway is down for longer, and what that
// means for the agent's work.

import { Button } from '@mantine/core';
import { IconPlugConnectedX } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import classes from './Banner.module.css';
import { useDesk, useDeskState, useNow } from './context';

export function LinkBanner() {
  const { t } = useTranslation();
  const desk = useDesk();
  const link = useDeskState((s) => s.link);
  const waiting = useDeskState((s) => s.outgoing.length);
  const skew = useDeskState((s) => s.skew);
  const reason = link.phase === 'online' ? '' : link.reason;
  const cause = t(`link.cause.${reason}`, { defaultValue: t('link.cause.unreachable') });
  return (
    <div className={classes.banner} data-tone="busy">
      <IconPlugConnectedX size={18} aria-hidden />
      <div className={classes.text} role="status">
        <strong>{t('link.reconnecting')}</strong> {cause} {t('link.kept')}
        {waiting > 0 && ` ${t('link.waiting', { count: waiting })}`}
      </div>
      {link.phase === 'waiting' && <RetryIn at={link.retryAt + skew} />}
      <Button size="compact-sm" variant="default" disabled={link.phase !== 'waiting'} onClick={() => desk.wake()}>
        {t('link.now')}
      </Button>
    </div>
  );
}

function RetryIn({ at }: { at: number }) {
  const { t } = useTranslation();
  const seconds = Math.max(0, Math.ceil((at - useNow()) / 1000));
  return seconds > 0 ? <span className="tabular">{t('link.in', { seconds })}</span> : null;
}
