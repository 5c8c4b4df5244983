import { Button } from '@mantine/core';
import { IconCoffee, IconHeadset } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { askForNotifications, notificationState } from '../alert/notify';
import { reasonText } from '../app/agentState';
import { useAlerts, useDesk, useDeskState } from '../app/context';
import { prefs } from '../store/prefs';
import classes from './EmptyDesk.module.css';

/**
 * What the desktop shows while no conversation is open: what will happen next, or how to get
 * conversations.
 */
export function EmptyDesk() {
  const { t } = useTranslation();
  const desk = useDesk();
  const alerts = useAlerts();
  const agent = useDeskState((s) => s.agent);
  const online = useDeskState((s) => s.link.phase === 'online');
  // Administrators who serve no queue have no agent state.
  if (!agent) {
    return (
      <div className={classes.empty}>
        <h1 className={classes.title}>{t('empty.noAgent')}</h1>
        <p className={classes.text}>{t('empty.noAgentText')}</p>
      </div>
    );
  }
  if (agent.status !== 'not_ready' && agent.status !== 'logged_out') {
    const line = (agent.offers?.length ?? 0) > 0 ? 'ringing' : 'ready';
    return (
      <div className={classes.empty}>
        <IconHeadset size={44} stroke={1.4} className={classes.ready} aria-hidden />
        <h1 className={classes.title}>{t(`empty.${line}`)}</h1>
        <p className={classes.text}>{t(`empty.${line}Text`)}</p>
      </div>
    );
  }
  const reason = reasonText(t, agent.reason ?? '');
  return (
    <div className={classes.empty}>
      <IconCoffee size={44} stroke={1.4} className={classes.away} aria-hidden />
      <h1 className={classes.title}>{reason ? t('empty.awayReason', { reason }) : t('empty.away')}</h1>
      <p className={classes.text}>{t(`empty.why.${agent.reason}`, { defaultValue: t('empty.awayText') })}</p>
      <Button
        size="md"
        mt="md"
        disabled={!online}
        onClick={() => {
          // This click also allows the browser to play the ring of the next offer.
          alerts.tones.unlock();
          if (prefs.getState().notifications && notificationState() === 'default') void askForNotifications();
          void desk.ready();
        }}
      >
        {t('empty.goReady')}
      </Button>
    </div>
  );
}
