import { linkify } from '@parley/shared/links';
import type { Part } from '@parley/shared/protocol';
import { IconSettingsFilled } from '@tabler/icons-react';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { useDeskState } from '../app/context';
import { initials } from '../app/UserMenu';
import type { Conversation } from '../store/conversation';
import { allows, customerName, type Delivery, delivery, storesAndForwards } from '../store/select';
import type { MessageItem } from '../store/timeline';
import { dateAndTime, dayName, timeOfDay } from '../text/time';
import { Attachment } from './Attachment';
import { DeliveryMark } from './DeliveryMark';
import classes from './MessageRow.module.css';

interface Props {
  message: MessageItem;
  first: boolean;
  last: boolean;
  conversation: Conversation;
}

export const MessageRow = memo(
  function MessageRow({ message: m, first, last, conversation: c }: Props) {
    const { t, i18n } = useTranslation();
    const me = useDeskState((s) => s.user?.id);
    const side = m.author.kind === 'customer' ? 'theirs' : m.author.kind === 'agent' ? 'mine' : 'system';
    const own = m.author.kind === 'agent' && m.author.agent === me;
    const bot = m.author.kind === 'bot' || m.author.kind === 'system';
    const name =
      m.author.kind === 'customer'
        ? m.name || customerName(c) || t('customer.unknown')
        : own
          ? t('you')
          : m.name || t(`author.${m.author.kind}`);
    const reply = side === 'theirs' && storesAndForwards(c) && c.answeredSeq !== undefined && m.seq > c.answeredSeq;
    const replied = m.replyTo ? c.items.find((i) => i.kind === 'message' && i.id === m.replyTo) : undefined;
    return (
      <div className={classes.row} data-side={side} data-first={first || undefined}>
        <span className={classes.avatar} data-bot={bot || undefined} aria-hidden>
          {first && (bot ? <IconSettingsFilled size={17} /> : side === 'theirs' ? initials(name) : '')}
        </span>
        <div className={classes.stack}>
          {first && (
            <div className={classes.author}>
              <span>{name}</span>
              {bot && <span className={classes.botMark}>{t('author.automatic')}</span>}
            </div>
          )}
          <div
            className={classes.bubble}
            data-side={side}
            data-reply={reply || undefined}
            title={dateAndTime(m.at, i18n.language)}
          >
            {replied?.kind === 'message' && <div className={classes.quote}>{textOf(replied)}</div>}
            {m.revoked ? (
              <em>{t('message.revoked')}</em>
            ) : (
              m.parts.map((p, i) => <PartView key={partKey(p, i)} part={p} links={allows(c, 'links')} />)
            )}
            {m.edited && <span className={classes.edited}> {t('message.edited')}</span>}
          </div>
          {m.reactions && m.reactions.length > 0 && (
            <div className={classes.reactions}>{m.reactions.map((r) => r.emoji).join(' ')}</div>
          )}
          {(last || (side === 'mine' && storesAndForwards(c))) && (
            <div className={classes.meta}>
              <time dateTime={m.at}>{timeOfDay(m.at, i18n.language)}</time>
              {side === 'mine' && <DeliveryMark conversation={c} message={m} state={statusOf(c, m)} />}
            </div>
          )}
        </div>
      </div>
    );
  },
  // The conversation is a new object at every event; a message changes with few of them, so the row
  // is drawn again only then.
  (a, b) =>
    a.message === b.message &&
    a.first === b.first &&
    a.last === b.last &&
    a.conversation.customer === b.conversation.customer &&
    a.conversation.member === b.conversation.member &&
    statusOf(a.conversation, a.message) === statusOf(b.conversation, b.message),
);

function statusOf(c: Conversation, m: MessageItem): Delivery {
  return delivery(c, m);
}

export function PartView({ part, links }: { part: Part; links: boolean }) {
  const { t } = useTranslation();
  if (part.file) return <Attachment file={part.file} />;
  if (part.location) {
    const { latitude, longitude, name, address } = part.location;
    return <Linked text={[name, address, `${latitude}, ${longitude}`].filter(Boolean).join('\n')} />;
  }
  if (part.contact) {
    const { name, phones = [], emails = [] } = part.contact;
    return <Linked text={[name, ...phones, ...emails].join('\n')} />;
  }
  if (part.choices) {
    return <Linked text={[part.choices.text, ...(part.choices.options ?? []).map((o) => `• ${o.title}`)].join('\n')} />;
  }
  if (part.answer) return <Linked text={part.answer.title || part.answer.choice} />;
  // Rich text is shown as plain text: this desktop has no editor for it yet, and no customer's HTML
  // may enter the page.
  if (part.html) return <Linked text={plain(part.html)} links={links} />;
  if (part.text !== undefined) return <Linked text={part.text} links={links} />;
  return <em>{t(part.raw?.kind === 'media' ? 'message.media' : 'message.unsupported')}</em>;
}

/** Text with its links (B6, B7); each opens a new window, so that the desktop stays open. */
export function Linked({ text, links = true }: { text: string; links?: boolean }) {
  return (
    <span className={classes.text} dir="auto">
      {(links ? linkify(text) : [{ at: 0, text }]).map((piece) =>
        'href' in piece ? (
          <a key={piece.at} href={piece.href} target="_blank" rel="noopener noreferrer">
            {piece.text}
          </a>
        ) : (
          piece.text
        ),
      )}
    </span>
  );
}

export function DayRow({ at }: { at: string }) {
  const { i18n } = useTranslation();
  return <div className={classes.day}>{dayName(at, i18n.language)}</div>;
}

function textOf(m: MessageItem): string {
  return m.parts.map((p) => p.text || p.file?.name || '').join(' ');
}

function plain(html: string): string {
  return new DOMParser().parseFromString(html, 'text/html').body.textContent ?? '';
}

function partKey(part: Part, index: number): string {
  return part.file?.blob ?? `${part.kind}${index}`;
}
