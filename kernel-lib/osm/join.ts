import { type Cell, CHIPS_PER_SIDE, columnRow } from '../ard/index.ts';
import { type ChipCoverage, rowsOf } from './coverage.ts';
import type { PlacedElement } from './place.ts';

/** Elements by the chip that they lie in. */
export interface ChipIndex {
  /**
   * What lies in a chip, and how much of it that is; in the order of the elements.
   *
   * @param chip its id, or row × 64 + column
   * @throws {RangeError} when the chip is another cell's, or none
   */
  in(chip: string | number): ChipCoverage[];
  /** How many elements reach into each chip: 4,096 numbers, row by row from the north-west. */
  counts(): number[];
}

const CHIPS = CHIPS_PER_SIDE ** 2;

/**
 * The elements of a cell, ready to be asked for by chip.
 *
 * Chips are a grid, so the grid is the index: every element is cut once along the borders it crosses, and each chip has
 * its list. A tree would have to be asked first and would then cut the same pieces.
 *
 * @param placed of the same cell; `element` of an answer counts these
 */
export function chipIndex(cell: Cell, placed: readonly PlacedElement[]): ChipIndex {
  const lists = Array.from({ length: CHIPS }, (): ChipCoverage[] => []);
  placed.forEach(({ utm }, element) => {
    for (const row of rowsOf(utm, element, cell)) lists[row.chip].push(row);
  });
  return {
    in: (chip) => lists[typeof chip === 'string' ? chipNumber(cell, chip) : checked(chip)],
    counts: () => lists.map(({ length }) => length),
  };
}

/** Row × 64 + column of a chip's id. */
function chipNumber({ id }: Cell, chip: string): number {
  const digits = chip.slice(id.length);
  if (!chip.startsWith(id) || !/^[0-3]{6}$/.test(digits)) {
    throw new RangeError(`no chip of cell ${id}: "${chip}"; expected the cell's id and six digits of 0 to 3`);
  }
  const [column, row] = columnRow(digits);
  return row * CHIPS_PER_SIDE + column;
}

function checked(chip: number): number {
  if (Number.isInteger(chip) && chip >= 0 && chip < CHIPS) return chip;
  throw new RangeError(`no chip ${chip}: a cell has chips 0 to ${CHIPS - 1}`);
}
