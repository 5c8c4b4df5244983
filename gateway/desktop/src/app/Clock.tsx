import { clock, remaining } from '../text/time';
import { useNow } from './context';

/** Time since an RFC 3339 instant, ticking. */
export function Since({ at }: { at: string | undefined }) {
  const now = useNow();
  return <span className="tabular">{at ? clock(now - Date.parse(at)) : ''}</span>;
}

/** Time left until an RFC 3339 instant, ticking. */
export function Until({ at }: { at: string | undefined }) {
  const now = useNow();
  return <span className="tabular">{at ? remaining(Date.parse(at) - now) : ''}</span>;
}
