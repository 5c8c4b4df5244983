import type { Contact } from '@parley/shared/protocol';
import { useQuery } from '@tanstack/react-query';
import { call } from './http';

/** The contact that a conversation is linked to; undefined until it is loaded. */
export function useContact(id: string | undefined): Contact | undefined {
  const { data } = useQuery({
    queryKey: ['contact', id],
    enabled: id !== undefined,
    queryFn: ({ signal }) => call('GET /contacts/{id}', { path: { id: id ?? '' } }, signal),
  });
  return data;
}

/**
 * Contacts whose name, company or address contains a text; searched only when it has two characters
 * or more.
 */
export function useContactSearch(text: string) {
  const q = text.trim();
  return useQuery({
    queryKey: ['contacts', q],
    enabled: q.length >= 2,
    queryFn: ({ signal }) => call('GET /contacts', { query: { limit: 20, q } }, signal),
  });
}
