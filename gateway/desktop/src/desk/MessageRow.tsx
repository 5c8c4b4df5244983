import { linkify } from '@parley/shared/links';
import type { Part, Raw, Template } from '@parley/shared/protocol';
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
    const replied = repliedTo(c, m);
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
            {m.replyTo && <Quote of={replied} conversation={c} />}
            {m.revoked ? (
              <em>{t('message.revoked')}</em>
            ) : (
              m.parts.map((p, i) => <PartView key={partKey(p, i)} part={p} links={allows(c, 'links')} />)
            )}
            {m.edited && <span className={classes.edited}> {t('message.edited')}</span>}
          </div>
          {m.reactions && m.reactions.length > 0 && (
            <div className={classes.reactions}>
              <span className={classes.unseen}>{t('message.reactions')}</span>{' '}
              {m.reactions.map((r) => r.emoji).join(' ')}
            </div>
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
    repliedTo(a.conversation, a.message) === repliedTo(b.conversation, b.message) &&
    statusOf(a.conversation, a.message) === statusOf(b.conversation, b.message),
);

/** The message that another one answers; undefined: it answers none, or one that is not in this conversation. */
function repliedTo(c: Conversation, m: MessageItem): MessageItem | undefined {
  if (!m.replyTo) return undefined;
  return c.items.find((i): i is MessageItem => i.kind === 'message' && i.id === m.replyTo);
}

/** What a message answers. */
export function Quote({ of, conversation: c }: { of: MessageItem | undefined; conversation: Conversation }) {
  const { t } = useTranslation();
  const me = useDeskState((s) => s.user?.id);
  if (!of || of.revoked) {
    return (
      <div className={classes.quote}>
        <em>{t(of ? 'message.revoked' : 'message.original_gone')}</em>
      </div>
    );
  }
  const own = of.author.kind === 'agent' && of.author.agent === me;
  const who = own
    ? t('you')
    : of.name || (of.author.kind === 'customer' && customerName(c)) || t(`author.${of.author.kind}`);
  return (
    <div className={classes.quote}>
      <span className={classes.quoted}>{t('message.answers', { who })}</span> <span dir="auto">{textOf(of)}</span>
    </div>
  );
}

function statusOf(c: Conversation, m: MessageItem): Delivery {
  return delivery(c, m);
}

export function PartView({ part, links }: { part: Part; links: boolean }) {
  const { t } = useTranslation();
  if (part.file) {
    return (
      <>
        <Attachment file={part.file} />
        {part.file.caption && <Linked text={part.file.caption} links={links} />}
      </>
    );
  }
  if (part.template) return <TemplateView template={part.template} links={links} />;
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
  if (part.raw) {
    const kept = unresolved(part.raw);
    if (kept) {
      return (
        <>
          {kept.text && <Linked text={kept.text} links={links} />} <em>{t(kept.says)}</em>
        </>
      );
    }
  }
  return <em>{t(part.raw?.kind === 'media' ? 'message.media' : 'message.unsupported')}</em>;
}

/**
 * A template as the customer sees it. Without its text, which nobody knows for some channels, its name and values are
 * shown.
 */
function TemplateView({ template, links }: { template: Template; links: boolean }) {
  const { t } = useTranslation();
  const placed = template.placed ?? [];
  const file = placed.find((v) => v.file)?.file;
  const location = placed.find((v) => v.location)?.location;
  const values = [...(template.values ?? []), ...placed.map((v) => v.text ?? '')].filter(Boolean);
  return (
    <>
      {file && <Attachment file={file} />}
      {location && <PartView part={{ kind: 'location', location }} links={links} />}
      {template.rendered ? (
        <Linked text={template.rendered} links={links} />
      ) : (
        <Linked text={[t('message.template', { name: template.name }), ...values].join('\n')} links={links} />
      )}
    </>
  );
}

/** A change of a message that the gateway could not find, which it keeps as it came. */
function unresolved({ kind, data }: Raw): { text: string; says: string } | undefined {
  const part = (data ?? {}) as Partial<Part>;
  switch (kind) {
    case 'reaction':
      return { text: part.reaction?.emoji ?? '', says: 'message.reacts_to_gone' };
    case 'edit':
      return { text: part.edit?.text ?? '', says: 'message.edits_gone' };
    case 'revoke':
      return { text: '', says: 'message.revokes_gone' };
  }
  return undefined;
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
  return m.parts
    .map(
      (p) =>
        p.text ||
        p.file?.caption ||
        p.file?.name ||
        p.template?.rendered ||
        p.template?.name ||
        (p.html && plain(p.html)) ||
        '',
    )
    .join(' ');
}

function plain(html: string): string {
  return new DOMParser().parseFromString(html, 'text/html').body.textContent ?? '';
}

function partKey(part: Part, index: number): string {
  return part.file?.blob ?? `${part.kind}${index}`;
}
