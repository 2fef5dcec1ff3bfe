import { columnRow } from '../ard/index.ts';

/** Which chips are beside which: of each the indices of its neighbours, ascending. Symmetric. */
export type Neighbours = number[][];

const CHIP_ID = /^Z\d{2}-([0-3]{18})$/;

/**
 * A chip's column and row among the 2^18 squares of its zone: they run on across cells. Without the cell that `parseChip`
 * makes, for it is asked of hundreds of thousands.
 */
export function chipColumnRow(chip: string): [column: number, row: number] {
  const quadkey = CHIP_ID.exec(chip)?.[1];
  if (quadkey === undefined) throw new RangeError(`unknown chip id "${chip}": expected Z<zone>-<18 digits of 0 to 3>`);
  return columnRow(quadkey);
}

/** Column and row as one number. */
export const squareNumber = (column: number, row: number): number => row * 2 ** 20 + column;

/**
 * The chips beside each chip, across the borders of cells too.
 *
 * Rook: the four that share a side. Queen: the eight that share a side or a corner. Chips that are not among those given
 * are nobody's neighbours, so a chip at the edge of what was imaged has fewer.
 *
 * @param chips ids of one zone, each once
 */
export function chipNeighbours(chips: readonly string[], kind: 'queen' | 'rook' = 'queen'): Neighbours {
  const places = chips.map(chipColumnRow);
  const numbers = new Map(places.map(([column, row], at) => [squareNumber(column, row), at]));
  if (numbers.size < chips.length) throw new RangeError(`chipNeighbours requires each chip of one zone once, got ${chips.length - numbers.size} again`); // prettier-ignore
  const steps = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => [dx, dy]));
  const sides = steps.filter(([dx, dy]) =>
    kind === 'rook' ? Math.abs(dx) + Math.abs(dy) === 1 : dx !== 0 || dy !== 0,
  );
  return places.map(([column, row]) =>
    sides
      .map(([dx, dy]) => numbers.get(squareNumber(column + dx, row + dy)))
      .filter((at) => at !== undefined)
      .sort((a, b) => a - b),
  );
}

/** Sums of weights that the moments of Moran's I and of join counts need. @see Cliff & Ord 1981, Spatial Processes, p. 19 */
export interface WeightSums {
  /** Σ w_ij. */
  s0: number;
  /** ½ Σ (w_ij + w_ji)². */
  s1: number;
  /** Σ_i (w_i· + w_·i)². */
  s2: number;
}

/** The sums for weights of 1 for each neighbour (`binary`), or of 1 shared out among a chip's neighbours (`row`). */
export function weightSums(neighbours: Neighbours, style: 'binary' | 'row'): WeightSums {
  const weight = neighbours.map(({ length }) => (style === 'row' ? 1 / length : 1));
  const sums = { s0: 0, s1: 0, s2: 0 };
  for (const [i, others] of neighbours.entries()) {
    let column = 0;
    for (const j of others) {
      sums.s0 += weight[i];
      sums.s1 += (weight[i] + weight[j]) ** 2 / 2;
      column += weight[j];
    }
    sums.s2 += ((others.length > 0 ? others.length * weight[i] : 0) + column) ** 2;
  }
  return sums;
}
