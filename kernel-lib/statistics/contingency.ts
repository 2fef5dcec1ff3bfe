import { chiSquaredTail, logChoose } from './distribution.ts';

/** What a χ² test of a table of counts says. */
export interface ChiSquared {
  /** Pearson's χ², without continuity correction. `NaN` where fewer than two rows or columns have any count. */
  chiSquared: number;
  degreesOfFreedom: number;
  /** How likely so large a χ² is if rows and columns were independent, 0–1. */
  p: number;
  /** Cramér's V, 0–1: √(χ² / n / (the fewer of rows and columns − 1)). */
  cramersV: number;
  /** V with its bias taken out, 0–1: 0 for tables no more uneven than chance. */
  correctedV: number;
  /** The smallest count expected: under 5, χ² is no good guide. */
  leastExpected: number;
}

/**
 * χ² of independence, or of homogeneity where each row is a sample of its own (cells, dates, splits).
 *
 * Rows and columns without any count are left out. As R's `chisq.test(table, correct = FALSE)`. Counts are taken as
 * independent of each other; chips beside each other are not, so that p is too small there.
 *
 * @param table counts, `[row, col]`
 * @throws {RangeError} when rows differ in length, or a count is negative or none
 * @see Bergsma 2013, J. Korean Stat. Soc. 42(3) 323–328, for the corrected V
 */
export function chiSquaredTest(table: readonly (readonly number[])[]): ChiSquared {
  checkTable(table);
  const full = table.filter((row) => sumOf(row) > 0);
  const columns = (full[0] ?? []).map((_, column) => sumOf(full.map((row) => row[column])));
  const rows = full.map(sumOf);
  const n = sumOf(rows);
  let chiSquared = 0;
  let leastExpected = Infinity;
  for (const [row, counts] of full.entries()) {
    for (const [column, count] of counts.entries()) {
      if (columns[column] === 0) continue;
      const expected = (rows[row] * columns[column]) / n;
      chiSquared += (count - expected) ** 2 / expected;
      leastExpected = Math.min(leastExpected, expected);
    }
  }
  const [r, c] = [rows.length, columns.filter((count) => count > 0).length];
  if (r < 2 || c < 2) return { chiSquared: NaN, degreesOfFreedom: 0, p: NaN, cramersV: NaN, correctedV: NaN, leastExpected }; // prettier-ignore
  const degreesOfFreedom = (r - 1) * (c - 1);
  return {
    chiSquared,
    degreesOfFreedom,
    p: chiSquaredTail(chiSquared, degreesOfFreedom),
    cramersV: Math.sqrt(chiSquared / n / (Math.min(r, c) - 1)),
    correctedV: correctedV(chiSquared, n, [r, c]),
    leastExpected,
  };
}

function correctedV(chiSquared: number, n: number, [r, c]: [number, number]): number {
  const phi = Math.max(0, chiSquared / n - ((r - 1) * (c - 1)) / (n - 1));
  const sides = [r, c].map((count) => count - (count - 1) ** 2 / (n - 1));
  const room = Math.min(...sides) - 1;
  return room > 0 ? Math.sqrt(phi / room) : NaN;
}

/**
 * Fisher's exact test of a 2 × 2 table, two-sided: the sum over all tables of the same margins that are no likelier than
 * this one, with R's relative tolerance of 1e-7. As R's `fisher.test(table)$p.value`.
 *
 * @param table `[[a, b], [c, d]]`, whole counts
 * @returns p, 0–1
 * @throws {RangeError} when the table is not 2 × 2, or a count is no whole number from 0 on
 */
export function fisherExact(table: readonly (readonly number[])[]): number {
  checkTable(table);
  if (table.length !== 2 || table[0].length !== 2 || !table.flat().every(Number.isInteger)) {
    throw new RangeError(`fisherExact requires 2 × 2 whole counts, got ${JSON.stringify(table)}`);
  }
  const [[a, b], [c, d]] = table;
  const all = logChoose(a + b + c + d, a + c);
  const likelihood = (x: number): number => Math.exp(logChoose(a + b, x) + logChoose(c + d, a + c - x) - all);
  const bound = likelihood(a) * (1 + 1e-7);
  let p = 0;
  for (let x = Math.max(0, a - d); x <= Math.min(a + b, a + c); x++) {
    const other = likelihood(x);
    if (other <= bound) p += other;
  }
  return Math.min(1, p);
}

function checkTable(table: readonly (readonly number[])[]): void {
  if (table.some((row) => row.length !== table[0].length)) throw new RangeError('a table of counts requires rows of one length'); // prettier-ignore
  const wrong = table.flat().find((count) => !(count >= 0 && count < Infinity));
  if (wrong !== undefined) throw new RangeError(`a table of counts requires numbers from 0 on, got ${wrong}`);
}

export function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
