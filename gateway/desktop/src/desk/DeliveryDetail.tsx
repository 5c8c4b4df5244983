// What is known of a message's delivery, in the carrier's words if it gave any. If the status is
// unknown the agent may say what became of the message (PR4).

import { Button } from '@mantine/core';
import type { SettleOutcome } from '@parley/shared/protocol';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useDesk, useDeskState } from '../app/context';
import type { Conversation } from '../store/conversation';
import type { Delivery } from '../store/select';
import type { MessageItem } from '../store/timeline';
import { dateAndTime } from '../text/time';
import classes from './DeliveryDetail.module.css';

export function DeliveryDetail({
  conversation: c,
  message: m,
  state,
  onDone,
}: {
  conversation: Conversation;
  message: MessageItem;
  state: Delivery;
  onDone: () => void;
}) {
  const { t, i18n } = useTranslation();
  const me = useDeskState((s) => s.user?.id);
  // An agent who worked on the exchange may say what became of the message, even after its end.
  const mine = c.parkedBy === me || c.agents.some((a) => a.id === me);
  const bad = state === 'failed' || state === 'expired' || state === 'unknown';
  const facts: [string, string | undefined][] = [
    [t('delivery.since'), m.statusAt && dateAndTime(m.statusAt, i18n.language)],
    [t('delivery.code'), state === 'failed' ? m.statusCode : undefined],
    [t('delivery.words'), bad ? m.statusText : undefined],
    [
      t(`delivery.settled.${m.settled?.outcome ?? 'sent'}`),
      m.settled && (m.settled.agent === me ? t('you') : m.settled.who || t('author.agent')),
    ],
  ];
  return (
    <>
      <h3 className={classes.title} tabIndex={-1} data-autofocus>
        {t(`delivery.${state}`)}
      </h3>
      {m.statusKind !== 'manual' && <p className={classes.text}>{t(`delivery.why.${state}`)}</p>}
      <dl className={classes.facts}>
        {facts
          .filter(([, value]) => value)
          .map(([label, value]) => (
            <Fact key={label} label={label} value={value ?? ''} />
          ))}
      </dl>
      {state === 'unknown' && mine && <Choices conversation={c} message={m.id} onDone={onDone} />}
    </>
  );
}

function Fact({ label, value }: { label: string; value: string }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </>
  );
}

/** The harmless button takes the focus that the pressed button had. */
function focusIt(el: HTMLButtonElement | null): void {
  el?.focus();
}

function Choices({
  conversation: c,
  message,
  onDone,
}: {
  conversation: Conversation;
  message: string;
  onDone: () => void;
}) {
  const { t } = useTranslation();
  const desk = useDesk();
  const online = useDeskState((s) => s.link.phase === 'online');
  const [asked, setAsked] = useState(false);
  const [busy, setBusy] = useState(false);
  const settle = async (outcome: SettleOutcome) => {
    setBusy(true);
    const ack = await desk.settle(c.id, message, outcome);
    setBusy(false);
    if (ack) onDone();
  };
  const button = (outcome: SettleOutcome, act: () => void) => (
    <Button size="compact-sm" variant="default" disabled={!online || busy} onClick={act}>
      {t(`delivery.say.${outcome}`)}
    </Button>
  );
  if (asked) {
    return (
      <div className={classes.choices}>
        <p className={classes.text} role="alert">
          {t('delivery.twice')}
        </p>
        <Button size="compact-sm" disabled={!online} loading={busy} onClick={() => void settle('resend')}>
          {t('delivery.say.resend')}
        </Button>
        <Button ref={focusIt} size="compact-sm" variant="default" onClick={() => setAsked(false)}>
          {t('cancel')}
        </Button>
      </div>
    );
  }
  return (
    <div className={classes.choices}>
      {button('sent', () => void settle('sent'))}
      {button('failed', () => void settle('failed'))}
      {c.phase === 'open' && !c.optedOut && button('resend', () => setAsked(true))}
    </div>
  );
}
