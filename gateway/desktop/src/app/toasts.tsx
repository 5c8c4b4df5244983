// Short notices at the edge of the page: of commands that failed, and of conversations that ended
// by themselves.

import { notifications } from '@mantine/notifications';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import { customerName } from '../store/select';
import { useAlerts, useDesk } from './context';
import { troubleText } from './trouble';

export function useDeskMessages(): void {
  const desk = useDesk();
  const alerts = useAlerts();
  const navigate = useNavigate();
  const { t } = useTranslation();
  useEffect(() => {
    alerts.onRecent = (conversation) => void navigate(`/recent/${conversation}`);
    return () => {
      alerts.onRecent = undefined;
    };
  }, [alerts, navigate]);
  useEffect(() => {
    const close = { 'aria-label': t('close') };
    desk.events.failed = (command, err) => {
      notifications.show({
        color: 'red',
        title: t(`failed.${command}`, { defaultValue: t('failed.any') }),
        message: troubleText(t, { code: err.code, text: err.message }),
        closeButtonProps: close,
      });
    };
    desk.events.gone = (c, finished) => {
      if (finished) return;
      const ended = c.items.findLast((i) => i.kind === 'line' && i.line === 'ended');
      const cause = ended?.kind === 'line' ? (ended.cause ?? '') : '';
      const name = customerName(c) || t('customer.unknown');
      notifications.show({
        title: c.phase !== 'open' ? t('session.ended') : t(c.parkedBy ? 'gone.parked' : 'gone.left', { name }),
        message: (
          <>
            {c.phase === 'open' ? '' : `${t(`gone.${cause}`, { name, defaultValue: t('gone.any', { name }) })} `}
            <Link to={`/recent/${c.id}`}>{t('gone.transcript')}</Link>
          </>
        ),
        closeButtonProps: close,
      });
    };
    return () => {
      desk.events.failed = undefined;
      desk.events.gone = undefined;
    };
  }, [desk, t]);
}
