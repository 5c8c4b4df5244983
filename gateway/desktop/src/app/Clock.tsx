import { clock, remaining } from '../text/time';
import { useNow } from './context';

/** Shows how long ago an RFC 3339 time was, updated each second. */
export function Since({ at }: { at: string | undefined }) {
  const now = useNow();
  return <span className="tabular">{at ? clock(now - Date.parse(at)) : ''}</span>;
}

/** Shows how long it is until an RFC 3339 time, updated each second. */
export function Until({ at }: { at: string | undefined }) {
  const now = useNow();
  return <span className="tabular">{at ? remaining(Date.parse(at) - now) : ''}</span>;
}
