// The command palette (Ctrl/Cmd+K): finds every action and every conversation by a few letters of
// its name.

import { Kbd, Modal, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { setPrefs } from '../store/prefs';
import { customerName, isActive, mayText, takesFiles } from '../store/select';
import { reasons, reasonText } from './agentState';
import { useDesk, useDeskState, usePrefs } from './context';
import { firstFocus } from './focus';
import { type Action, keysOf, shortcuts } from './keys';
import { useAskedLogout } from './logout';
import classes from './Palette.module.css';
import { useDark } from './scheme';
import { useActions } from './shortcuts';
import { openDialog } from './ui';

interface Entry {
  id: string;
  text: string;
  keys?: string[];
  run: () => void;
}

export function Palette({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const id = useId();
  const entries = useEntries();
  const [search, setSearch] = useState('');
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const found = entries.filter((e) => words.every((w) => e.text.toLocaleLowerCase().includes(w)));
  const current = Math.min(at, Math.max(0, found.length - 1));

  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  });

  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    entry.run();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      setAt((current + (e.key === 'ArrowDown' ? 1 : -1) + found.length) % Math.max(1, found.length));
    } else if (e.key === 'Enter') {
      e.preventDefault();
      run(found[current]);
    }
  };

  return (
    <Modal
      opened
      onClose={onClose}
      withCloseButton={false}
      padding={0}
      yOffset="12vh"
      centered={false}
      aria-label={t('palette.title')}
    >
      <TextInput
        {...firstFocus}
        size="md"
        variant="unstyled"
        className={classes.input}
        leftSection={<IconSearch size={18} aria-hidden />}
        placeholder={t('palette.placeholder')}
        role="combobox"
        aria-label={t('palette.title')}
        aria-expanded
        aria-controls={`${id}l`}
        aria-activedescendant={found[current] ? `${id}${found[current].id}` : undefined}
        aria-autocomplete="list"
        value={search}
        onChange={(e) => {
          setSearch(e.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div ref={list} id={`${id}l`} role="listbox" aria-label={t('palette.results')} className={classes.list}>
        {found.map((e, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the input keeps the focus and handles the keys
          <div
            key={e.id}
            id={`${id}${e.id}`}
            role="option"
            tabIndex={-1}
            aria-selected={i === current}
            className={classes.entry}
            onClick={() => run(e)}
            onMouseMove={() => setAt(i)}
          >
            <span>{e.text}</span>
            <span className={classes.keys}>
              {e.keys?.map((k) => (
                <Kbd key={k}>{k}</Kbd>
              ))}
            </span>
          </div>
        ))}
      </div>
      {found.length === 0 && (
        <p className={classes.none} role="status">
          {t('palette.none')}
        </p>
      )}
    </Modal>
  );
}

function useEntries(): Entry[] {
  const { t } = useTranslation();
  const desk = useDesk();
  const act = useActions();
  const navigate = useNavigate();
  const logout = useAskedLogout();
  const dark = useDark();
  const modifiers = usePrefs((p) => p.shortcuts);
  const s = useDeskState((x) => x);

  const current = s.focus ? s.conversations[s.focus] : undefined;
  const active = current !== undefined && isActive(current);
  const possible: Partial<Record<Action, boolean>> = {
    accept: s.offers.length > 0,
    open: s.offers.length > 0 && s.active.length > 0,
    reject: s.offers.length > 0,
    previous: false,
    next: false,
    end: active,
    transfer: active,
    attach: active && takesFiles(current),
    info: false,
    composer: active,
    state: false,
    sms: mayText(s),
  };
  const supervisor = s.user?.role === 'supervisor' || s.user?.role === 'admin';
  const go = (to: string) => () => void navigate(to);
  const entries: (Entry | false)[] = [
    ...shortcuts
      .filter((x) => possible[x.action])
      .map((x) => ({
        id: x.action,
        text: t(`action.${x.action}`),
        keys: modifiers === 'off' ? undefined : keysOf(x.label, modifiers),
        run: () => act(x.action),
      })),
    ...s.active.map((id, i): Entry | false => {
      const c = s.conversations[id];
      return (
        c !== undefined && {
          id: `c${id}`,
          text: t('palette.goto', { name: customerName(c) || t('customer.unknown') }),
          keys: modifiers === 'off' || i > 8 ? undefined : keysOf(String(i + 1), modifiers),
          run: () => {
            void navigate('/');
            desk.focus(id);
          },
        }
      );
    }),
    { id: 'ready', text: t('palette.ready'), run: () => void desk.ready() },
    ...reasons.map((r) => ({
      id: `nr-${r}`,
      text: t('palette.notReady', { reason: reasonText(t, r) }),
      run: () => void desk.notReady(r),
    })),
    { id: 'desk', text: t('nav.desk'), run: go('/') },
    { id: 'recent', text: t('nav.recent'), run: go('/recent') },
    supervisor && { id: 'board', text: t('nav.board'), run: go('/board') },
    { id: 'settings', text: t('user.settings'), run: () => openDialog({ kind: 'settings' }) },
    {
      id: 'theme',
      text: t(dark ? 'user.light' : 'user.dark'),
      run: () => setPrefs({ theme: dark ? 'light' : 'dark' }),
    },
    { id: 'help', text: t('user.keys'), keys: ['?'], run: () => openDialog({ kind: 'help' }) },
    { id: 'logout', text: t('user.logout'), run: logout },
  ];
  return entries.filter((e) => e !== false);
}
