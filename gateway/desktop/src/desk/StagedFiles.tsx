import { CloseButton } from '@mantine/core';
import { IconFileText } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { troubleText } from '../app/trouble';
import type { Upload } from '../store/state';
import { fileSize } from '../text/time';
import classes from './Composer.module.css';

export function StagedFiles({ staged, onRemove }: { staged: Upload[]; onRemove: (key: string) => void }) {
  const { t, i18n } = useTranslation();
  return (
    <ul className={classes.staged} aria-label={t('composer.staged')}>
      {staged.map((u) => (
        <li key={u.key} className={classes.file} data-error={u.error ? true : undefined}>
          {u.preview ? (
            <img className={classes.thumb} src={u.preview} alt="" />
          ) : (
            <IconFileText size={20} aria-hidden />
          )}
          <span className={classes.fileText}>
            <span className={classes.fileName} style={{ display: 'block' }}>
              {u.name}
            </span>
            <span className={classes.fileState}>
              {u.error
                ? troubleText(t, u.error)
                : u.part
                  ? fileSize(u.size, i18n.language)
                  : t('outgoing.uploading', { percent: Math.round(u.progress * 100) })}
            </span>
          </span>
          <CloseButton size="sm" aria-label={t('composer.remove', { name: u.name })} onClick={() => onRemove(u.key)} />
        </li>
      ))}
    </ul>
  );
}
