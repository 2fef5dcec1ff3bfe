import {
  type ArdQuadkey, type Bounds, type Cell, CELL_ZOOM, CHIP_PIXELS, CHIP_ZOOM, CHIPS_PER_SIDE, APRON_PIXELS,
  cellOf, columnRow, quadkeyAt, squareBounds, squareId,
} from './grid.ts'; // prettier-ignore

const CHIP_ID = /^Z(\d{2})-([0-3]{18})$/;

/** Where a chip lies: its square, its cell, and its row and column among the cell's 64 × 64. */
export interface ChipPlace {
  /** `Z33-<18 digits>`: the same square of ground at every date. */
  id: string;
  zone: number;
  quadkey: ArdQuadkey;
  cell: Cell;
  /** From the north, 0 to 63. */
  row: number;
  /** From the west, 0 to 63. */
  column: number;
}

/** The place of a chip id. @throws {RangeError} when the text is none. */
export function parseChip(id: string): ChipPlace {
  const match = CHIP_ID.exec(id);
  if (!match || Number(match[1]) < 1 || Number(match[1]) > 60) {
    throw new RangeError(
      `unknown chip id "${id}": expected Z<zone>-<18 digits of 0 to 3>, as in Z33-031133012203000000`,
    );
  }
  const zone = Number(match[1]);
  const quadkey = match[2] as ArdQuadkey;
  const [column, row] = columnRow(quadkey.slice(CELL_ZOOM));
  return { id, zone, quadkey, cell: cellOf(zone, quadkey.slice(0, CELL_ZOOM)), row, column };
}

/** The id of the chip in a row from the north and a column from the west of a cell. @throws {RangeError} outside 0–63. */
export function chipIdAt(cell: Cell, row: number, column: number): string {
  return squareId(cell.zone, cell.quadkey + quadkeyAt(column, row, CHIP_ZOOM - CELL_ZOOM));
}

/** The ids of a cell's 4,096 chips, row by row from the north-west. */
export function chipIds(cell: Cell): string[] {
  return Array.from({ length: CHIPS_PER_SIDE ** 2 }, (_, index) =>
    chipIdAt(cell, Math.floor(index / CHIPS_PER_SIDE), index % CHIPS_PER_SIDE),
  );
}

/** Bounds of a chip, 78.125 m wide, UTM metres of its cell. */
export function chipBounds(id: string): Bounds {
  return squareBounds(parseChip(id).quadkey);
}

/** The chip's window in a tile of the visual raster: column, row, width, height in pixels, the apron counted. */
export function chipWindow({ row, column }: { row: number; column: number }): [number, number, number, number] {
  return [APRON_PIXELS + CHIP_PIXELS * column, APRON_PIXELS + CHIP_PIXELS * row, CHIP_PIXELS, CHIP_PIXELS];
}
