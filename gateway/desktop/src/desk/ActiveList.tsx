// The Active Communications List: which conversations this agent has open, which one is in focus,
// and which need attention.

import { IconHistory } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useDeskState } from '../app/context';
import { ActiveItem } from './ActiveItem';
import classes from './ActiveList.module.css';

const beat = 550;

export function ActiveList() {
  const { t } = useTranslation();
  const active = useDeskState((s) => s.active);
  const list = useRef<HTMLElement>(null);
  // The attribute by which icons blink (K2) is toggled here: two style changes a second, where a
  // CSS animation would cost sixty.
  useEffect(() => {
    const timer = setInterval(() => list.current?.toggleAttribute('data-beat'), beat);
    return () => clearInterval(timer);
  }, []);
  return (
    <nav ref={list} className={classes.list} aria-label={t('acl.label')}>
      <h2 className={classes.title}>
        {t('acl.title')}
        {active.length > 0 && <span className={classes.count}>{active.length}</span>}
      </h2>
      {active.length === 0 ? (
        <p className={classes.none}>{t('acl.none')}</p>
      ) : (
        <ul className={classes.items}>
          {active.map((id, i) => (
            <ActiveItem key={id} id={id} place={i + 1} />
          ))}
        </ul>
      )}
      <Waiting />
    </nav>
  );
}

/** How many messages wait in Recent (O1); shown only if there are any. */
function Waiting() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const count = useDeskState((s) => s.recent.unread);
  if (count === 0) return null;
  return (
    <button
      type="button"
      className={`${classes.item} ${classes.waiting}`}
      aria-label={t('acl.waiting', { count })}
      onClick={() => void navigate('/recent')}
    >
      <span className={classes.icon} data-member="parked">
        <IconHistory size={18} aria-hidden />
        <span className={classes.badge} aria-hidden>
          {count > 99 ? '99+' : count}
        </span>
      </span>
      <span className={classes.name}>{t('nav.recent')}</span>
    </button>
  );
}
