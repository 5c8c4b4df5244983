import { IconClockExclamation, IconFlagFilled, IconPencil, IconPlugConnectedX } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useStore } from 'zustand';
import { Since, Until } from '../app/Clock';
import { useDesk, useDeskState, useNow, usePrefs } from '../app/context';
import { ariaKeys } from '../app/keys';
import type { Conversation } from '../store/conversation';
import { draftKey, drafts } from '../store/drafts';
import { customerName, isActive, unreadCount } from '../store/select';
import { clock } from '../text/time';
import classes from './ActiveList.module.css';
import { ChannelIcon } from './ChannelIcon';
import { useTyping } from './typing';

export function ActiveItem({ id, place }: { id: string; place: number }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const c = useDeskState((s) => s.conversations[id]);
  const focused = useDeskState((s) => s.focus === id);
  const me = useDeskState((s) => s.user?.id ?? '');
  const readHere = useDeskState((s) => s.readHere[id]);
  const keys = usePrefs((p) => p.shortcuts);
  const draft = useStore(drafts, (d) => Boolean(d.texts[draftKey(me, id)]));
  const typing = useTyping(id);
  const lateAfter = usePrefs((p) => p.lateAfter);
  const now = useNow();
  if (!c) return null;

  const unread = c.member === 'joined' ? unreadCount(c, me, readHere) : 0;
  const name = customerName(c) || t('customer.unknown');
  const service = c.info?.service?.name ?? c.service?.name ?? '';
  // The label leaves out the last message: someone who listens to the list wants to know whose
  // entry it is.
  const label = [
    name,
    c.info?.title ?? c.channel,
    service,
    unread > 0 && t('acl.unread', { count: unread }),
    c.member === 'wrapup' && t('state.acw'),
    isActive(c) && c.unansweredSince && now - Date.parse(c.unansweredSince) >= lateAfter * 1000 && t('acl.late'),
    draft && t('acl.draft'),
    c.flagged && t('acl.flagged'),
    c.present === false && isActive(c) && t('acl.offline'),
  ]
    .filter(Boolean)
    .join(', ');
  return (
    <li>
      <button
        type="button"
        className={classes.item}
        aria-label={label}
        aria-current={focused || undefined}
        aria-keyshortcuts={place <= 9 ? ariaKeys(String(place), keys) : undefined}
        data-unread={unread > 0 || undefined}
        onClick={() => desk.focus(id)}
      >
        <span className={classes.icon} data-member={c.member} data-blink={(unread > 0 && !focused) || undefined}>
          <ChannelIcon icon={c.info?.icon} channel={c.channel} />
          {unread > 0 && (
            <span className={classes.badge} aria-hidden>
              {unread > 99 ? '99+' : unread}
            </span>
          )}
        </span>
        <span className={classes.main}>
          <span className={classes.row}>
            <span className={classes.name}>{name}</span>
            <span className={classes.time}>
              {c.member === 'wrapup' ? <WrapupTime c={c} /> : <Since at={c.sessionAt} />}
            </span>
          </span>
          <span className={classes.row}>
            <span className={classes.snippet}>
              {typing ? <em>{t('typing.short')}</em> : c.member === 'wrapup' ? t('state.acw') : lastText(c) || service}
            </span>
            <span className={classes.marks}>
              {draft && <IconPencil size={14} aria-hidden />}
              {c.flagged && <IconFlagFilled size={14} className={classes.flag} aria-hidden />}
              {c.present === false && isActive(c) && <IconPlugConnectedX size={14} aria-hidden />}
              {isActive(c) && c.unansweredSince && <Late since={c.unansweredSince} />}
            </span>
          </span>
        </span>
      </button>
    </li>
  );
}

function WrapupTime({ c }: { c: Conversation }) {
  return c.wrapupUntil ? <Until at={c.wrapupUntil} /> : <Since at={c.endedAt} />;
}

/** The sign that a reply is late (B2): an icon and the time, not a colour alone. */
function Late({ since }: { since: string }) {
  const after = usePrefs((p) => p.lateAfter);
  const waited = useNow() - Date.parse(since);
  if (waited < after * 1000) return null;
  return (
    <span className={classes.late} data-very={waited >= after * 2000 || undefined}>
      <IconClockExclamation size={14} aria-hidden />
      <span className="tabular">{clock(waited)}</span>
    </span>
  );
}

/** The latest message's text, which reminds the agent who the customer is. */
function lastText(c: Conversation): string {
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    if (item?.kind !== 'message') continue;
    const part = item.parts.find((p) => p.text || p.file);
    return part?.text || part?.file?.name || '';
  }
  return '';
}
