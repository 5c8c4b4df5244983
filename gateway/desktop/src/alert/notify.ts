// Desktop notifications, shown only while the page is hidden. They carry the service's name and
// never what was said, because they stay in the machine's notification centre and on its lock
// screen.

/** Whether the browser may show notifications; "unsupported" outside secure contexts. */
export function notificationState(): NotificationPermission | 'unsupported' {
  return 'Notification' in window && window.isSecureContext ? Notification.permission : 'unsupported';
}

export async function askForNotifications(): Promise<NotificationPermission | 'unsupported'> {
  if (notificationState() === 'unsupported') return 'unsupported';
  return Notification.requestPermission();
}

/**
 * Shows a notification under a tag; it replaces an earlier one with the same tag. Returns a
 * function that removes it.
 */
export function show(title: string, body: string, tag: string, onClick: () => void): () => void {
  // `hidden` is checked first: reading the permission is a call to the browser's process, at each
  // message.
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
    // Browsers on Android have the class but throw when it is constructed.
    return () => undefined;
  }
}
