/** One step of a filter: a row of a table. */
export interface FilterStep {
  /** What it asks. */
  step: string;
  /** Rows that came to it, and those that it kept. */
  of: number;
  kept: number;
  /** The first few that it left out, by their tag. */
  leftOut: string;
}

/** Rows that passed some steps, with what each step kept. */
export interface Filtered<Row extends { tag: string }> {
  readonly rows: readonly Row[];
  readonly steps: readonly FilterStep[];
  /** One more step; this one stays as it is, so that a cell can be run again. */
  keep(step: string, test: (row: Row) => boolean): Filtered<Row>;
}

/** Tags that a step names among those left out. */
const EXAMPLES = 3;

/**
 * A chain of filters over an atlas's rows, each step saying what it kept.
 *
 * ```ts
 * const filtered = filterTags(atlas).keep('in 60 chips or more', ({ chips }) => chips >= 60);
 * show.table(filtered.steps);
 * ```
 */
export function filterTags<Row extends { tag: string }>(
  rows: readonly Row[],
  steps: readonly FilterStep[] = [],
): Filtered<Row> {
  return {
    rows,
    steps,
    keep: (step, test) => {
      const kept = rows.filter((row) => test(row));
      const passed = new Set(kept);
      const leftOut = rows.filter((row) => !passed.has(row)).map(({ tag }) => tag);
      const more = leftOut.length > EXAMPLES ? ` and ${leftOut.length - EXAMPLES} more` : '';
      const words = leftOut.slice(0, EXAMPLES).join(', ') + more;
      return filterTags(kept, [...steps, { step, of: rows.length, kept: kept.length, leftOut: words }]);
    },
  };
}
