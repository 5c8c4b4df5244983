import type { FileRef } from '@parley/shared/protocol';
import { IconFileText, IconPhotoOff } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFileUrl } from '../api/files';
import { openDialog } from '../app/ui';
import { fileSize } from '../text/time';
import classes from './Attachment.module.css';

const box = { width: 260, height: 200 };
/** Up to this many bytes a picture without a thumbnail is shown in full size. */
const wholeLimit = 4_000_000;

/** A picture as a thumbnail that opens large (P2, P3); any other file as a link with its name. */
export function Attachment({ file }: { file: FileRef }) {
  return isPicture(file) ? <Picture file={file} /> : <Document file={file} />;
}

/**
 * Whether the desktop shows a file as a picture; the gateway makes thumbnails of these kinds only,
 * never of SVG (P4).
 */
export function isPicture(file: { mime: string }): boolean {
  return /^image\/(png|jpeg|gif|webp)$/.test(file.mime);
}

function Picture({ file }: { file: FileRef }) {
  const { t } = useTranslation();
  const thumbnail = useFileUrl(file.blob, true);
  // The gateway makes no thumbnail of a picture that is small already, or that it cannot decode.
  const whole = useFileUrl(file.blob, false, thumbnail.failed && file.size <= wholeLimit);
  const url = thumbnail.url ?? whole.url;
  const failed = thumbnail.failed && (whole.failed || file.size > wholeLimit);
  const [broken, setBroken] = useState(false);
  const { width, height } = placeOf(file);
  if (failed || broken) return <Document file={file} icon={<IconPhotoOff size={18} aria-hidden />} />;
  return (
    <button
      type="button"
      className={classes.picture}
      style={{ width, height }}
      aria-label={t('file.enlarge', { name: file.name })}
      onClick={() => openDialog({ kind: 'picture', blob: file.blob, name: file.name })}
    >
      {url && <img src={url} alt={file.name} width={width} height={height} onError={() => setBroken(true)} />}
    </button>
  );
}

function Document({ file, icon }: { file: FileRef; icon?: React.ReactNode }) {
  const { t, i18n } = useTranslation();
  const { url, failed } = useFileUrl(file.blob, false);
  return (
    <a className={classes.document} href={url} download={file.name} target="_blank" rel="noopener noreferrer">
      {icon ?? <IconFileText size={18} aria-hidden />}
      <span className={classes.fileName}>{file.name}</span>
      <span className={classes.size}>{failed ? t('file.unavailable') : fileSize(file.size, i18n.language)}</span>
    </a>
  );
}

/**
 * The size that a thumbnail will take, known before it has loaded, so that the list does not jump.
 */
function placeOf(file: FileRef): { width: number; height: number } {
  if (!file.width || !file.height) return box;
  const scale = Math.min(1, box.width / file.width, box.height / file.height);
  return { width: Math.max(32, Math.round(file.width * scale)), height: Math.max(32, Math.round(file.height * scale)) };
}
