import { IconEyeOff } from '@tabler/icons-react';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { useDeskState } from '../app/context';
import type { NoteItem } from '../store/timeline';
import { dateAndTime, timeOfDay } from '../text/time';
import { PartView } from './MessageRow';
import classes from './MessageRow.module.css';

/** What agents and supervisors say among themselves (H2): told apart from messages by words, not by colour alone. */
export const NoteRow = memo(function NoteRow({ note: n }: { note: NoteItem }) {
  const { t, i18n } = useTranslation();
  const me = useDeskState((s) => s.user?.id);
  const name = n.author.agent === me ? t('you') : n.name || t(`author.${n.author.kind}`);
  return (
    <div className={classes.row} data-side="note" data-first>
      <div className={classes.note} title={dateAndTime(n.at, i18n.language)}>
        <div className={classes.noteHead}>
          <IconEyeOff size={15} aria-hidden />
          <strong>{t('note.by', { name })}</strong>
          <span>{t('note.unseen')}</span>
          <time dateTime={n.at}>{timeOfDay(n.at, i18n.language)}</time>
        </div>
        {n.parts.map((p, i) => (
          <PartView key={p.file?.blob ?? `${p.kind}${i}`} part={p} links />
        ))}
      </div>
    </div>
  );
});
