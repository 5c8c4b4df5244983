import { Button } from '@mantine/core';
import { IconVolumeOff } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useStore } from 'zustand';
import { sound } from '../alert/tones';
import classes from './Banner.module.css';
import { useAlerts, useDeskState, usePrefs } from './context';

/**
 * Shown while an agent who may get offers cannot hear the ring, because the browser wants a click
 * first.
 */
export function SoundBanner() {
  const { t } = useTranslation();
  const alerts = useAlerts();
  const unlocked = useStore(sound, (s) => s.unlocked);
  const wanted = usePrefs((p) => p.offerTone && p.volume > 0);
  const rings = useDeskState((s) => s.agent?.status === 'ready' || s.agent?.status === 'busy' || s.offers.length > 0);
  if (unlocked || !wanted || !rings) return null;
  return (
    <div className={classes.banner} data-tone="away">
      <IconVolumeOff size={18} aria-hidden />
      <div className={classes.text} role="status">
        {t('sound.blocked')}
      </div>
      <Button size="compact-sm" variant="default" onClick={() => alerts.tones.unlock()}>
        {t('sound.unlock')}
      </Button>
    </div>
  );
}
