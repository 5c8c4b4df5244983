// The Active Communications List: what this agent has open, which one is in focus, and which ones call for attention.

import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useDeskState } from '../app/context';
import { ActiveItem } from './ActiveItem';
import classes from './ActiveList.module.css';

const beat = 550;

export function ActiveList() {
  const { t } = useTranslation();
  const active = useDeskState((s) => s.active);
  const list = useRef<HTMLElement>(null);
  // The beat that icons blink by (K2): two style changes a second, where a CSS animation would cost sixty.
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
    </nav>
  );
}
