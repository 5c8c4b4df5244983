import { createContext, useContext } from 'react';
import { useDesk } from './context';
import { openDialog } from './ui';

export const LogoutContext = createContext<() => Promise<void>>(async () => undefined);

/** Ends the agent's working day and the session, even with chats open. */
export function useLogout(): () => Promise<void> {
  return useContext(LogoutContext);
}

/** Logs out, or asks first when chats are open. */
export function useAskedLogout(): () => void {
  const desk = useDesk();
  const logout = useLogout();
  return () => {
    if (desk.activeIds().length > 0) openDialog({ kind: 'logout' });
    else void logout();
  };
}
