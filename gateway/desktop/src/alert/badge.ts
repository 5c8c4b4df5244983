// Shows the unread count where the agent sees it while another window is in front: "(3) Parley" and
// a badge on the icon.

/** The page's title for an unread count; the title of a presented offer comes first. */
export function pageTitle(unread: number, offer: string | undefined): string {
  const base = unread > 0 ? `(${unread}) Parley` : 'Parley';
  return offer ? `● ${offer} – ${base}` : base;
}

let drawn = '';

/** Draws the icon with a badge, unless the badge is the one that was drawn last. */
export function setIcon(unread: number, offered: boolean): void {
  const label = offered ? '!' : unread > 9 ? '9+' : unread > 0 ? String(unread) : '';
  if (label === drawn) return;
  drawn = label;
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (!link) return;
  if (label === '') {
    link.href = '/icon.svg';
    return;
  }
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const g = canvas.getContext('2d');
  if (!g) return;
  g.fillStyle = '#0b6670';
  g.beginPath();
  g.roundRect(2, 2, 60, 60, 15);
  g.fill();
  g.fillStyle = '#fff';
  g.beginPath();
  g.roundRect(14, 18, 30, 22, 8);
  g.fill();
  g.fillStyle = '#d6293e';
  g.beginPath();
  g.arc(44, 44, 20, 0, Math.PI * 2);
  g.fill();
  g.fillStyle = '#fff';
  g.font = `bold ${label.length > 1 ? 22 : 28}px sans-serif`;
  g.textAlign = 'center';
  g.textBaseline = 'middle';
  g.fillText(label, 44, 46);
  link.href = canvas.toDataURL('image/png');
}
