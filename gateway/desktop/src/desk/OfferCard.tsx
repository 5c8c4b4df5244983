import { Button } from '@mantine/core';
import type { Offer } from '@parley/shared/protocol';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { useDesk, useDeskState, useNow, usePrefs } from '../app/context';
import { ariaKeys } from '../app/keys';
import { isActive } from '../store/select';
import { queueTime, remaining } from '../text/time';
import { ChannelIcon } from './ChannelIcon';
import classes from './OfferStack.module.css';

const lateMs = 5000;

export function OfferCard({ offer, first }: { offer: Offer; first: boolean }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const navigate = useNavigate();
  const id = useId();
  const keys = usePrefs((p) => p.shortcuts);
  const online = useDeskState((s) => s.link.phase === 'online');
  const busy = useDeskState((s) => s.active.some((a) => isActive(s.conversations[a])));
  const [pressed, setPressed] = useState<'open' | 'accept' | 'reject' | null>(null);

  const run = async (what: 'open' | 'accept' | 'reject') => {
    setPressed(what);
    // An agent who opens a chat wants to see it, whichever screen is shown; so does one who accepts
    // their only chat (A7).
    if (what === 'open' || (what === 'accept' && !busy)) void navigate('/');
    const ack = what === 'reject' ? await desk.reject(offer.offer) : await desk.accept(offer, what === 'open');
    if (!ack) setPressed(null);
  };
  const button = (what: 'open' | 'accept' | 'reject', key: string, primary: boolean) => (
    <Button
      className={what === 'reject' ? undefined : classes.grow}
      variant={primary ? 'filled' : 'default'}
      loading={pressed === what}
      disabled={!online || (pressed !== null && pressed !== what)}
      aria-keyshortcuts={first ? ariaKeys(key, keys) : undefined}
      onClick={() => run(what)}
    >
      {t(`offer.${what}`)}
    </Button>
  );

  return (
    // Not <dialog>: HTML has no element for an alert that takes no focus and blocks nothing.
    <div role="alertdialog" aria-labelledby={`${id}t`} aria-describedby={`${id}d`} className={classes.card}>
      <div className={classes.head}>
        <span className={classes.icon}>
          <ChannelIcon icon={offer.icon} channel={offer.channel} size={20} />
        </span>
        <h2 id={`${id}t`} className={classes.title}>
          {offer.title}
        </h2>
        {offer.queued_ms > 0 && (
          <span className={`${classes.queue} tabular`} title={t('offer.queued')}>
            Q {queueTime(offer.queued_ms)}
          </span>
        )}
      </div>
      <div id={`${id}d`} className={classes.facts}>
        {offer.service?.name && <div className={classes.service}>{offer.service.name}</div>}
        {offer.customer?.name && <div>{offer.customer.name}</div>}
        {offer.address && <div className="tabular">{offer.address}</div>}
        {offer.invited_by?.name && (
          <div className={classes.muted}>{t('offer.invited', { name: offer.invited_by.name })}</div>
        )}
      </div>
      {offer.expires_at && <TimeLeft offer={offer} expires={offer.expires_at} />}
      <div className={classes.buttons}>
        {busy ? (
          <>
            {button('open', 'O', true)}
            {button('accept', 'A', false)}
          </>
        ) : (
          button('accept', 'A', true)
        )}
        {button('reject', 'R', false)}
      </div>
    </div>
  );
}

/** The time left to decide about an offer, as a bar and as text (A8). */
function TimeLeft({ offer, expires }: { offer: Offer; expires: string }) {
  const { t } = useTranslation();
  const now = useNow();
  const total = Date.parse(expires) - Date.parse(offer.offered_at);
  const left = Math.max(0, Date.parse(expires) - now);
  const share = total > 0 ? Math.min(1, left / total) : 0;
  return (
    <div className={classes.left}>
      <div className={classes.bar} aria-hidden>
        <div
          className={classes.fill}
          data-late={left < lateMs || undefined}
          style={{ transform: `scaleX(${share})` }}
        />
      </div>
      <span className={`${classes.muted} tabular`}>{t('offer.left', { time: remaining(left) })}</span>
    </div>
  );
}
