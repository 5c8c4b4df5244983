// After-call work (R4): timer and limit, notes, a disposition from the service's list, and the
// button to finish it.

import { Button, Radio, Select, Textarea } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useStore } from 'zustand';
import { Since } from '../app/Clock';
import { useDesk, useDeskState, useNow } from '../app/context';
import type { Conversation } from '../store/conversation';
import { draftKey, drafts, setDraft } from '../store/drafts';
import { remaining } from '../text/time';
import classes from './WrapupPanel.module.css';

/** Up to this many dispositions are all shown; more are put into a list to choose from. */
const openChoices = 5;
/**
 * How long before the time limit notes and disposition are sent: after it the gateway would refuse
 * them.
 */
const handInMs = 2500;

export function WrapupPanel({ conversation: c }: { conversation: Conversation }) {
  const { t } = useTranslation();
  const desk = useDesk();
  const me = useDeskState((s) => s.user?.id ?? '');
  const online = useDeskState((s) => s.link.phase === 'online');
  const notes = useStore(drafts, (d) => d.texts[draftKey(me, `${c.id}:notes`)] ?? '');
  const disposition = useStore(drafts, (d) => d.texts[draftKey(me, `${c.id}:disposition`)] ?? '');
  const [busy, setBusy] = useState(false);
  const [missing, setMissing] = useState(false);
  const service = c.info?.service;
  const choices = service?.dispositions ?? [];
  const needed = service?.disposition_needed === true && choices.length > 0;

  const choose = (code: string) => {
    setDraft(me, `${c.id}:disposition`, code);
    setMissing(false);
  };
  const finish = async () => {
    if (needed && !disposition) {
      setMissing(true);
      return;
    }
    setBusy(true);
    await desk.wrapup(c.id, disposition, notes.trim());
    setBusy(false);
  };

  return (
    <section className={classes.panel} aria-label={t('wrapup.region')}>
      <div className={classes.head}>
        <h2 className={classes.title}>{t('wrapup.title')}</h2>
        <span className={classes.timer}>
          <Since at={wrapupStart(c)} />
          {c.wrapupUntil && (
            <>
              {' · '}
              <Left at={c.wrapupUntil} />
            </>
          )}
        </span>
      </div>
      {choices.length > 0 &&
        (choices.length <= openChoices ? (
          <Radio.Group
            label={t('wrapup.disposition')}
            withAsterisk={needed}
            value={disposition}
            onChange={choose}
            error={missing && t('wrapup.missing')}
          >
            <div className={classes.choices}>
              {choices.map((d) => (
                <Radio key={d.code} value={d.code} label={d.name} />
              ))}
            </div>
          </Radio.Group>
        ) : (
          <Select
            label={t('wrapup.disposition')}
            withAsterisk={needed}
            searchable
            data={choices.map((d) => ({ value: d.code, label: d.name }))}
            value={disposition || null}
            onChange={(code) => choose(code ?? '')}
            error={missing && t('wrapup.missing')}
          />
        ))}
      <Textarea
        label={t('wrapup.notes')}
        autosize
        minRows={2}
        maxRows={6}
        maxLength={8000}
        value={notes}
        onChange={(e) => setDraft(me, `${c.id}:notes`, e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) void finish();
        }}
      />
      <Button className={classes.finish} loading={busy} disabled={!online} onClick={() => void finish()}>
        {t('wrapup.finish')}
      </Button>
      {c.wrapupUntil && (notes.trim() || disposition) && (!needed || disposition) && (
        <HandIn at={c.wrapupUntil} act={finish} />
      )}
    </section>
  );
}

function Left({ at }: { at: string }) {
  const { t } = useTranslation();
  const now = useNow();
  return <span className="tabular">{t('wrapup.left', { time: remaining(Date.parse(at) - now) })}</span>;
}

/** Sends what was written just before the time limit ends the wrap-up. */
function HandIn({ at, act }: { at: string; act: () => Promise<void> }) {
  const due = Date.parse(at) - useNow() < handInMs;
  // biome-ignore lint/correctness/useExhaustiveDependencies: sent once, when it is due
  useEffect(() => {
    if (due) void act();
  }, [due]);
  return null;
}

function wrapupStart(c: Conversation): string | undefined {
  return c.wrapupSince ?? c.endedAt;
}
