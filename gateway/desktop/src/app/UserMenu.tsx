import { Menu, UnstyledButton } from '@mantine/core';
import { initials as lettersOf } from '@parley/shared/format';
import { IconCommand, IconKeyboard, IconLogout, IconMoon, IconSettings, IconSun } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { setPrefs } from '../store/prefs';
import { useDeskState } from './context';
import { DropMenu } from './DropMenu';
import { useAskedLogout } from './logout';
import { useDark } from './scheme';
import classes from './TopBar.module.css';
import { openDialog } from './ui';

export function UserMenu() {
  const { t } = useTranslation();
  const user = useDeskState((s) => s.user);
  const version = useDeskState((s) => s.version);
  const logout = useAskedLogout();
  const dark = useDark();
  const [opened, setOpened] = useState(false);
  if (!user) return null;
  return (
    <DropMenu
      opened={opened}
      onChange={setOpened}
      width={230}
      target={
        <UnstyledButton aria-label={t('user.menu', { name: user.name })} p={3} style={{ borderRadius: '50%' }}>
          <span className={classes.avatar} aria-hidden>
            {initials(user.name)}
          </span>
        </UnstyledButton>
      }
    >
      <Menu.Label>
        {user.name} · {t(`role.${user.role}`, { defaultValue: user.role })}
      </Menu.Label>
      <Menu.Item leftSection={<IconSettings size={16} />} onClick={() => openDialog({ kind: 'settings' })}>
        {t('user.settings')}
      </Menu.Item>
      <Menu.Item
        leftSection={dark ? <IconSun size={16} /> : <IconMoon size={16} />}
        onClick={() => setPrefs({ theme: dark ? 'light' : 'dark' })}
      >
        {t(dark ? 'user.light' : 'user.dark')}
      </Menu.Item>
      <Menu.Item leftSection={<IconCommand size={16} />} onClick={() => openDialog({ kind: 'palette' })}>
        {t('user.palette')}
      </Menu.Item>
      <Menu.Item leftSection={<IconKeyboard size={16} />} onClick={() => openDialog({ kind: 'help' })}>
        {t('user.keys')}
      </Menu.Item>
      <Menu.Divider />
      <Menu.Item leftSection={<IconLogout size={16} />} onClick={logout}>
        {t('user.logout')}
      </Menu.Item>
      {version && <Menu.Label>Parley {version}</Menu.Label>}
    </DropMenu>
  );
}

/** Two letters of a name; for a number, "#". */
export function initials(name: string): string {
  return /^\+?\d/.test(name) ? '#' : lettersOf(name);
}
