import { createRequire } from 'node:module';
import type { DataFrame } from 'danfojs-node';
import type { ChipTag } from './chiptags.ts';
import type { TagElements } from './elementtally.ts';
import { wilsonInterval } from './interval.ts';

/** Hectares of a chip. */
const CHIP_HECTARES = 78.125 ** 2 / 10_000;

/** One tag over all chips looked at, and its elements in the data of the cells, `NaN` and `unknown` where not given. */
export interface AtlasRow extends TagElements {
  /** Chips that have it. */
  chips: number;
  /** Cells that have it. */
  cells: number;
  /** Share of all chips, 0–1, and its 95 % Wilson interval. */
  share: number;
  low: number;
  high: number;
  /** Area under it, hectares; metres of its lines, in kilometres; its points. */
  hectares: number;
  kilometres: number;
  points: number;
  /** Mean share of the chip that it covers, over the chips that have it, 0–1. */
  cover: number;
  /** Inverse document frequency over the chips looked at: ln(all chips / chips that have it). Infinite where none has it. */
  rarity: number;
}

const UNKNOWN = { nodes: NaN, ways: NaN, relations: NaN, elements: NaN, medianChips: NaN, size: 'unknown' } as const;

/**
 * The tag atlas: how much of every tag there is, the most frequent first; equals by their elements, then by name.
 *
 * With `elements`, tags of the cells' data that lie in none of the chips looked at are there too, with 0 chips.
 *
 * @param rows which tags lie in which chips
 * @param chips how many chips were looked at, those without any tag included
 * @param elements the elements of every tag, as {@link chipTags} counts them. Default: not known
 * @throws {RangeError} when more chips have tags than were looked at
 */
export function tagAtlas(rows: readonly ChipTag[], chips: number, elements: readonly TagElements[] = []): AtlasRow[] {
  const tagged = new Set(rows.map(({ chip }) => chip)).size;
  if (tagged > chips) throw new RangeError(`tagAtlas got tags of ${tagged} chips, but ${chips} were looked at`);
  const tags = new Map<string, ChipTag[]>();
  for (const row of rows) {
    const found = tags.get(row.tag);
    if (found) found.push(row);
    else tags.set(row.tag, [row]);
  }
  const known = new Map(elements.map((each) => [each.tag, each]));
  for (const tag of known.keys()) if (!tags.has(tag)) tags.set(tag, []);
  const atlas = [...tags].map(([tag, found]) => ({ ...atlasRow(tag, found, chips), ...countsOf(known.get(tag)) }));
  return atlas.sort((a, b) => b.chips - a.chips || (b.elements || 0) - (a.elements || 0) || (a.tag < b.tag ? -1 : 1));
}

type Counts = Pick<AtlasRow, keyof typeof UNKNOWN>;

function countsOf(known: TagElements | undefined): Counts {
  if (!known) return UNKNOWN;
  const { nodes, ways, relations, elements, medianChips, size } = known;
  return { nodes, ways, relations, elements, medianChips, size };
}

function atlasRow(tag: string, rows: readonly ChipTag[], chips: number): Omit<AtlasRow, keyof Counts> {
  const sum = (of: (row: ChipTag) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const cut = tag.indexOf('=');
  const [low, high] = chips > 0 ? wilsonInterval(rows.length, chips) : [NaN, NaN];
  return {
    tag,
    key: tag.slice(0, cut),
    value: tag.slice(cut + 1),
    chips: rows.length,
    cells: new Set(rows.map(({ chip }) => chip.slice(0, 16))).size,
    share: rows.length / chips,
    low,
    high,
    hectares: sum(({ area }) => area) * CHIP_HECTARES,
    kilometres: sum(({ length }) => length) / 1000,
    points: sum(({ points }) => points),
    cover: sum(({ area }) => area) / rows.length,
    rarity: Math.log(chips / rows.length),
  };
}

/**
 * A danfojs table of rows of one shape: for `groupby`, `describe` and the rest of its verbs.
 *
 * @throws {RangeError} when there is no row: a table needs its columns' names
 */
export function frame(rows: readonly object[]): DataFrame {
  if (rows.length === 0) throw new RangeError('frame requires at least one row, got none');
  const danfo = createRequire(import.meta.url)('danfojs-node') as typeof import('danfojs-node'); // loaded on use: it takes a second
  return new danfo.DataFrame(rows);
}
