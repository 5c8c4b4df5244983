// Finished and open conversations over REST: what the Recent screen lists and shows.

import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { type Conversation, emptyConversation, foldEvents } from '../store/conversation';
import { call } from './http';

/** This agent's conversations, newest first, page by page. */
export function useRecent() {
  return useInfiniteQuery({
    queryKey: ['recent', 'all'],
    queryFn: ({ pageParam }) =>
      call('GET /conversations', { query: { scope: 'recent', cursor: pageParam || undefined } }),
    initialPageParam: '',
    getNextPageParam: (last) => last.next || undefined,
    staleTime: 0,
  });
}

const mostOpen = 100;

/**
 * This agent's open exchanges: those that wait for a reply are shown before all others, however
 * old.
 */
export function useOpenRecent() {
  return useQuery({
    queryKey: ['recent', 'open'],
    queryFn: ({ signal }) =>
      call('GET /conversations', { query: { scope: 'recent', phase: ['open'], limit: mostOpen } }, signal),
    staleTime: 0,
  });
}

const pageSize = 500;

/** A conversation with all its events, folded into the same state as a live one. */
export function useHistory(id: string | undefined) {
  return useQuery({
    queryKey: ['history', id],
    enabled: id !== undefined,
    staleTime: 0,
    queryFn: async ({ signal }): Promise<Conversation> => {
      const path = { id: id ?? '' };
      const { info } = await call('GET /conversations/{id}', { path }, signal);
      let c: Conversation = { ...emptyConversation(path.id), info, live: true };
      for (;;) {
        const query = { after: c.seq, limit: pageSize };
        const { events } = await call('GET /conversations/{id}/events', { path, query }, signal);
        if (!events || events.length === 0) return c;
        c = foldEvents(c, events);
        if (events.length < pageSize) return c;
      }
    },
  });
}
