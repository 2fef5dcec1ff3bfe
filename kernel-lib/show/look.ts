/**
 * Eight colours that stay apart for colour-blind readers, on light and dark ground.
 *
 * @see Okabe & Ito 2008, Color Universal Design, with black given up for a grey that shows on dark ground
 */
export const palette: readonly string[] = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#e69f00',
  '#b3a100',
  '#8c8c8c',
];

/** The font of every output, charts included. */
export const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif";

/** Lines and grids: seen on light and dark ground alike. */
export const hairline = 'rgba(128, 128, 128, 0.32)';

/** Text, grounds and lines come from where the output stands, so that it follows Jupyter's light or dark theme. */
const shared = `
.ims { font: 13px/1.45 ${font}; color: inherit; font-variant-numeric: tabular-nums; margin: 4px 0 8px; }
.ims .ims-title { font-size: 14px; font-weight: 600; margin: 0 0 6px; }
.ims .ims-note { font-size: 12px; opacity: 0.68; margin: 4px 0 0; }
.ims figure, .ims figcaption, .ims p { margin: 0; padding: 0; }`;

/** Text as it may stand in HTML and SVG, in an attribute too. */
export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (sign) => names[sign]);
}

/**
 * One output in the house look.
 *
 * @param body HTML, its texts escaped by whoever made it
 * @param css rules of this kind of output, on top of the shared ones
 * @param title plain text above the body. Default: none
 */
export function framed(body: string, css: string, title?: string): string {
  const heading = title === undefined ? '' : `<div class="ims-title">${escapeHtml(title)}</div>`;
  return `<div class="ims"><style>${shared}${css}</style>${heading}${body}</div>`;
}
