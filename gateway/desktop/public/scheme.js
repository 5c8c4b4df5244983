// Runs before the first paint, so that a dark desk does not flash white; a file since inline scripts are forbidden.
(() => {
  let theme = 'auto';
  try {
    theme = JSON.parse(localStorage.getItem('parley.prefs') || '{}').theme || 'auto';
  } catch {
    // No settings were kept.
  }
  const dark = theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
