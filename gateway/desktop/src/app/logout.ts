import { createContext, useContext } from 'react';

export const LogoutContext = createContext<() => Promise<void>>(async () => undefined);

/** Ends the agent's working day and the session. */
export function useLogout(): () => Promise<void> {
  return useContext(LogoutContext);
}
