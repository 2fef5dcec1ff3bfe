import seedrandom from 'seedrandom';
import { CHIP_ZOOM, columnRow } from '../ard/index.ts';
import type { ChipLabels } from './labels.ts';

/** What a chip is for; `buffer` chips lie between two others and are left out. */
export type Split = 'train' | 'validation' | 'test' | 'buffer';

/** Options of {@link splitByPlace}. */
export interface SplitOptions {
  /** Zoom of the blocks that stay together: 15 is 625 m, 8 × 8 chips. Default 15. */
  blockZoom?: number;
  /** Rings of chips around validation and test blocks that are not trained on. Default 1. */
  buffer?: number;
  /** Shares of places for validation and test, 0–1. Default 0.15 and 0.25. */
  validation?: number;
  test?: number;
  /** Default 1. */
  seed?: number | string;
}

/** How many random draws are compared for the balance of labels. */
const DRAWS = 400;

/**
 * Splits by place: whole blocks of ground go to one side, all dates of a chip with them, and a ring between the sides is left out.
 *
 * Of 400 seeded draws the one is taken that spreads every label most evenly.
 *
 * @param chips by chip id
 * @returns the split of each chip id
 * @throws {RangeError} when there are fewer than three blocks: nothing can be held out; when the buffer leaves nothing to a
 * side; or when an option is out of range
 */
export function splitByPlace(
  chips: ReadonlyMap<string, ChipLabels>,
  { blockZoom = 15, buffer = 1, validation = 0.15, test = 0.25, seed = 1 }: SplitOptions = {},
): Map<string, Split> {
  if (!(validation > 0 && test > 0 && validation + test < 1)) {
    throw new RangeError(
      `splitByPlace requires shares above 0 that leave some to train on, got validation ${validation}, test ${test}`,
    );
  }
  if (!(Number.isInteger(buffer) && buffer >= 0)) {
    throw new RangeError(`splitByPlace requires a buffer of 0 or more whole rings, got ${buffer}`);
  }
  const blocks = blocksOf(chips.keys(), blockZoom);
  if (blocks.size < 3) {
    throw new RangeError(
      `splitByPlace found ${blocks.size} blocks of zoom ${blockZoom} among ${chips.size} chips: three are needed; take a higher blockZoom`,
    );
  }
  const names = [...blocks.keys()].sort();
  const counts = names.map((name) => labelCounts(blocks.get(name)!, chips));
  const shares = { validation, test };
  const random = seedrandom(String(seed));
  let best: { sides: Split[]; cost: number } | undefined;
  for (let draw = 0; draw < DRAWS; draw++) {
    const sides = drawSides(counts, shares, random);
    const cost = imbalance(counts, sides, shares);
    if (!best || cost < best.cost) best = { sides, cost };
  }
  const sideOf = new Map<string, Split>();
  names.forEach((name, index) => blocks.get(name)!.forEach((chip) => sideOf.set(chip, best!.sides[index])));
  const sides = withBuffer(sideOf, buffer);
  const empty = (['train', 'validation', 'test'] as const).find((side) => ![...sides.values()].includes(side));
  if (empty !== undefined)
    throw new RangeError(`splitByPlace leaves no chip to ${empty} with a buffer of ${buffer}: take a smaller one, or larger blocks`); // prettier-ignore
  return sides;
}

function blocksOf(chips: Iterable<string>, zoom: number): Map<string, string[]> {
  if (!(Number.isInteger(zoom) && zoom >= 12 && zoom <= CHIP_ZOOM)) {
    throw new RangeError(`splitByPlace requires a blockZoom of 12 to ${CHIP_ZOOM}, got ${zoom}`);
  }
  const blocks = new Map<string, string[]>();
  for (const chip of chips) {
    const block = chip.slice(0, 4 + zoom);
    blocks.set(block, [...(blocks.get(block) ?? []), chip]);
  }
  return blocks;
}

/** Chips of a block, then its chips with each label. */
function labelCounts(ids: readonly string[], chips: ReadonlyMap<string, ChipLabels>): number[] {
  const labels = Object.keys(chips.get(ids[0])!.labels);
  return [ids.length, ...labels.map((label) => ids.filter((id) => chips.get(id)!.labels[label] === 1).length)];
}

/** Puts blocks in random order and fills test, then validation, then train. Each gets at least one. */
function drawSides(counts: number[][], shares: { validation: number; test: number }, random: () => number): Split[] {
  const order = counts.map((_, index) => [random(), index] as const).sort(([a], [b]) => a - b);
  const all = counts.reduce((sum, [chips]) => sum + chips, 0);
  const sides: Split[] = Array.from({ length: counts.length }, () => 'train');
  let next = 0;
  for (const [side, left] of [
    ['test', 2],
    ['validation', 1],
  ] as const) {
    let filled = 0;
    do {
      const block = order[next++][1];
      sides[block] = side;
      filled += counts[block][0];
    } while (filled < all * shares[side] * 0.8 && next < order.length - left);
  }
  return sides;
}

/** Sum over sides and labels of the squared, relative distance from the wanted share; a label that a side lacks costs most. */
function imbalance(
  counts: number[][],
  sides: Split[],
  { validation, test }: { validation: number; test: number },
): number {
  const wanted: [Split, number][] = [['train', 1 - validation - test], ['validation', validation], ['test', test]]; // prettier-ignore
  let cost = 0;
  for (let column = 0; column < counts[0].length; column++) {
    const all = counts.reduce((sum, row) => sum + row[column], 0);
    if (all === 0) continue;
    for (const [side, share] of wanted) {
      const here = counts.reduce((sum, row, index) => sum + (sides[index] === side ? row[column] : 0), 0);
      cost += (here / (all * share) - 1) ** 2 + (here === 0 ? 4 : 0);
    }
  }
  return cost;
}

/** Chips within `rings` of one of a later side (test after validation after train) become buffer. */
function withBuffer(sideOf: Map<string, Split>, rings: number): Map<string, Split> {
  const rank: Record<Split, number> = { buffer: 0, train: 1, validation: 2, test: 3 };
  const at = new Map<string, Split>();
  const placeOf = (chip: string): [number, number] => columnRow(chip.slice(4));
  for (const [chip, side] of sideOf) at.set(`${chip.slice(0, 4)}${placeOf(chip).join()}`, side);
  const result = new Map<string, Split>();
  for (const [chip, side] of sideOf) {
    const [column, row] = placeOf(chip);
    let split = side;
    for (let dy = -rings; dy <= rings; dy++) {
      for (let dx = -rings; dx <= rings; dx++) {
        const other = at.get(`${chip.slice(0, 4)}${column + dx},${row + dy}`);
        if (other && rank[other] > rank[side]) split = 'buffer';
      }
    }
    result.set(chip, split);
  }
  return result;
}
