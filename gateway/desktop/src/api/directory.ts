import { useQuery } from '@tanstack/react-query';
import { call } from './http';

/** Whom this agent may invite; loaded whenever the dialog opens, since agents' states change. */
export function useDirectory() {
  return useQuery({ queryKey: ['directory'], queryFn: () => call('GET /directory', {}), staleTime: 0 });
}
