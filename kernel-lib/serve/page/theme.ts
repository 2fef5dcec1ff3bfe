const KEY = 'imagesim-theme';

/** Dark or light as it was chosen before; else as the system is. */
export function restoreTheme(): void {
  const chosen = read();
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset['theme'] = chosen;
}

export function switchTheme(): void {
  const isDark = (document.documentElement.dataset['theme'] ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark'; // prettier-ignore
  const next = isDark ? 'light' : 'dark';
  document.documentElement.dataset['theme'] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // a notebook's frame may keep nothing: the choice lasts as long as the page
  }
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // as above
  }
}
