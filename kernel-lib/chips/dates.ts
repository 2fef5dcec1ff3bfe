import type { TileReport } from './chip.ts';

/** Whole chips of one cell by date: a row of a table. */
export interface CellDates {
  cell: string;
  /** Whole chips at each date, those of all its acquisitions. */
  dates: Record<string, number>;
}

/** How many chips each cell has at each date, in order of both. */
export function chipsPerDate(tiles: readonly Pick<TileReport, 'cell' | 'date' | 'valid'>[]): CellDates[] {
  const cells = new Map<string, CellDates>();
  const inOrder = tiles.toSorted((a, b) => (`${a.cell} ${a.date}` < `${b.cell} ${b.date}` ? -1 : 1));
  for (const { cell, date, valid } of inOrder) {
    const known = cells.get(cell) ?? { cell, dates: {} };
    known.dates[date] = (known.dates[date] ?? 0) + valid;
    cells.set(cell, known);
  }
  return [...cells.values()];
}
