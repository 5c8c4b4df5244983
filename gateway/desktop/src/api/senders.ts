import { useQuery } from '@tanstack/react-query';
import { useDeskState } from '../app/context';
import { mayText } from '../store/select';
import { call } from './http';

/** What this agent may begin texts from: a service's number, or their own when `service` is null. */
export interface Sender {
  service: { id: string; name: string } | null;
  account: { id: string; name: string };
  channel: string;
  icon?: string;
  address_kind?: string;
  counter?: string;
  max_length?: number;
  files?: boolean;
}

/** The senders; nothing is asked without the privilege (N1). `fresh`: asked again now. */
export function useSenders(fresh = false) {
  const may = useDeskState(mayText);
  return useQuery({
    queryKey: ['senders'],
    enabled: may,
    staleTime: fresh ? 0 : 300_000,
    queryFn: async ({ signal }) => {
      const { senders } = await call<{ senders?: Sender[] | null }>('GET', '/senders', undefined, signal);
      // Services first: one's own number is for what is one's own.
      return (senders ?? [])
        .filter((s) => s.address_kind === 'phone')
        .sort((a, b) => Number(!a.service) - Number(!b.service));
    },
  });
}
