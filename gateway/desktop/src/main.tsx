import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './theme/app.css';
import { createRoot } from 'react-dom/client';
import { Alerts } from './alert/alerts';
import { App } from './app/App';
import { ServicesProvider } from './app/context';
import { i18n, startI18n } from './i18n';
import { Desk } from './store/desk';
import { followPrefs } from './store/prefs';

async function main(): Promise<void> {
  await startI18n();
  followPrefs();
  const desk = new Desk();
  const alerts = new Alerts(desk, () => ({
    offerTitle: (channel) => i18n.t('notify.offer', { channel: channel || i18n.t('channel.any') }),
    messageTitle: (channel) => i18n.t('notify.message', { channel: channel || i18n.t('channel.any') }),
    recentTitle: () => i18n.t('notify.recent'),
  }));
  // After the machine slept or the network was lost, connect at once and do not wait for the next
  // attempt.
  const wake = () => desk.wake();
  window.addEventListener('online', wake);
  window.addEventListener('focus', wake);
  // What the gateway does not have yet would be lost with the tab.
  window.addEventListener('beforeunload', (e) => {
    if (desk.store.getState().outgoing.some((o) => o.state !== 'failed' && o.state !== 'accepted')) e.preventDefault();
  });
  document.addEventListener('visibilitychange', () => document.hidden || wake());

  const root = document.getElementById('root');
  if (!root) throw new Error('no root element');
  createRoot(root).render(
    <ServicesProvider services={{ desk, alerts }}>
      <App />
    </ServicesProvider>,
  );
}

void main();
