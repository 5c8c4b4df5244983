// Conversations that this agent had: a list to choose from and the transcript, read only.

import { ActionIcon, Alert, Button, Loader, TextInput } from '@mantine/core';
import { IconArrowLeft, IconSearch } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'react-router';
import { type Summary, useHistory, useRecent } from '../api/history';
import { ChannelIcon } from '../desk/ChannelIcon';
import { ContactPanel } from '../desk/ContactPanel';
import { Transcript } from '../desk/Transcript';
import { customerName } from '../store/select';
import { clock, dateAndTime } from '../text/time';
import classes from './Recent.module.css';

export function Recent() {
  const { t } = useTranslation();
  const { conversation } = useParams();
  const { data, isPending, isError, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useRecent();
  const [search, setSearch] = useState('');
  const wanted = search.trim().toLocaleLowerCase();
  const all = data?.pages.flatMap((p) => p.conversations ?? []) ?? [];
  const shown = all.filter(
    (s) => !wanted || `${nameOf(s)} ${s.service?.name ?? ''}`.toLocaleLowerCase().includes(wanted),
  );
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
        {data && shown.length === 0 && (
          <p className={classes.none}>{t(all.length > 0 ? 'palette.none' : 'recent.none')}</p>
        )}
        <ul className={classes.items}>
          {shown.map((s) => (
            <Item key={s.id} summary={s} chosen={s.id === conversation} />
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

function Item({ summary: s, chosen }: { summary: Summary; chosen: boolean }) {
  const { t, i18n } = useTranslation();
  return (
    <li>
      <Link to={`/recent/${s.id}`} className={classes.item} aria-current={chosen || undefined}>
        <span className={classes.icon}>
          <ChannelIcon icon={s.icon} channel={s.channel} />
        </span>
        <span className={classes.main}>
          <span className={classes.name}>{nameOf(s) || t('customer.unknown')}</span>
          <span className={classes.sub}>{s.service?.name}</span>
          <span className={classes.sub}>
            {dateAndTime(s.started_at, i18n.language)}
            {' · '}
            {s.ended_at ? clock(Date.parse(s.ended_at) - Date.parse(s.started_at)) : t('recent.open')}
          </span>
        </span>
      </Link>
    </li>
  );
}

function History({ id }: { id: string }) {
  const { t } = useTranslation();
  const { data: c, isPending, isError, refetch } = useHistory(id);
  const back = (
    <ActionIcon component={Link} to="/recent" className={classes.back} aria-label={t('recent.back')}>
      <IconArrowLeft size={19} />
    </ActionIcon>
  );
  if (isPending || isError) {
    return (
      <div className={classes.choose}>
        {back}
        {isPending ? (
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
          <span className={classes.badge}>{t('recent.readOnly')}</span>
        </header>
        <Transcript conversation={c} readOnly />
      </section>
      <aside className={classes.info} aria-label={t('contact.region')}>
        <ContactPanel conversation={c} readOnly />
      </aside>
    </>
  );
}

function nameOf(s: Summary): string {
  return s.customer?.name ?? '';
}
