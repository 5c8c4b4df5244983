// Sets the colour scheme before the first paint, so that a dark desktop does not flash white. It is
// a file because inline scripts are forbidden.
(() => {
  let theme = 'auto';
  try {
    theme = JSON.parse(localStorage.getItem('parley.prefs') || '{}').theme || 'auto';
  } catch {
    // The settings cannot be read, so the defaults hold.
  }
  const dark = theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
