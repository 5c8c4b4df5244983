// Conversations that this agent had: a list and the transcript of the chosen one. Exchanges that
// wait for a reply come first (N16, O1) and can be taken up.

import { ActionIcon, Alert, Button, Loader, TextInput } from '@mantine/core';
import type { Summary } from '@parley/shared/protocol';
import { IconArrowLeft, IconSearch } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams } from 'react-router';
import { useHistory, useOpenRecent, useRecent } from '../api/history';
import { useDesk, useDeskState } from '../app/context';
import { useUi } from '../app/ui';
import { useVisible } from '../app/visible';
import { ChannelIcon } from '../desk/ChannelIcon';
import { ContactPanel } from '../desk/ContactPanel';
import { Transcript } from '../desk/Transcript';
import type { Conversation } from '../store/conversation';
import { customerName, takesUp } from '../store/select';
import { clock, dateAndTime } from '../text/time';
import classes from './Recent.module.css';

export function Recent() {
  const { t } = useTranslation();
  const { conversation } = useParams();
  const { data, isPending, isError, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useRecent();
  const open = useOpenRecent();
  const marks = useMarks(conversation);
  const [search, setSearch] = useState('');
  const wanted = search.trim().toLocaleLowerCase();
  const all = data?.pages.flatMap((p) => p.conversations ?? []) ?? [];
  const fits = (s: Summary) => !wanted || `${nameOf(s)} ${s.service?.name ?? ''}`.toLocaleLowerCase().includes(wanted);
  // Unread exchanges come first; within each group the newest is first, as in the list.
  const waiting = (open.data?.conversations ?? [])
    .filter((s) => s.display === 'parked' || marks[s.id])
    .sort((a, b) => Number(Boolean(marks[b.id])) - Number(Boolean(marks[a.id])));
  const first = new Set(waiting.map((s) => s.id));
  const waits = waiting.filter(fits);
  const shown = all.filter((s) => !first.has(s.id) && fits(s));
  return (
    <div className={classes.page} data-chosen={conversation ? true : undefined}>
      <section className={classes.side} aria-label={t('recent.title')}>
        <h1 className={classes.title}>{t('recent.title')}</h1>
        <TextInput
          size="sm"
          mb="xs"
          aria-label={t('recent.search')}
          placeholder={t('recent.search')}
          leftSection={<IconSearch size={16} aria-hidden />}
          value={search}
          onChange={(e) => setSearch(e.currentTarget.value)}
        />
        {isPending && <Loader size="sm" role="status" aria-label={t('link.loading')} />}
        {isError && (
          <Alert color="red">
            {t('recent.unavailable')}
            <Button mt="xs" size="compact-sm" variant="default" onClick={() => void refetch()}>
              {t('recent.retry')}
            </Button>
          </Alert>
        )}
        {data && shown.length + waits.length === 0 && (
          <p className={classes.none}>{t(all.length + waiting.length > 0 ? 'palette.none' : 'recent.none')}</p>
        )}
        {waits.length > 0 && (
          <>
            <h2 className={classes.heading}>{t('recent.waiting')}</h2>
            <ul className={classes.items}>
              {waits.map((s) => (
                <Item key={s.id} summary={s} chosen={s.id === conversation} unread={marks[s.id] ?? 0} />
              ))}
            </ul>
            {shown.length > 0 && <h2 className={classes.heading}>{t('recent.earlier')}</h2>}
          </>
        )}
        <ul className={classes.items}>
          {shown.map((s) => (
            <Item key={s.id} summary={s} chosen={s.id === conversation} unread={marks[s.id] ?? 0} />
          ))}
        </ul>
        {hasNextPage && (
          <Button variant="default" fullWidth mt="xs" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {t('recent.more')}
          </Button>
        )}
      </section>
      {conversation ? (
        <History key={conversation} id={conversation} />
      ) : (
        <div className={classes.choose}>{t('recent.choose')}</div>
      )}
    </div>
  );
}

/**
 * Unread messages by conversation. Visiting this screen resets the badge (O2); the entries keep
 * their marks as long as the visit lasts.
 */
function useMarks(chosen: string | undefined): Record<string, number> {
  const desk = useDesk();
  const queries = useQueryClient();
  const visible = useVisible();
  const online = useDeskState((s) => s.link.phase === 'online');
  const recent = useDeskState((s) => s.recent);
  const seen = useDeskState((s) => s.recentSeen);
  const active = useDeskState((s) => s.active);

  // The lists are loaded again when a message came in, or an exchange was taken up or parked.
  const first = useRef(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of these values is the occasion
  useEffect(() => {
    if (first.current) first.current = false;
    else void queries.invalidateQueries({ queryKey: ['recent'] });
  }, [recent.items, active, queries]);
  useEffect(() => {
    if (visible && online && recent.unread > 0) void desk.seeRecent();
  }, [visible, online, recent, desk]);
  useEffect(() => {
    if (visible && chosen && seen[chosen]) desk.forgetSeen(chosen);
  }, [visible, chosen, seen, desk]);
  useEffect(() => () => desk.forgetSeen(), [desk]);

  const marks = { ...seen };
  for (const [id, { unread }] of Object.entries(recent.items)) marks[id] = (marks[id] ?? 0) + unread;
  return marks;
}

function Item({ summary: s, chosen, unread }: { summary: Summary; chosen: boolean; unread: number }) {
  const { t, i18n } = useTranslation();
  return (
    <li>
      <Link
        to={`/recent/${s.id}`}
        className={classes.item}
        aria-current={chosen || undefined}
        data-unread={unread > 0 || undefined}
      >
        <span className={classes.icon}>
          <ChannelIcon icon={s.icon} channel={s.channel} />
        </span>
        <span className={classes.main}>
          <span className={classes.name}>{nameOf(s) || t('customer.unknown')}</span>
          <span className={classes.sub}>
            {[
              s.service?.name ?? s.account?.name,
              !s.ended_at && t(s.display === 'parked' ? 'recent.parked' : 'recent.open'),
            ]
              .filter(Boolean)
              .join(' · ')}
          </span>
          <span className={classes.sub}>
            {dateAndTime(s.started_at, i18n.language)}
            {s.ended_at && ` · ${clock(Date.parse(s.ended_at) - Date.parse(s.started_at))}`}
          </span>
        </span>
        {unread > 0 && (
          <span className={classes.unread}>
            <span aria-hidden>{unread > 99 ? '99+' : unread}</span>
            <span className="sr-only">{t('acl.unread', { count: unread })}</span>
          </span>
        )}
      </Link>
    </li>
  );
}

function History({ id }: { id: string }) {
  const { t } = useTranslation();
  const { data, isPending, isError, refetch } = useHistory(id);
  const c = useWatched(data);
  const back = (
    <ActionIcon component={Link} to="/recent" className={classes.back} aria-label={t('recent.back')}>
      <IconArrowLeft size={19} />
    </ActionIcon>
  );
  if (isPending || isError || !c) {
    return (
      <div className={classes.choose}>
        {back}
        {!isError ? (
          <Loader size="sm" role="status" aria-label={t('transcript.loading')} />
        ) : (
          <Alert color="red">
            {t('recent.missing')}
            <Button mt="xs" size="compact-sm" variant="default" onClick={() => void refetch()}>
              {t('recent.retry')}
            </Button>
          </Alert>
        )}
      </div>
    );
  }
  return (
    <>
      <section className={classes.panel} aria-label={t('conversation.region', { name: customerName(c) })}>
        <header className={classes.header}>
          {back}
          <h2 className={classes.headName}>{customerName(c) || t('customer.unknown')}</h2>
          <Next c={c} />
        </header>
        <Transcript conversation={c} readOnly />
      </section>
      <aside className={classes.info} aria-label={t('contact.region')}>
        <ContactPanel conversation={c} readOnly />
      </aside>
    </>
  );
}

/** Keeps an open conversation up to date while it is shown here. */
function useWatched(loaded: Conversation | undefined): Conversation | undefined {
  const desk = useDesk();
  const live = useDeskState((s) => (loaded ? s.conversations[loaded.id] : undefined));
  const goesOn = loaded?.phase === 'open';
  const start = useRef(loaded);
  start.current = loaded;
  useEffect(() => {
    if (goesOn && start.current) return desk.watch(start.current);
  }, [goesOn, desk]);
  return live ?? loaded;
}

/** What the agent can do with the conversation: go to it, take it up, or only read it. */
function Next({ c }: { c: Conversation }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const navigate = useNavigate();
  const me = useDeskState((s) => s.user?.id ?? '');
  const online = useDeskState((s) => s.link.phase === 'online');
  const waits = useDeskState((s) => s.recent.items[c.id] !== undefined || s.recentSeen[c.id] !== undefined);
  const [busy, setBusy] = useState(false);
  const go = () => {
    useUi.setState({ writeTo: c.id });
    void navigate('/');
  };
  if (c.member) {
    return (
      <Button
        className={classes.next}
        size="compact-md"
        variant="default"
        onClick={() => {
          desk.focus(c.id);
          go();
        }}
      >
        {t('sms.goThere')}
      </Button>
    );
  }
  if (!takesUp(c, me, waits)) return <span className={classes.badge}>{t('recent.readOnly')}</span>;
  const takeUp = async () => {
    setBusy(true);
    if (await desk.takeUp(c.id)) go();
    else setBusy(false);
  };
  return (
    <Button className={classes.next} size="compact-md" disabled={!online} loading={busy} onClick={() => void takeUp()}>
      {t('recent.takeUp')}
    </Button>
  );
}

function nameOf(s: Summary): string {
  return s.customer?.name || s.address || '';
}
