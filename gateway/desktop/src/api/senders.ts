import { useQuery } from '@tanstack/react-query';
import { useDeskState } from '../app/context';
import { mayText } from '../store/select';
import { call } from './http';

/**
 * The senders that the agent may text from; without the privilege they are not asked for (N1).
 * `fresh`: loads them again now.
 */
export function useSenders(fresh = false) {
  const may = useDeskState(mayText);
  return useQuery({
    queryKey: ['senders'],
    enabled: may,
    staleTime: fresh ? 0 : 300_000,
    queryFn: async ({ signal }) => {
      const { senders } = await call('GET /senders', {}, signal);
      // Services come first, because the agent's own number is meant for personal exchanges.
      return (senders ?? [])
        .filter((s) => s.address_kind === 'phone')
        .sort((a, b) => Number(!a.service) - Number(!b.service));
    },
  });
}
