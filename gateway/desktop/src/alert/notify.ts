// Desktop notifications, for a page that is hidden only. They carry the service's name and never what was said:
// they stay in the machine's notification centre and on its lock screen.

/** Whether the browser may show them; "unsupported" outside secure contexts. */
export function notificationState(): NotificationPermission | 'unsupported' {
  return 'Notification' in window && window.isSecureContext ? Notification.permission : 'unsupported';
}

export async function askForNotifications(): Promise<NotificationPermission | 'unsupported'> {
  if (notificationState() === 'unsupported') return 'unsupported';
  return Notification.requestPermission();
}

/** Shows one under a tag, which replaces an earlier one of the same tag. Returns a function that takes it away. */
export function show(title: string, body: string, tag: string, onClick: () => void): () => void {
  // In this order: asking for the permission asks the browser's process, for every message.
  if (!document.hidden || notificationState() !== 'granted') return () => undefined;
  try {
    const n = new Notification(title, { body, tag, icon: '/icon.svg' });
    n.onclick = () => {
      window.focus();
      onClick();
      n.close();
    };
    return () => n.close();
  } catch {
    // Android's browsers have the class and refuse to construct it.
    return () => undefined;
  }
}
