/** What keys do, by `KeyboardEvent.key` in lower case. */
export type Keys = Record<string, () => void>;

/** Listens for keys, unless something is being typed or chosen. */
export function listen(keys: Keys): void {
  document.addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement;
    const isTyping = target.matches('input:not([type=checkbox]):not([type=range]), select, textarea');
    const isOpen = document.querySelector('dialog[open]') !== null;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isOpen) return;
    const work = keys[event.key.toLowerCase()];
    if (isTyping && event.key === 'Escape') target.blur();
    if (!work || isTyping) return;
    event.preventDefault();
    work();
  });
}
