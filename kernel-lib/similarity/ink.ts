/**
 * Eight colours that stay apart for colour-blind readers, on light and dark ground: those of the notebooks.
 *
 * @see Okabe & Ito 2008, Color Universal Design
 */
export const inks: readonly string[] = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#e69f00',
  '#b3a100',
  '#8c8c8c',
];

/** Text as it may stand in HTML and SVG, in an attribute too. */
export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (sign) => names[sign]);
}

/** A figure of 0–1: three digits; a dash where there is none. */
export function shareText(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3).replace('-', '−') : '–';
}
