import { escapeHtml, palette } from './look.ts';
import { shareText } from './number.ts';

/** One line of a forest plot: figures of the same thing, each with its interval. */
export interface ForestRow {
  name: string;
  /** Beside the name, smaller. Default: nothing. */
  about?: string | undefined;
  /** In the order of the plot's series. */
  marks: readonly { value: number; low: number; high: number }[];
  /** Drawn as a stroke. */
  chance: number;
}

const [NAMES, WIDTH, LINE, STEP] = [230, 820, 10, 16];

/** Shapes of series, so that they are told apart without colour. */
const shapes: readonly ((x: number, y: number, ink: string) => string)[] = [
  (x, y, ink) => `<circle cx="${x}" cy="${y}" r="4.5" fill="${ink}"/>`,
  (x, y, ink) => `<path d="M${x} ${y - 5}l5 5l-5 5l-5-5z" fill="${ink}"/>`,
  (x, y, ink) => `<rect x="${x - 4}" y="${y - 4}" width="8" height="8" fill="${ink}"/>`,
  (x, y, ink) => `<path d="M${x} ${y - 5}l5 9h-10z" fill="${ink}"/>`,
];

/**
 * A forest plot: a line of names, and on an axis of 0–1 each figure with its interval and the stroke of chance.
 *
 * @param series names of the marks
 * @returns SVG with its legend, as HTML
 */
export function forestHtml(rows: readonly ForestRow[], series: readonly string[], label: string): string {
  const drawn = rows.map((row) => Math.max(1, row.marks.length));
  let y = 14;
  const lines = rows.map((row, at) => {
    const top = y;
    y += drawn[at] * LINE + STEP;
    return rowSvg(row, top, series);
  });
  const height = y + 24;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((value) => {
    const x = placeOf(value);
    return `<path d="M${x} 4V${y}" class="grid"/><text x="${x}" y="${y + 14}" text-anchor="middle" class="tick">${value}</text>`;
  });
  const key = series.map((name, at) => `<span><svg width="14" height="14">${shapes[at % shapes.length](7, 7, palette[at % palette.length])}</svg> ${escapeHtml(name)}</span>`); // prettier-ignore
  return `<div class="forest"><p class="key">${key.join('')}<span><svg width="14" height="14"><path d="M7 1v12" class="chance"/></svg> chance</span></p>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(label)}">${ticks.join('')}${lines.join('')}</svg></div>`;
}

function rowSvg({ name, about, marks, chance }: ForestRow, top: number, series: readonly string[]): string {
  const middle = top + ((marks.length - 1) * LINE) / 2;
  const words = `<text x="${NAMES - 12}" y="${middle + 4}" text-anchor="end"><title>${escapeHtml(name)}</title>${escapeHtml(shortened(name))}${about === undefined ? '' : `<tspan class="tick"> ${escapeHtml(about)}</tspan>`}</text>`; // prettier-ignore
  const drawn = marks.map(({ value, low, high }, at) => {
    if (!Number.isFinite(value)) return '';
    const [ink, y] = [palette[at % palette.length], top + at * LINE];
    const whisker = Number.isFinite(low) ? `<path d="M${placeOf(low)} ${y}H${placeOf(high)}" stroke="${ink}" stroke-width="2"/>` : ''; // prettier-ignore
    const title = `<title>${escapeHtml(`${name}, ${series[at]}: ${shareText(value)} (${shareText(low)} to ${shareText(high)})`)}</title>`;
    return `<g>${title}${whisker}${shapes[at % shapes.length](placeOf(value), y, ink)}</g>`;
  });
  const stroke = Number.isFinite(chance) ? `<path d="M${placeOf(chance)} ${top - 6}V${top + (marks.length - 1) * LINE + 6}" class="chance"/>` : ''; // prettier-ignore
  return words + stroke + drawn.join('');
}

function placeOf(value: number): number {
  return Math.round(10 * (NAMES + Math.max(0, Math.min(1, value)) * (WIDTH - NAMES - 16))) / 10;
}

function shortened(name: string): string {
  return name.length > 30 ? `${name.slice(0, 29)}…` : name;
}
