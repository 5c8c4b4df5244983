import { IconAlertTriangle, IconClock, IconCloudUpload } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useDesk, useDeskState } from '../app/context';
import { troubleText } from '../app/trouble';
import type { Outgoing } from '../store/state';
import { fileSize } from '../text/time';
import { Attachment } from './Attachment';
import { Linked } from './MessageRow';
import classes from './MessageRow.module.css';

/** A message that the gateway has not confirmed: shown at once, with its state. */
export function OutgoingRow({ outgoing: o, first }: { outgoing: Outgoing; first: boolean }) {
  const { t, i18n } = useTranslation();
  const desk = useDesk();
  const online = useDeskState((s) => s.link.phase === 'online');
  const progress = o.uploads.reduce((sum, u) => sum + u.progress, 0) / Math.max(1, o.uploads.length);
  const state = (o.state === 'queued' && online) || o.state === 'accepted' ? 'sending' : o.state;
  return (
    <div className={classes.row} data-side="mine" data-first={first || undefined}>
      <div className={classes.stack}>
        <div className={`${classes.bubble} ${classes.pending}`} data-side="mine">
          {o.text && <Linked text={o.text} />}
          {o.uploads.map((u) =>
            u.part?.file ? (
              <Attachment key={u.key} file={u.part.file} />
            ) : (
              <div key={u.key}>
                {u.name} · {fileSize(u.size, i18n.language)}
              </div>
            ),
          )}
        </div>
        <div className={classes.meta}>
          {state === 'failed' ? (
            <>
              <span className={`${classes.delivery} ${classes.failed}`} role="alert">
                <IconAlertTriangle size={14} aria-hidden />
                {t('outgoing.failed', { reason: o.error ? troubleText(t, o.error) : '' })}
              </span>
              <button type="button" className={classes.metaButton} onClick={() => desk.outbox.retry(o.clientId)}>
                {t('outgoing.retry')}
              </button>
              <button type="button" className={classes.metaButton} onClick={() => desk.outbox.discard(o.clientId)}>
                {t('outgoing.discard')}
              </button>
            </>
          ) : (
            <span className={classes.delivery}>
              {state === 'uploading' ? <IconCloudUpload size={14} aria-hidden /> : <IconClock size={14} aria-hidden />}
              {state === 'uploading'
                ? t('outgoing.uploading', { percent: Math.round(progress * 100) })
                : t(`outgoing.${state}`)}
            </span>
          )}
        </div>
      </div>
    </div>
  );
}
