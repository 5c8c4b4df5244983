// Begins a text (N2): from a service's or the agent's own number, to any number. The exchange opens
// as an active chat.

import { Button, Group, Loader, Modal, NativeSelect, TextInput } from '@mantine/core';
import { useMergedRef } from '@mantine/hooks';
import { randomId } from '@parley/shared/id';
import type { Sender, WireError } from '@parley/shared/protocol';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useSenders } from '../api/senders';
import { useDesk, useDeskState } from '../app/context';
import { focusNow } from '../app/focus';
import { troubleText } from '../app/trouble';
import { useUi } from '../app/ui';
import { CommandError } from '../socket/client';
import type { Phone } from '../text/phone';
import classes from './SmsDialog.module.css';

interface Props {
  to?: string;
  service?: string;
  onClose: () => void;
}

export function SmsDialog({ to = '', service, onClose }: Props) {
  const { t } = useTranslation();
  const { data: senders, isPending, isError, isFetching, refetch } = useSenders(true);
  return (
    <Modal opened onClose={onClose} title={t('sms.send')} closeButtonProps={{ 'aria-label': t('close') }}>
      {isPending ? (
        <Loader size="sm" role="status" aria-label={t('sms.loading')} />
      ) : isError ? (
        <div className={classes.problem} data-bad role="alert">
          {t('sms.unavailable')}
          <Button
            size="compact-sm"
            variant="default"
            loading={isFetching}
            onClick={() => void refetch()}
            data-autofocus
          >
            {t('recent.retry')}
          </Button>
        </div>
      ) : senders.length === 0 ? (
        <p role="status">{t('sms.none')}</p>
      ) : (
        <Form senders={senders} to={to} service={service} onClose={onClose} refetch={() => void refetch()} />
      )}
    </Modal>
  );
}

function Form({ senders, to, service, onClose, refetch }: Props & { senders: Sender[]; refetch: () => void }) {
  const { t, i18n } = useTranslation();
  const desk = useDesk();
  const online = useDeskState((s) => s.link.phase === 'online');
  const open = useOpen(onClose);
  const read = useReader();
  const [text, setText] = useState(to ?? '');
  const [from, setFrom] = useState(() =>
    idOf((service && senders.find((s) => s.service?.id === service)) || senders[0]),
  );
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<WireError | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const fieldRef = useMergedRef(field, focusNow);
  // When the answer was lost the command is sent again with the same id, so that the gateway does
  // not begin a second exchange.
  const clientId = useRef('');
  const sender = senders.find((s) => idOf(s) === from) ?? senders[0];
  const phone = read(text);
  const changed = () => {
    clientId.current = '';
    setProblem(null);
  };

  const submit = async (e: FormEvent) => {
    e.preventDefault();
    if (!sender || busy || !online) return;
    if (!phone) {
      setProblem({ code: 'invalid_address', message: '' });
      field.current?.focus();
      return;
    }
    clientId.current ||= randomId();
    setBusy(true);
    setProblem(null);
    try {
      open(await desk.text(targetOf(sender, senders), phone.e164, clientId.current));
    } catch (err) {
      if (!(err instanceof CommandError)) throw err;
      setBusy(false);
      setProblem(err.wire);
      if (!err.unsettled) clientId.current = '';
      if (err.code === 'no_sender') refetch();
      if (err.code === 'invalid_address') field.current?.focus();
    }
  };

  const wrong = problem?.code === 'invalid_address';
  return (
    <form className={classes.form} onSubmit={(e) => void submit(e)} noValidate>
      {senders.length === 1 ? (
        <div className={classes.from}>
          <span className={classes.label}>{t('sms.from')}</span>
          <span>{sender && nameOf(sender)}</span>
        </div>
      ) : (
        <NativeSelect
          label={t('sms.from')}
          value={idOf(sender)}
          onChange={(e) => {
            setFrom(e.currentTarget.value);
            changed();
          }}
          data={senders.map((s) => ({
            value: idOf(s),
            label: s.service ? nameOf(s) : t('sms.own', { name: s.account.name }),
          }))}
        />
      )}
      <div>
        <TextInput
          ref={fieldRef}
          type="tel"
          label={t('sms.to')}
          autoComplete="off"
          value={text}
          error={wrong ? t(wrongText(text, phone)) : undefined}
          onChange={(e) => {
            setText(e.currentTarget.value);
            changed();
          }}
          data-autofocus
        />
        <div className={classes.hint} aria-live="polite">
          {phone ? (
            <>
              <bdi className={`${classes.number} tabular`}>{phone.shown}</bdi>
              {phone.country && <span>{countryName(phone.country, i18n.language)}</span>}
            </>
          ) : (
            !wrong && t('sms.help')
          )}
        </div>
      </div>
      {problem && !wrong && <Problem problem={problem} phone={phone} onOpen={open} onProblem={setProblem} />}
      {!online && (
        <div className={classes.problem} role="status">
          {t('sms.offline')}
        </div>
      )}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          {t('cancel')}
        </Button>
        <Button type="submit" disabled={!online} loading={busy}>
          {t('sms.send')}
        </Button>
      </Group>
    </form>
  );
}

/**
 * Why the exchange did not begin. If the number has an open exchange it says whose that is, and how
 * to join it (N17).
 */
function Problem({
  problem,
  phone,
  onOpen,
  onProblem,
}: {
  problem: WireError;
  phone: Phone | null;
  onOpen: (conversation: string) => void;
  onProblem: (problem: WireError) => void;
}) {
  const { t } = useTranslation();
  const desk = useDesk();
  const me = useDeskState((s) => s.user?.id);
  const online = useDeskState((s) => s.link.phase === 'online');
  const mine = useDeskState((s) => problem.conversation !== undefined && s.active.includes(problem.conversation));
  const [busy, setBusy] = useState(false);
  if (problem.code !== 'thread_open') {
    return (
      <div className={classes.problem} data-bad role="alert">
        {troubleText(t, { code: problem.code, text: problem.message })}
      </div>
    );
  }
  const { owner, conversation, joinable } = problem;
  const own = mine || (owner !== null && owner?.id === me);
  const join = async () => {
    if (!conversation) return;
    if (mine) {
      desk.focus(conversation);
      onOpen(conversation);
      return;
    }
    setBusy(true);
    try {
      await desk.join(conversation);
      onOpen(conversation);
    } catch (err) {
      if (!(err instanceof CommandError)) throw err;
      setBusy(false);
      onProblem(err.wire);
    }
  };
  const number = phone?.shown ?? '';
  return (
    <div className={classes.problem} role="alert">
      <span>
        {own
          ? t('sms.openOwn', { number })
          : owner
            ? t('sms.openOther', { number, name: owner.name })
            : t('sms.openNobody', { number })}
      </span>
      {conversation && (mine || joinable) ? (
        <Button size="compact-sm" variant="default" disabled={!online} loading={busy} onClick={() => void join()}>
          {t(mine ? 'sms.goThere' : own ? 'recent.takeUp' : 'sms.join')}
        </Button>
      ) : (
        !own && owner && <span>{t('sms.notJoinable', { name: owner.name })}</span>
      )}
    </div>
  );
}

/** Closes the dialog and goes to the exchange, ready to write. */
function useOpen(onClose: () => void): (conversation: string) => void {
  const navigate = useNavigate();
  return (conversation) => {
    useUi.setState({ writeTo: conversation });
    onClose();
    void navigate('/');
  };
}

/**
 * A function that reads phone numbers. While the library that knows the countries is not loaded, it
 * reads only numbers with a plus.
 */
function useReader(): (text: string) => Phone | null {
  const [library, setLibrary] = useState<typeof import('../text/phone') | null>(null);
  useEffect(() => {
    let gone = false;
    import('../text/phone').then(
      (loaded) => gone || setLibrary(loaded),
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, []);
  return (text) => {
    if (library) return library.readPhone(text, region());
    const digits = text.replace(/[\s().\-/]/g, '').replace(/^00/, '+');
    return /^\+[1-9]\d{6,14}$/.test(digits) ? { e164: digits, shown: digits } : null;
  };
}

/** The agent's country, as far as the browser's languages name one. */
function region(): string | undefined {
  for (const language of navigator.languages) {
    const found = /-([A-Z]{2})\b/.exec(language)?.[1];
    if (found) return found;
  }
  return undefined;
}

function countryName(country: string, language: string): string {
  return new Intl.DisplayNames([language], { type: 'region' }).of(country) ?? country;
}

function idOf(s: Sender | undefined): string {
  return s ? `${s.service?.id ?? ''}/${s.account.id}` : '';
}

/**
 * Why a number is not accepted: by the desktop, or by the gateway if the number looks right here.
 */
function wrongText(text: string, phone: Phone | null): string {
  if (phone) return 'error.invalid_address';
  if (text.trim() === '') return 'sms.empty';
  return /^\s*(\+|00)/.test(text) ? 'sms.wrong' : 'sms.local';
}

/**
 * Whom the text is sent from: the service if it has one number only; else the account is named,
 * too.
 */
function targetOf({ service, account }: Sender, all: Sender[]): { service?: string; account?: string } {
  if (!service) return { account: account.id };
  const several = all.filter((s) => s.service?.id === service.id).length > 1;
  return several ? { service: service.id, account: account.id } : { service: service.id };
}

function nameOf(s: Sender): string {
  if (!s.service) return s.account.name;
  return s.service.name === s.account.name ? s.service.name : `${s.service.name} · ${s.account.name}`;
}
