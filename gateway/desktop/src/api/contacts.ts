import type { Contact, ContactPage } from '@parley/shared/protocol';
import { useQuery } from '@tanstack/react-query';
import { call } from './http';

/** The contact that a conversation is linked to; undefined while it is not known. */
export function useContact(id: string | undefined): Contact | undefined {
  const { data } = useQuery({
    queryKey: ['contact', id],
    enabled: id !== undefined,
    queryFn: ({ signal }) => call<Contact>('GET', `/contacts/${id}`, undefined, signal),
  });
  return data;
}

/** Contacts by a part of a name, company or address; nothing is asked before two characters are there. */
export function useContactSearch(text: string) {
  const q = text.trim();
  return useQuery({
    queryKey: ['contacts', q],
    enabled: q.length >= 2,
    queryFn: ({ signal }) =>
      call<ContactPage>('GET', `/contacts?limit=20&q=${encodeURIComponent(q)}`, undefined, signal),
  });
}
