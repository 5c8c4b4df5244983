// Files chosen for the next message. They upload while the agent goes on writing (P1).

import { randomId } from '@parley/shared/id';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useDesk } from '../app/context';
import type { Upload } from '../store/state';
import { isPicture } from './Attachment';

/** The gateway takes ten parts in a message, and one of them is the text. */
const maxFiles = 9;

export interface Staging {
  staged: Upload[];
  add: (files: File[]) => void;
  remove: (key: string) => void;
  /** Hands the files over to a message; those that failed or still upload go along and are seen to there. */
  take: () => Upload[];
}

// Kept over a change of focus, like the draft; a File cannot be kept over a reload.
const kept = new Map<string, Upload[]>();

export function useStaging(conversation: string): Staging {
  const desk = useDesk();
  const [staged, setStaged] = useState<Upload[]>(() => kept.get(conversation) ?? []);
  const current = useRef(staged);

  const set = useCallback(
    (next: Upload[]) => {
      current.current = next;
      if (next.length > 0) kept.set(conversation, next);
      else kept.delete(conversation);
      setStaged(next);
    },
    [conversation],
  );
  // An upload that ended while another conversation was in focus has changed the kept list behind this one's back.
  useEffect(() => {
    const list = kept.get(conversation);
    if (list && list !== current.current) set(list);
  }, [conversation, set]);

  const add = useCallback(
    (files: File[]) => {
      const fresh = files.slice(0, maxFiles - current.current.length).map((file) => ({
        key: randomId(),
        name: file.name || 'file',
        size: file.size,
        mime: file.type,
        progress: 0,
        file,
        preview: isPicture({ mime: file.type }) ? URL.createObjectURL(file) : undefined,
      }));
      set([...current.current, ...fresh]);
      for (const upload of fresh) {
        desk.outbox.startUpload(conversation, upload, (u) => {
          const list = kept.get(conversation);
          if (!list?.some((x) => x.key === u.key)) return;
          const next = list.map((x) => (x.key === u.key ? u : x));
          kept.set(conversation, next);
          current.current = next;
          setStaged(next);
        });
      }
    },
    [conversation, desk, set],
  );

  const remove = useCallback(
    (key: string) => {
      desk.outbox.abort(key);
      release(current.current.filter((u) => u.key === key));
      set(current.current.filter((u) => u.key !== key));
    },
    [desk, set],
  );

  const take = useCallback(() => {
    const uploads = current.current;
    release(uploads);
    set([]);
    return uploads.map((u) => ({ ...u, preview: undefined }));
  }, [set]);

  return { staged, add, remove, take };
}

function release(uploads: Upload[]): void {
  for (const u of uploads) if (u.preview) URL.revokeObjectURL(u.preview);
}
