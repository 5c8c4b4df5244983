import type { Disposition } from '@parley/shared/protocol';
import {
  IconAlertCircle,
  IconBan,
  IconCircleCheck,
  IconClockExclamation,
  IconDoorExit,
  IconEye,
  IconFlag,
  IconLogin2,
  IconPencil,
  IconUserPlus,
} from '@tabler/icons-react';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { useDeskState } from '../app/context';
import type { LineItem } from '../store/timeline';
import { timeOfDay } from '../text/time';
import classes from './MessageRow.module.css';

const icons: Partial<Record<LineItem['line'], typeof IconFlag>> = {
  joined: IconLogin2,
  left: IconDoorExit,
  warned: IconClockExclamation,
  flagged: IconFlag,
  supervises: IconEye,
  invited: IconUserPlus,
  invite_declined: IconAlertCircle,
  opted_out: IconBan,
  opted_in: IconCircleCheck,
  wrapup_done: IconPencil,
};

/**
 * A line between the messages: who joined and left, what the system said, how the conversation
 * ended.
 */
export const LineRow = memo(function LineRow({
  line: l,
  dispositions,
}: {
  line: LineItem;
  dispositions: readonly Disposition[];
}) {
  const { t, i18n } = useTranslation();
  const me = useDeskState((s) => s.user?.id);
  const own = l.agent !== undefined && l.agent === me;
  const unnamed = l.bot ? 'author.bot' : l.mode ? 'author.supervisor' : 'author.agent';
  const who = own ? t('you') : l.who || t(unnamed);
  const Icon = icons[l.line];
  const disposition = dispositions.find((d) => d.code === l.disposition)?.name ?? l.disposition;
  const name = own ? 'own' : 'other';
  let text: string;
  switch (l.line) {
    case 'ended':
      text = t('session.ended');
      break;
    case 'warned':
      text = l.text || t('line.warned');
      break;
    case 'opted_out':
    case 'opted_in':
      text = t(`line.${l.line}`, { keyword: l.text || (l.line === 'opted_out' ? 'STOP' : 'START') });
      break;
    case 'supervises':
      text = t(`line.${l.mode}_${name}`, { who });
      break;
    case 'supervised':
    case 'joined':
    case 'left':
    case 'invited':
    case 'wrapup_done':
      text = t(`line.${l.line}_${name}`, { who });
      break;
    case 'invite_declined':
      text = t(l.cause === 'expired' ? 'line.invite_expired' : 'line.invite_declined', {
        who: l.who || t('author.agent'),
      });
      break;
    default:
      text = t(`line.${l.line}`, { who });
  }
  return (
    <div
      className={classes.line}
      data-strong={l.line === 'ended' || undefined}
      data-warn={l.line === 'warned' || l.line === 'opted_out' || undefined}
    >
      <div>
        {Icon && <Icon size={15} aria-hidden />}
        <span>{text}</span>
        {l.line === 'ended' && <EndCause line={l} who={who} own={l.by?.agent !== undefined && l.by.agent === me} />}
        {disposition && <strong>{disposition}</strong>}
        <time className={classes.lineTime} dateTime={l.at}>
          {timeOfDay(l.at, i18n.language)}
        </time>
        {l.line === 'wrapup_done' && l.text && <span className={classes.notes}>{l.text}</span>}
      </div>
    </div>
  );
});

function EndCause({ line: l, who, own }: { line: LineItem; who: string; own: boolean }) {
  const { t } = useTranslation();
  const cause = own ? 'own' : (l.cause ?? '');
  const text = t(`line.cause.${cause}`, { who, defaultValue: '' });
  return text ? <span className={classes.lineTime}>{text}</span> : null;
}
