// The alerts of presented offers (A2-A8, K2). They never take the focus from what the agent is
// writing: a live region announces them, and keys, Tab or the mouse reach them.

import { useTranslation } from 'react-i18next';
import { useDeskState, usePrefs } from '../app/context';
import { keysOf } from '../app/keys';
import { OfferCard } from './OfferCard';
import classes from './OfferStack.module.css';

export function OfferStack() {
  const { t } = useTranslation();
  const offers = useDeskState((s) => s.offers);
  const keys = usePrefs((p) => p.shortcuts);
  const newest = offers.at(-1);
  return (
    <>
      <div role="alert" className="sr-only">
        {newest &&
          t('offer.announce', {
            title: newest.title,
            service: newest.service?.name ?? '',
            name: newest.customer?.name ?? '',
          }) + (keys === 'off' ? '' : ` ${t('offer.howto', { keys: keysOf('A', keys).join('+') })}`)}
      </div>
      {offers.length > 0 && (
        <section className={classes.stack} aria-label={t('offer.region')}>
          {offers.map((offer, i) => (
            <OfferCard key={offer.offer} offer={offer} first={i === 0} />
          ))}
        </section>
      )}
    </>
  );
}
