import { Tooltip } from '@mantine/core';
import { IconHistory, IconLayoutDashboard, IconMessages } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { NavLink } from 'react-router';
import { mayText } from '../store/select';
import { useDeskState } from './context';
import { LineChip } from './LineChip';
import { Logo } from './Logo';
import type { LineState } from './lineState';
import { SendSmsButton } from './SendSmsButton';
import { StateControl } from './StateControl';
import classes from './TopBar.module.css';
import { UserMenu } from './UserMenu';

export function TopBar({ line }: { line: LineState }) {
  const { t } = useTranslation();
  const supervisor = useDeskState((s) => s.user?.role === 'supervisor' || s.user?.role === 'admin');
  const texts = useDeskState(mayText);
  const waiting = useDeskState((s) => s.recent.unread);
  const screens = [
    { to: '/', label: t('nav.desk'), Icon: IconMessages },
    { to: '/recent', label: t('nav.recent'), Icon: IconHistory },
    ...(supervisor ? [{ to: '/board', label: t('nav.board'), Icon: IconLayoutDashboard }] : []),
  ];
  return (
    <header className={classes.bar}>
      <span className={classes.brand}>
        <Logo />
        <span className={classes.wordmark}>Parley</span>
      </span>
      <nav className={classes.nav} aria-label={t('nav.label')}>
        {screens.map(({ to, label, Icon }) => (
          <Tooltip key={to} label={label} events={{ hover: true, focus: true, touch: false }} hiddenFrom="md">
            <NavLink to={to} end={to === '/'} className={classes.link}>
              <Icon size={18} aria-hidden />
              <span className={classes.linkText}>{label}</span>
              {to === '/recent' && <Badge count={waiting} />}
            </NavLink>
          </Tooltip>
        ))}
      </nav>
      {texts && <SendSmsButton />}
      <div className={classes.right}>
        <LineChip state={line} />
        <StateControl />
        <UserMenu />
      </div>
    </header>
  );
}

/** The circular badge with the number of messages that wait in Recent (O1). */
function Badge({ count }: { count: number }) {
  const { t } = useTranslation();
  if (count === 0) return null;
  return (
    <span className={classes.badge}>
      <span aria-hidden>{count > 99 ? '99+' : count}</span>
      <span className="sr-only">{t('acl.unread', { count })}</span>
    </span>
  );
}
