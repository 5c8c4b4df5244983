// What is known of the customer in focus (A5, B5), the conversation's facts, who takes part, and
// End Chat (R2).

import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { safeHref } from '@parley/shared/links';
import {
  IconDeviceMobile,
  IconExternalLink,
  IconMessageOff,
  IconSearch,
  IconUserPlus,
  IconX,
} from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useContact } from '../api/contacts';
import { useSenders } from '../api/senders';
import { Since } from '../app/Clock';
import { useDesk, useDeskState, usePrefs } from '../app/context';
import { endChat } from '../app/endChat';
import { ariaKeys } from '../app/keys';
import { initials } from '../app/UserMenu';
import { openDialog } from '../app/ui';
import type { Conversation, LiveRequest } from '../store/conversation';
import { allows, byPhone, customerName, isActive } from '../store/select';
import { clock, dateAndTime, queueTime } from '../text/time';
import classes from './ContactPanel.module.css';

export function ContactPanel({
  conversation: c,
  readOnly = false,
}: {
  conversation: Conversation;
  readOnly?: boolean;
}) {
  const { t, i18n } = useTranslation();
  const desk = useDesk();
  const online = useDeskState((s) => s.link.phase === 'online');
  const keys = usePrefs((p) => p.shortcuts);
  const name = customerName(c);
  const known = c.customer;
  const contact = useContact(c.contact);
  const active = !readOnly && isActive(c);
  return (
    <div className={classes.panel}>
      <div className={classes.rest}>
        <div className={classes.person}>
          <span className={classes.avatar} aria-hidden>
            {name ? initials(name) : '?'}
          </span>
          <div className={classes.personName}>{name || t('customer.unknown')}</div>
        </div>
        <dl className={classes.facts}>
          {contact && contact.name !== name && <Fact label={t('contact.known')}>{contact.name}</Fact>}
          <Fact label={t('contact.company')}>{contact?.company}</Fact>
          <Fact label={t('contact.email')}>{known.email}</Fact>
          <Fact label={t('contact.phone')}>{known.phone && <Address value={known.phone} c={c} />}</Fact>
          <Fact label={t('contact.language')}>{languageName(known.locale, i18n.language)}</Fact>
          <Fact label={t('contact.subject')}>{known.subject}</Fact>
          {Object.entries(known.attributes ?? {}).map(([key, value]) => (
            <Fact key={key} label={key}>
              {value}
            </Fact>
          ))}
          {contact?.addresses && contact.addresses.length > 0 && (
            <Fact label={t('contact.addresses')}>
              {contact.addresses.map((a) => (
                <Address key={a} value={a} c={c} />
              ))}
            </Fact>
          )}
          {Object.entries(contact?.attributes ?? {}).map(([key, value]) => (
            <Fact key={key} label={key}>
              {value}
            </Fact>
          ))}
          <Fact label={t('contact.notes')}>{contact?.notes}</Fact>
          {c.page && allows(c, 'page') && (
            <Fact label={t('contact.page')}>
              <Page url={c.page.url} title={c.page.title} />
            </Fact>
          )}
        </dl>

        {active && !c.contact && (
          <Button
            mt="sm"
            size="compact-sm"
            variant="default"
            leftSection={<IconSearch size={14} aria-hidden />}
            onClick={() => openDialog({ kind: 'contact', conversation: c.id })}
          >
            {t('contact.find')}
          </Button>
        )}

        <h2 className={classes.heading}>{t('contact.conversation')}</h2>
        <dl className={classes.facts}>
          <Fact label={t('contact.channel')}>{c.info?.title || c.capabilities.offer_title || c.channel}</Fact>
          <Fact label={t('contact.service')}>{c.info?.service?.name ?? c.service?.name}</Fact>
          <Fact label={t('contact.account')}>{c.info?.account?.name}</Fact>
          {c.endpoints.some(isAddress) && (
            <Fact label={t(byPhone(c) ? 'contact.number' : 'contact.address')}>
              {c.endpoints.filter(isAddress).map((a) => (
                <Address key={a} value={a} c={c} />
              ))}
            </Fact>
          )}
          <Fact label={t('contact.started')}>{c.startedAt && dateAndTime(c.startedAt, i18n.language)}</Fact>
          <Fact label={t('contact.duration')}>
            {c.sessionAt &&
              (c.endedAt ? clock(Date.parse(c.endedAt) - Date.parse(c.sessionAt)) : <Since at={c.sessionAt} />)}
          </Fact>
          {/* A wait of less than a second is no queue. */}
          <Fact label={t('contact.waited')}>
            {c.waited !== undefined && c.waited >= 1000 ? queueTime(c.waited) : null}
          </Fact>
        </dl>

        <People c={c} />
        {active &&
          c.requests.filter((r) => r.invitedBy).map((r) => <Pending key={r.id} c={c} request={r} online={online} />)}
      </div>
      {active && (
        <div className={classes.buttons}>
          <Button
            variant="default"
            disabled={!online}
            leftSection={<IconUserPlus size={17} aria-hidden />}
            aria-keyshortcuts={ariaKeys('T', keys)}
            onClick={() => openDialog({ kind: 'invite', conversation: c.id, transfer: false })}
          >
            {t('invite.button')}
          </Button>
          <Button
            variant="default"
            data-danger
            disabled={!online}
            leftSection={<IconMessageOff size={17} aria-hidden />}
            aria-keyshortcuts={ariaKeys('E', keys)}
            onClick={() => void endChat(desk, c.id)}
          >
            {t('end.button')}
          </Button>
        </div>
      )}
    </div>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  if (children === undefined || children === null || children === '' || children === false) return null;
  return (
    <div className={classes.fact}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/**
 * An address; beside a phone number a button to text it, where the service has text messages and
 * the agent may send them (N1).
 */
function Address({ value, c }: { value: string; c: Conversation }) {
  const { t } = useTranslation();
  const { data: senders } = useSenders();
  const service = c.info?.service?.id ?? c.service?.id;
  // While the exchange with a number is open, no new one can begin with it (N17).
  const here = c.phase === 'open' && byPhone(c) && c.endpoints.includes(value);
  const may = /^\+\d/.test(value) && !here && senders?.some((s) => !service || s.service?.id === service);
  return (
    <div className={classes.address}>
      <span>{value}</span>
      {may && (
        <Tooltip label={t('sms.sendTo', { number: value })}>
          <ActionIcon
            size="sm"
            aria-label={t('sms.sendTo', { number: value })}
            onClick={() => openDialog({ kind: 'sms', to: value, service })}
          >
            <IconDeviceMobile size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </div>
  );
}

/**
 * The page that the customer has open (B5): its address, as a link if the scheme is safe to open.
 */
function Page({ url, title }: { url: string; title?: string }) {
  const href = safeHref(url);
  return (
    <>
      {title && <div>{title}</div>}
      {href ? (
        <a href={href} target="_blank" rel="noopener noreferrer" className={classes.page}>
          {url} <IconExternalLink size={13} aria-hidden />
        </a>
      ) : (
        <span className={classes.page}>{url}</span>
      )}
    </>
  );
}

function People({ c }: { c: Conversation }) {
  const { t } = useTranslation();
  const me = useDeskState((s) => s.user?.id);
  const inside = c.agents.filter((a) => a.inside);
  if (inside.length < 2 && c.supervisors.length === 0) return null;
  return (
    <>
      <h2 className={classes.heading}>{t('contact.people')}</h2>
      <ul className={classes.people}>
        {inside.map((a) => (
          <li key={a.id}>{a.id === me ? t('contact.youNamed', { name: a.name }) : a.name}</li>
        ))}
        {c.supervisors.map((s) => (
          <li key={s.id}>
            {t(`supervision.${s.mode}`, { name: s.id === me ? t('contact.youNamed', { name: s.name }) : s.name })}
          </li>
        ))}
      </ul>
    </>
  );
}

/** An invitation that nobody has answered yet; the agent who made it may cancel it. */
function Pending({ c, request, online }: { c: Conversation; request: LiveRequest; online: boolean }) {
  const { t } = useTranslation();
  const desk = useDesk();
  return (
    <div className={classes.pending}>
      <span>
        {t(request.offeredTo ? 'invite.ringing' : 'invite.waiting')} <Since at={request.waitingSince} />
      </span>
      <Tooltip label={t('invite.cancel')}>
        <ActionIcon
          size="md"
          aria-label={t('invite.cancel')}
          disabled={!online}
          onClick={() => void desk.cancelInvite(c.id, request.id)}
        >
          <IconX size={16} />
        </ActionIcon>
      </Tooltip>
    </div>
  );
}

/**
 * Whether an endpoint is an address: a web visitor's is a keyed token that means nothing to people.
 */
function isAddress(endpoint: string): boolean {
  return !endpoint.startsWith('web:');
}

function languageName(locale: string | undefined, language: string): string | undefined {
  if (!locale) return undefined;
  try {
    return new Intl.DisplayNames([language], { type: 'language' }).of(locale);
  } catch {
    return locale;
  }
}
