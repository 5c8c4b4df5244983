import { createContext, type ReactNode, useContext, useSyncExternalStore } from 'react';
import { useStore } from 'zustand';
import type { Alerts } from '../alert/alerts';
import type { Desk } from '../store/desk';
import { type Prefs, prefs } from '../store/prefs';
import type { DeskState } from '../store/state';

interface Services {
  desk: Desk;
  alerts: Alerts;
}

const ServicesContext = createContext<Services | null>(null);

export function ServicesProvider({ services, children }: { services: Services; children: ReactNode }) {
  return <ServicesContext value={services}>{children}</ServicesContext>;
}

function useServices(): Services {
  const services = useContext(ServicesContext);
  if (!services) throw new Error('services are not provided');
  return services;
}

export function useDesk(): Desk {
  return useServices().desk;
}

export function useAlerts(): Alerts {
  return useServices().alerts;
}

export function useDeskState<T>(select: (s: DeskState) => T): T {
  return useStore(useDesk().store, select);
}

export function usePrefs<T>(select: (p: Prefs) => T): T {
  return useStore(prefs, select);
}

// One clock for the whole page: every timer on screen changes at the same instant, and only one
// interval runs.
const listeners = new Set<() => void>();
let tick = Math.floor(Date.now() / 1000);
let ticker: ReturnType<typeof setInterval> | undefined;

function subscribeTick(listener: () => void): () => void {
  listeners.add(listener);
  ticker ??= setInterval(() => {
    tick = Math.floor(Date.now() / 1000);
    for (const l of listeners) l();
  }, 500);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(ticker);
      ticker = undefined;
    }
  };
}

/** Whether an RFC 3339 time is at most `before` milliseconds away by the server's clock; without a time it never is. */
export function useReached(at: string | undefined, before = 0): boolean {
  const skew = useDeskState((s) => s.skew);
  return useSyncExternalStore(subscribeTick, () => at !== undefined && Date.now() + skew >= Date.parse(at) - before);
}

/** The server's time in milliseconds; the component is rendered again each second. */
export function useNow(): number {
  const skew = useDeskState((s) => s.skew);
  useSyncExternalStore(subscribeTick, () => tick);
  return Date.now() + skew;
}
