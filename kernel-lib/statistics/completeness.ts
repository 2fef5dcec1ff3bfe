import { wilsonInterval } from './interval.ts';

/** How far the map of a cell can be taken for complete. */
export interface Completeness {
  /** The cell's id. */
  cell: string;
  /** Chips that were looked at. */
  chips: number;
  /** Share of them into which any tagged element reaches, 0–1. */
  mapped: number;
  /** Chips that are built up by their land use or streets. */
  builtUp: number;
  /** Share of those that have a building, 0–1; `NaN` where none is built up. */
  housed: number;
  /** `mapped × housed`, 0–1, each by the lower end of its 95 % Wilson interval; without built-up chips by `mapped` alone. */
  score: number;
}

/** What makes a chip built up: so much of these says that houses must stand there. */
const BUILT_UP: { tag: RegExp; measure: 'area' | 'length'; atLeast: number }[] = [
  { tag: /^landuse=(residential|commercial|retail|industrial)$/, measure: 'area', atLeast: 0.5 },
  { tag: /^highway=(residential|living_street)$/, measure: 'length', atLeast: 60 },
];

/**
 * How complete the map of each cell is, from the map alone: whether anything is mapped at all, and whether there are houses
 * where land use or streets say that there must be.
 *
 * The score is a share of ground on which "not mapped" can be taken for "not there"; it is low where little can be told.
 *
 * @param chips ids of the chips looked at, `Z33-<18 digits>`, those without any tag included
 * @param rows which tags lie in which chips
 * @returns by cell, in order of id
 */
export function completeness(
  chips: Iterable<string>,
  rows: readonly { chip: string; tag: string; area: number; length: number }[],
): Completeness[] {
  const cells = new Map<string, Set<string>>();
  for (const chip of chips) {
    const cell = chip.slice(0, 4 + 12);
    cells.set(cell, (cells.get(cell) ?? new Set()).add(chip));
  }
  const mapped = new Set(rows.map(({ chip }) => chip));
  const housed = new Set(rows.filter(({ tag }) => tag.startsWith('building=')).map(({ chip }) => chip));
  const builtUp = builtUpChips(rows);
  return [...cells].sort(([a], [b]) => (a < b ? -1 : 1)).map(([cell, own]) => {
    const count = (of: ReadonlySet<string>): number => [...own].filter((chip) => of.has(chip)).length;
    const built = [...own].filter((chip) => builtUp.has(chip));
    const withHouse = built.filter((chip) => housed.has(chip)).length;
    const share = count(mapped) / own.size;
    const [least] = wilsonInterval(count(mapped), own.size);
    const score = built.length === 0 ? least : least * wilsonInterval(withHouse, built.length)[0];
    return { cell, chips: own.size, mapped: share, builtUp: built.length, housed: withHouse / built.length, score };
  }); // prettier-ignore
}

function builtUpChips(rows: readonly { chip: string; tag: string; area: number; length: number }[]): Set<string> {
  const sums = new Map<string, number[]>();
  for (const row of rows) {
    BUILT_UP.forEach(({ tag, measure }, rule) => {
      if (!tag.test(row.tag)) return;
      const sum = sums.get(row.chip) ?? BUILT_UP.map(() => 0);
      sum[rule] += row[measure];
      sums.set(row.chip, sum);
    });
  }
  const isBuilt = (sum: readonly number[]): boolean => BUILT_UP.some(({ atLeast }, rule) => sum[rule] >= atLeast);
  return new Set([...sums].filter(([, sum]) => isBuilt(sum)).map(([chip]) => chip));
}
