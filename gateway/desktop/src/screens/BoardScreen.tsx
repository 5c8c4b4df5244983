// The board for supervisors: the team and its queues, live and read only.

import { Alert, Loader } from '@mantine/core';
import type { AgentStatus, BoardAgent, BoardQueue } from '@parley/shared/protocol';
import { type ReactNode, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate } from 'react-router';
import { reasonText, stateIcons, stateTones } from '../app/agentState';
import { Since } from '../app/Clock';
import { useDesk, useDeskState } from '../app/context';
import { timeOfDay } from '../text/time';
import classes from './Board.module.css';

const order: AgentStatus[] = ['busy', 'ready', 'acw', 'not_ready', 'logged_out'];

export function BoardScreen() {
  const { t, i18n } = useTranslation();
  const desk = useDesk();
  const allowed = useDeskState((s) => s.user?.role === 'supervisor' || s.user?.role === 'admin');
  const board = useDeskState((s) => s.board);
  const online = useDeskState((s) => s.link.phase === 'online');
  useEffect(() => (allowed ? desk.watchBoard() : undefined), [desk, allowed]);
  if (!allowed) return <Navigate to="/" replace />;
  if (!board) {
    return (
      <div className={classes.page} role="status" aria-label={t('link.loading')}>
        <Loader size="sm" />
      </div>
    );
  }
  const agents = [...(board.agents ?? [])].sort(
    (a, b) => order.indexOf(a.status) - order.indexOf(b.status) || a.name.localeCompare(b.name, i18n.language),
  );
  const queues = [...(board.queues ?? [])].sort(
    (a, b) => b.waiting - a.waiting || a.name.localeCompare(b.name, i18n.language),
  );
  const here = agents.filter((a) => a.status !== 'logged_out');
  return (
    <div className={classes.page}>
      <h1 className={classes.title}>{t('nav.board')}</h1>
      {!online && (
        <Alert color="yellow" mb="md" role="status">
          {t('board.stale', { time: timeOfDay(board.at, i18n.language) })}
        </Alert>
      )}
      <div className={classes.sums}>
        <Sum
          value={sum(queues, (q) => q.waiting)}
          label={t('board.waiting')}
          warn={sum(queues, (q) => q.waiting) > 0}
        />
        <Sum value={sum(queues, (q) => q.active)} label={t('board.inProgress')} />
        <Sum value={here.filter((a) => a.status === 'ready').length} label={t('state.ready')} />
        <Sum value={here.filter((a) => a.status === 'busy').length} label={t('state.busy')} />
        <Sum value={here.filter((a) => a.status === 'acw').length} label={t('state.acw')} />
        <Sum value={here.filter((a) => a.status === 'not_ready').length} label={t('state.not_ready')} />
      </div>
      <Table
        caption={t('board.queues')}
        heads={['service', 'waiting', 'oldest', 'offered', 'inProgress', 'agentsReady', 'agentsIn']}
        none={t('board.noQueues')}
        rows={queues.map((q) => <QueueRow key={q.service} queue={q} />)}
      />
      <Table
        caption={t('board.agents')}
        heads={['agent', 'state', 'since', 'conversations', 'wrapup', 'load']}
        none={t('board.noAgents')}
        rows={agents.map((a) => <AgentRow key={a.id} agent={a} />)}
      />
    </div>
  );
}

function Table({ caption, heads, rows, none }: { caption: string; heads: string[]; rows: ReactNode[]; none: string }) {
  const { t } = useTranslation();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by key
    <section className={classes.frame} tabIndex={0} aria-label={caption}>
      <table className={classes.table}>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {heads.map((h, i) => (
              <th key={h} scope="col" data-number={i > 0 && h !== 'state' ? true : undefined}>
                {t(`board.${h}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{rows}</tbody>
      </table>
      {rows.length === 0 && <p className={classes.none}>{none}</p>}
    </section>
  );
}

function QueueRow({ queue: q }: { queue: BoardQueue }) {
  return (
    <tr>
      <th scope="row">{q.name}</th>
      <td data-number data-warn={q.waiting > 0 || undefined}>
        {q.waiting}
      </td>
      <td data-number>{q.waiting > 0 && q.oldest_since ? <Since at={q.oldest_since} /> : '–'}</td>
      <td data-number>{q.offered}</td>
      <td data-number>{q.active}</td>
      <td data-number>{q.agents_ready}</td>
      <td data-number>{q.agents_served}</td>
    </tr>
  );
}

function AgentRow({ agent: a }: { agent: BoardAgent }) {
  const { t } = useTranslation();
  const Icon = stateIcons[a.status];
  const reason = a.status === 'not_ready' ? reasonText(t, a.reason ?? '') : '';
  return (
    <tr data-out={a.status === 'logged_out' || undefined}>
      <th scope="row">{a.name}</th>
      <td>
        <span className={classes.state} data-tone={stateTones[a.status]}>
          <Icon size={16} aria-hidden />
          {t(`state.${a.status}`)}
          {reason && ` (${reason})`}
          {a.pending && ` · ${t('board.pending')}`}
          {a.offers > 0 && ` · ${t('board.ringing')}`}
        </span>
      </td>
      <td data-number>{a.since && a.status !== 'logged_out' ? <Since at={a.since} /> : '–'}</td>
      <td data-number>{a.active}</td>
      <td data-number>{a.wrapup}</td>
      <td data-number>{a.status === 'logged_out' ? '–' : `${a.load} %`}</td>
    </tr>
  );
}

function Sum({ value, label, warn = false }: { value: number; label: string; warn?: boolean }) {
  return (
    <div className={classes.sum} data-warn={warn || undefined}>
      <strong className="tabular">{value}</strong>
      <span>{label}</span>
    </div>
  );
}

function sum<T>(list: T[], of: (item: T) => number): number {
  return list.reduce((n, item) => n + of(item), 0);
}
