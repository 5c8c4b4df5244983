// The agent's state, how long it has lasted, and how the agent can change it (A1, A12, A15).

import { Menu } from '@mantine/core';
import { IconCheck, IconChevronDown } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { reasons, reasonText, stateIcons, stateTones } from './agentState';
import { Since } from './Clock';
import { useDesk, useDeskState } from './context';
import { DropMenu } from './DropMenu';
import classes from './StateControl.module.css';
import { useUi } from './ui';

export function StateControl() {
  const { t } = useTranslation();
  const desk = useDesk();
  const agent = useDeskState((s) => s.agent);
  const online = useDeskState((s) => s.link.phase === 'online');
  const opened = useUi((s) => s.stateMenu);
  if (!agent) return null;

  const { status, pending } = agent;
  const Icon = stateIcons[status];
  const working = status === 'busy' || status === 'acw';
  const reason = status === 'not_ready' ? reasonText(t, agent.reason ?? '') : '';

  return (
    <DropMenu
      opened={opened}
      onChange={(stateMenu) => useUi.setState({ stateMenu })}
      width={250}
      target={
        <button
          type="button"
          className={classes.control}
          data-tone={stateTones[status]}
          disabled={!online}
          aria-label={t('state.label', {
            state: t(`state.${status}`) + (reason ? ` (${reason})` : ''),
            pending: pending ? t('state.after', { reason: reasonText(t, pending) }) : '',
          })}
        >
          <Icon size={18} aria-hidden />
          <span className={classes.words}>
            <span className={classes.name}>{t(`state.${status}`)}</span>
            {reason && <span className={classes.reason}>{reason}</span>}
            {pending && <span className={classes.reason}>{t('state.after', { reason: reasonText(t, pending) })}</span>}
          </span>
          <Since at={agent.since} />
          <IconChevronDown size={14} aria-hidden />
        </button>
      }
    >
      {working ? (
        <>
          <Menu.Item
            leftSection={<stateIcons.ready size={16} className={classes.ready} />}
            rightSection={!pending && <IconCheck size={14} />}
            onClick={() => desk.ready()}
          >
            {t('state.stay')}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Label>{t('state.preset')}</Menu.Label>
        </>
      ) : (
        <>
          <Menu.Item
            leftSection={<stateIcons.ready size={16} className={classes.ready} />}
            rightSection={status === 'ready' && <IconCheck size={14} />}
            onClick={() => desk.ready()}
          >
            {t('state.ready')}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Label>{t('state.not_ready')}</Menu.Label>
        </>
      )}
      {reasons.map((r) => (
        <Menu.Item
          key={r}
          leftSection={<stateIcons.not_ready size={16} className={classes.away} />}
          rightSection={
            (working ? pending === r : status === 'not_ready' && agent.reason === r) && <IconCheck size={14} />
          }
          onClick={() => desk.notReady(r)}
        >
          {reasonText(t, r)}
        </Menu.Item>
      ))}
    </DropMenu>
  );
}
