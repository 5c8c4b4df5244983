import { useQuery } from '@tanstack/react-query';
import type { AgentStatus } from '../protocol/frames';
import { call } from './http';

/** Somebody or something that may be invited. `status` is an agent's own. */
export interface DirectoryEntry {
  id: string;
  name: string;
  status?: AgentStatus;
}

export interface Directory {
  agents: DirectoryEntry[];
  services: DirectoryEntry[];
}

/** Whom this agent may invite; fetched whenever the dialog opens, since states change. */
export function useDirectory() {
  return useQuery({ queryKey: ['directory'], queryFn: () => call<Directory>('GET', '/directory'), staleTime: 0 });
}
