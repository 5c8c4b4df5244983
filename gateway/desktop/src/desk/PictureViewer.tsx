// The large view of a picture (P3): if the picture is larger than the window, it can be zoomed and
// opened in its own tab.

import { ActionIcon, Group, Loader, Modal, Tooltip } from '@mantine/core';
import { IconExternalLink, IconZoomIn, IconZoomOut, IconZoomReset } from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFileUrl } from '../api/files';
import classes from './PictureViewer.module.css';

const step = 1.5;
const maxZoom = 8;

export function PictureViewer({ blob, name, onClose }: { blob: string; name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const { url, failed } = useFileUrl(blob, false);
  const area = useRef<HTMLElement>(null);
  const [size, setSize] = useState<{ width: number; height: number; fit: number } | null>(null);
  /** Relative to the size at which the picture fits into the window. */
  const [zoom, setZoom] = useState(1);
  const larger = size !== null && size.fit < 1;
  const change = (factor: number) => setZoom((z) => Math.min(maxZoom, Math.max(1, z * factor)));

  return (
    <Modal
      opened
      onClose={onClose}
      title={<span className={classes.title}>{name}</span>}
      size="min(72rem, 94vw)"
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      {larger && (
        <Group gap={4} justify="flex-end" mb={6}>
          <Tooltip label={t('picture.out')}>
            <ActionIcon aria-label={t('picture.out')} disabled={zoom <= 1} onClick={() => change(1 / step)}>
              <IconZoomOut size={19} />
            </ActionIcon>
          </Tooltip>
          <span className={`${classes.percent} tabular`}>{Math.round(zoom * size.fit * 100)} %</span>
          <Tooltip label={t('picture.in')}>
            <ActionIcon aria-label={t('picture.in')} disabled={zoom >= maxZoom} onClick={() => change(step)}>
              <IconZoomIn size={19} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label={t('picture.fit')}>
            <ActionIcon aria-label={t('picture.fit')} disabled={zoom === 1} onClick={() => setZoom(1)}>
              <IconZoomReset size={19} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label={t('picture.tab')}>
            <ActionIcon
              component="a"
              href={url}
              target="_blank"
              rel="noopener noreferrer"
              aria-label={t('picture.tab')}
            >
              <IconExternalLink size={19} />
            </ActionIcon>
          </Tooltip>
        </Group>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by key */}
      <section ref={area} className={classes.area} tabIndex={0} aria-label={name}>
        {failed ? (
          t('file.unavailable')
        ) : url ? (
          <img
            src={url}
            alt={name}
            className={classes.image}
            style={size ? { width: size.width * size.fit * zoom, maxWidth: 'none', maxHeight: 'none' } : undefined}
            onLoad={(e) => {
              const { naturalWidth: width, naturalHeight: height } = e.currentTarget;
              const room = area.current;
              const fit = room ? Math.min(1, room.clientWidth / width, (window.innerHeight * 0.72) / height) : 1;
              setSize({ width, height, fit });
            }}
          />
        ) : (
          <Loader size="sm" />
        )}
      </section>
    </Modal>
  );
}
