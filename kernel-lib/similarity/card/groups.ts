import { parseChip } from '../../ard/index.ts';
import type { DatasetRow } from '../../datasets/index.ts';
import type { ClassRetrieval } from '../../training/index.ts';
import { type CardFigure, type Scorer, classFigures } from './scorer.ts';

/** Chips of one cell, date, or range of angles or resolutions, as they ask: answers come from everywhere. */
export interface CardGroupRow {
  name: string;
  chips: number;
  places: number;
  /** Labels that its chips ask for. */
  labels: number;
  /** Of the model, over those labels, with what chance would score for the same questions. */
  mAP: CardFigure;
}

/** The test ground divided in one way. */
export interface CardGroup {
  by: 'cell' | 'date' | 'ground sample distance' | 'off-nadir angle';
  rows: CardGroupRow[];
  /** What to know of it; not there where nothing is amiss. */
  note?: string | undefined;
}

const UNKNOWN = 'not known';

/** Ranges of so many metres and degrees. */
const [GSD_STEP, ANGLE_STEP] = [0.1, 10];

/** Mean average precision by cell, date, ground sample distance and off-nadir angle. */
export function groupsOf(rows: readonly DatasetRow[], classes: readonly ClassRetrieval[], scorer: Scorer): CardGroup[] {
  const ways: [CardGroup['by'], (row: DatasetRow) => string][] = [
    ['cell', ({ id }) => parseChip(id).cell.id],
    ['date', ({ date }) => date],
    ['ground sample distance', ({ gsd }) => rangeOf(gsd, GSD_STEP, ' m')],
    ['off-nadir angle', ({ offNadir }) => rangeOf(offNadir, ANGLE_STEP, '°')],
  ];
  return ways.map(([by, nameOf]) => divide(by, rows, rows.map(nameOf), classes, scorer)); // prettier-ignore
}

function divide(
  by: CardGroup['by'],
  rows: readonly DatasetRow[],
  names: readonly string[],
  classes: readonly ClassRetrieval[],
  scorer: Scorer,
): CardGroup {
  const found = [...new Set(names)].sort(byNumber).map((name): CardGroupRow => {
    const figures = classFigures(classes, 'averagePrecision').map(({ label, queries, values, chance }) => {
      const own = [...queries.keys()].filter((at) => names[queries[at]] === name);
      return { label, queries: queries.filter((_, at) => names[queries[at]] === name), values: Float64Array.from(own, (at) => values[at]), chance: Float64Array.from(own, (at) => chance[at]) };
    });
    const inside = rows.filter((_, at) => names[at] === name);
    const labels = figures.filter(({ queries }) => queries.length > 0).length;
    return { name, chips: inside.length, places: new Set(inside.map(({ id }) => id)).size, labels, mAP: scorer.of(figures) };
  });
  const known = found.filter(({ name }) => name !== UNKNOWN);
  return { by, rows: found, ...noteOf(by, known, rows.length - known.reduce((sum, { chips }) => sum + chips, 0)) };
} // prettier-ignore

function noteOf(by: string, known: readonly CardGroupRow[], unknown: number): { note?: string } {
  if (known.length === 0 && unknown === 0) return { note: 'There is no chip.' };
  if (known.length === 0) return { note: `The ${by} is not known of any chip: the delivery does not tell it.` };
  const lacking = unknown > 0 ? `Of ${unknown} chips it is not known. ` : '';
  const single = known.length === 1 ? `There is one ${by} only (${known[0].name}): nothing can be compared.` : '';
  return lacking + single === '' ? {} : { note: `${lacking}${single}`.trim() };
}

/** `0.4–0.5 m`: from the first on, below the second. */
function rangeOf(value: number | undefined, step: number, unit: string): string {
  if (value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const at = Math.floor(value / step + 1e-9);
  const text = (times: number): string => String(Number((times * step).toFixed(6)));
  return `${text(at)}–${text(at + 1)}${unit}`;
}

function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
