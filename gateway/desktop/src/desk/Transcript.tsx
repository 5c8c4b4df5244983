// The one chronological list of a conversation (B1, B3). Only the rows in view exist in the page,
// so a transcript of ten thousand messages scrolls like one of ten.

import { Button } from '@mantine/core';
import { IconArrowDown } from '@tabler/icons-react';
import { type HTMLAttributes, type Ref, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Virtuoso, type VirtuosoHandle } from 'react-virtuoso';
import { useDesk, useDeskState } from '../app/context';
import { useVisible } from '../app/visible';
import type { Conversation } from '../store/conversation';
import { customerName } from '../store/select';
import { keepScroll, keptScroll } from '../store/session';
import type { Outgoing } from '../store/state';
import { LineRow } from './LineRow';
import { DayRow, MessageRow } from './MessageRow';
import { NoteRow } from './NoteRow';
import { OutgoingRow } from './OutgoingRow';
import { type Row, rowsOf } from './rows';
import classes from './Transcript.module.css';
import { useTyping } from './typing';
import { endZone, useEnd } from './useEnd';

const noOutgoing: Outgoing[] = [];

export function Transcript({ conversation: c, readOnly = false }: { conversation: Conversation; readOnly?: boolean }) {
  const { t } = useTranslation();
  // The list restores its position only once, so it is shown when all events are there.
  if (!c.live) {
    return (
      <div className={classes.waiting} role="status">
        {t('transcript.loading')}
      </div>
    );
  }
  return <List conversation={c} readOnly={readOnly} />;
}

function List({ conversation: c, readOnly }: { conversation: Conversation; readOnly: boolean }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const all = useDeskState((s) => s.outgoing);
  const outgoing = useMemo(
    () => (readOnly ? noOutgoing : all.filter((o) => o.conversation === c.id)),
    [all, c.id, readOnly],
  );
  const rows = useMemo(() => rowsOf(c, outgoing), [c, outgoing]);
  const list = useRef<VirtuosoHandle>(null);
  const start = useRef(startIndex(c, rows, readOnly));
  const frame = useRef<HTMLDivElement>(null);
  const toEnd = () => list.current?.scrollToIndex({ index: 'LAST', align: 'end' });
  const { atEnd, onEnd, settle, touch } = useEnd({
    frame,
    rows: rows.length,
    beginsThere: start.current.align === 'end',
    toEnd,
    rested: (scroller, there) => {
      if (!readOnly) keepScroll(c.id, there ? undefined : firstInView(scroller, rows));
    },
  });
  const seen = useRef(rows.length);
  const name = customerName(c) || t('customer.unknown');
  const visible = useVisible();

  // If the end of the list is in view on a visible page, its messages have been read.
  const looking = atEnd && visible && !readOnly;
  const last = c.seq;
  useEffect(() => {
    if (looking && last > 0) desk.attention.look(c.id);
  }, [looking, last, desk, c.id]);
  useEffect(() => {
    if (atEnd) seen.current = rows.length;
  }, [atEnd, rows.length]);

  // When the agent sends a message the list scrolls to it from wherever it is.
  const own = outgoing.length;
  const before = useRef(own);
  useEffect(() => {
    if (own > before.current) list.current?.scrollToIndex({ index: 'LAST', align: 'end' });
    before.current = own;
  }, [own]);

  const fresh = rows.length - seen.current;
  return (
    <div
      ref={frame}
      className={classes.frame}
      onWheelCapture={touch}
      onTouchMoveCapture={touch}
      onKeyDownCapture={touch}
      onPointerDownCapture={touch}
    >
      <Virtuoso<Row, Context>
        ref={list}
        className={classes.list}
        context={{ label: t('transcript.label', { name }), conversation: c, readOnly }}
        data={rows}
        computeItemKey={(_, row) => row.key}
        itemContent={(_, row, context) => <OneRow row={row} conversation={context.conversation} />}
        initialTopMostItemIndex={start.current}
        alignToBottom={!readOnly}
        followOutput={(end) => (end || atEnd ? 'auto' : false)}
        atBottomThreshold={endZone}
        atBottomStateChange={onEnd}
        increaseViewportBy={400}
        onScroll={settle}
        components={{ Scroller, Footer }}
      />
      {!atEnd && (
        <Button
          className={classes.toEnd}
          size="compact-sm"
          leftSection={<IconArrowDown size={15} aria-hidden />}
          onClick={toEnd}
        >
          {fresh > 0 ? t('transcript.fresh', { count: fresh }) : t('transcript.toEnd')}
        </Button>
      )}
      {!readOnly && <Announcer conversation={c} />}
    </div>
  );
}

interface Context {
  label: string;
  conversation: Conversation;
  readOnly: boolean;
}

function OneRow({ row, conversation }: { row: Row; conversation: Conversation }) {
  switch (row.kind) {
    case 'day':
      return <DayRow at={row.at} />;
    case 'line':
      return <LineRow line={row.line} dispositions={conversation.info?.service?.dispositions ?? []} />;
    case 'message':
      return <MessageRow message={row.message} first={row.first} last={row.last} conversation={conversation} />;
    case 'note':
      return <NoteRow note={row.note} />;
    case 'outgoing':
      return <OutgoingRow outgoing={row.outgoing} first={row.first} />;
  }
}

/**
 * The element that scrolls: a log for screen readers, reached by Tab and scrolled by keys. It is
 * silent, because scrolling adds and removes rows; the Announcer reads messages instead.
 */
function Scroller({
  ref,
  context,
  ...props
}: HTMLAttributes<HTMLDivElement> & { ref?: Ref<HTMLDivElement>; context: Context }) {
  // biome-ignore lint/a11y/noNoninteractiveTabindex: an element that scrolls must be reachable by key
  return <div {...props} ref={ref} role="log" aria-live="off" aria-label={context.label} tabIndex={0} />;
}

function Footer({ context }: { context: Context }) {
  return context.readOnly ? <div className={classes.foot} /> : <TypingLine conversation={context.conversation} />;
}

function TypingLine({ conversation }: { conversation: Conversation }) {
  const { t } = useTranslation();
  const typing = useTyping(conversation.id);
  const name = typing?.kind === 'agent' ? typing.name : customerName(conversation) || t('customer.unknown');
  return (
    <div className={classes.foot}>
      {typing && (
        <>
          <span className={classes.dots} aria-hidden>
            <i />
            <i />
            <i />
          </span>
          {t('typing.long', { name })}
        </>
      )}
    </div>
  );
}

/** Has screen readers read new messages and notes of others aloud, without interrupting. */
function Announcer({ conversation: c }: { conversation: Conversation }) {
  const { t } = useTranslation();
  const me = useDeskState((s) => s.user?.id);
  const [since] = useState(c.seq);
  const last = c.items.findLast((i) => i.kind !== 'line');
  const fresh = last && c.live && last.seq > since && !(last.author.kind !== 'customer' && last.author.agent === me);
  const text = fresh ? last.parts.map((p) => p.text || p.file?.name || '').join(' ') : '';
  return (
    <div aria-live="polite" className="sr-only">
      {fresh &&
        t(last.kind === 'note' ? 'transcript.noted' : 'transcript.said', {
          name: last.name || customerName(c) || t('customer.unknown'),
          text,
        })}
    </div>
  );
}

function startIndex(c: Conversation, rows: Row[], readOnly: boolean) {
  const kept = readOnly ? undefined : keptScroll(c.id);
  if (kept !== undefined) {
    const index = rows.findIndex((r) => seqOf(r) >= kept);
    if (index >= 0) return { index, align: 'start' as const };
  }
  // A finished conversation is shown from its beginning, an open one from its end.
  return readOnly && c.phase !== 'open'
    ? { index: 0, align: 'start' as const }
    : { index: 'LAST' as const, align: 'end' as const };
}

/** The seq of the topmost row in view. */
function firstInView(scroller: Element, rows: Row[]): number | undefined {
  const top = scroller.getBoundingClientRect().top;
  for (const el of scroller.querySelectorAll<HTMLElement>('[data-item-index]')) {
    const row = rows[Number(el.dataset.itemIndex)];
    if (row && seqOf(row) > 0 && el.getBoundingClientRect().bottom > top + 1) return seqOf(row);
  }
  return undefined;
}

function seqOf(row: Row): number {
  if (row.kind === 'message') return row.message.seq;
  if (row.kind === 'note') return row.note.seq;
  return row.kind === 'line' ? row.line.seq : 0;
}
