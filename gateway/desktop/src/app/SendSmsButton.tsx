import { Button, Tooltip } from '@mantine/core';
import { IconDeviceMobile } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useSenders } from '../api/senders';
import { usePrefs } from './context';
import { ariaKeys } from './keys';
import classes from './TopBar.module.css';
import { openDialog } from './ui';

/**
 * The button that begins a text (N2); shown only where the agent may text and has a number to text
 * from.
 */
export function SendSmsButton() {
  const { t } = useTranslation();
  const keys = usePrefs((p) => p.shortcuts);
  const { data, isError } = useSenders();
  // If the list of senders could not be loaded the button stays: the dialog says so, and tries
  // again.
  if (!isError && !data?.length) return null;
  return (
    <Tooltip label={t('sms.send')}>
      <Button
        className={classes.sms}
        variant="default"
        leftSection={<IconDeviceMobile size={17} aria-hidden />}
        aria-label={t('sms.send')}
        aria-keyshortcuts={ariaKeys('W', keys)}
        onClick={() => openDialog({ kind: 'sms' })}
      >
        <span className={classes.linkText}>{t('sms.send')}</span>
      </Button>
    </Tooltip>
  );
}
