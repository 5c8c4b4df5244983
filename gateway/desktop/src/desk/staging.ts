// Files chosen for the next message, as the composer sees them. The store keeps them, as it does
// all that is on its way out.

import { randomId } from '@parley/shared/id';
import { useCallback } from 'react';
import { useDesk, useDeskState } from '../app/context';
import type { Upload } from '../store/state';
import { isPicture } from './Attachment';

/** The gateway accepts ten parts in a message, and one of them is the text. */
const maxFiles = 9;

const none: Upload[] = [];

export function useStaging(conversation: string) {
  const { outbox, store } = useDesk();
  const staged = useDeskState((s) => s.staged[conversation] ?? none);
  const add = useCallback(
    (files: File[]) => {
      const room = maxFiles - (store.getState().staged[conversation] ?? none).length;
      outbox.stage(conversation, files.slice(0, room).map(chosen));
    },
    [conversation, outbox, store],
  );
  return { staged, add };
}

function chosen(file: File): Upload {
  return {
    key: randomId(),
    name: file.name || 'file',
    size: file.size,
    mime: file.type,
    progress: 0,
    file,
    preview: isPicture({ mime: file.type }) ? URL.createObjectURL(file) : undefined,
  };
}
