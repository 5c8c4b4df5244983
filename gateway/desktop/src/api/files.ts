import { useQuery } from '@tanstack/react-query';
import { fileUrl } from './http';

const renewBefore = 30_000;

/** A signed address of an attachment, renewed before it expires while it is on screen. */
export function useFileUrl(blob: string, thumbnail: boolean, enabled = true): { url?: string; failed: boolean } {
  const { data, isError } = useQuery({
    queryKey: ['file', blob, thumbnail],
    enabled,
    queryFn: () => fileUrl(blob, thumbnail),
    staleTime: ({ state }) => lasts(state.data?.expires),
    refetchInterval: ({ state }) => (state.data ? Math.max(1000, lasts(state.data.expires)) : false),
    gcTime: 60_000,
  });
  return { url: data?.url, failed: isError };
}

function lasts(expires: string | undefined): number {
  return expires ? Math.max(0, Date.parse(expires) - Date.now() - renewBefore) : 0;
}
