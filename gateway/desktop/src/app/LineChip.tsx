import { IconPlugConnected, IconPlugConnectedX } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { LineState } from './lineState';
import classes from './TopBar.module.css';

/**
 * The connection's state in the top bar. While the gateway is away for a moment only, nothing on
 * the screen moves.
 */
export function LineChip({ state }: { state: LineState }) {
  const { t } = useTranslation();
  const shown = state === 'down' || state === 'back';
  const Icon = state === 'back' ? IconPlugConnected : IconPlugConnectedX;
  return (
    <div role="status" className={shown ? classes.line : undefined} data-state={state}>
      {shown && (
        <>
          <Icon size={16} aria-hidden />
          <span>{t(state === 'back' ? 'link.back' : 'link.reconnecting')}</span>
        </>
      )}
    </div>
  );
}
