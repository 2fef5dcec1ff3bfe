// The table of a zone's chips: chips/<zone>/index.parquet.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import { CELL_ZOOM, CHIP_ZOOM, CHIPS_PER_SIDE, columnRow } from '../ard/index.ts';
import { type WrittenColumn, coded, endGroup, linesOf, metaOf, statisticsOf, writeCodes, writeLines } from './columns.ts'; // prettier-ignore
import { type Chip, chipsByDate } from './cut.ts';
import { type CellRecord, type TileRecord, chipsOf } from './record.ts';

/** So many rows are held at once, and those of one date folder; they make a row group. */
const ROWS = 1 << 13;
/** Digits of a chip's id that say where in its cell it lies. */
const IN_CELL = CHIP_ZOOM - CELL_ZOOM;

/** A row of the table. */
interface ChipRow {
  chip: Chip;
  /** Of its acquisition, where there is one. */
  tile: TileRecord | undefined;
  /** Share of real pixels, 0–1. */
  real: number | undefined;
}

/** Columns of words that each row has for itself. @param above length of the chip folder's path and what follows it */
const WORDS: Partial<Record<string, (row: ChipRow, above: number) => string>> = {
  id: ({ chip }) => chip.id,
  file: ({ chip }, above) => chip.path.slice(above),
};
/** Of what is not known a record says nothing; one that another program wrote may say `null`. */
type Of<Value> = (row: ChipRow) => Value | null | undefined;
const TEXTS: Record<string, Of<string>> = {
  catid: ({ chip }) => chip.catid,
  date: ({ chip }) => chip.date,
  cell: ({ chip }) => chip.cell,
  datetime: ({ tile }) => tile?.metadata?.datetime,
  platform: ({ tile }) => tile?.metadata?.platform,
};
const NUMBERS: Record<string, Of<number>> = {
  real: ({ real }) => real,
  cloud_percent: ({ tile }) => tile?.metadata?.cloudPercent,
  off_nadir: ({ tile }) => tile?.metadata?.offNadir,
  gsd: ({ tile }) => tile?.metadata?.gsd,
  sun_elevation: ({ tile }) => tile?.metadata?.sunElevation,
  sun_azimuth: ({ tile }) => tile?.metadata?.sunAzimuth,
};
const COLUMNS = ['id', 'catid', 'date', 'cell', 'file', ...Object.keys(NUMBERS), 'datetime', 'platform'];

/**
 * A row for each chip: where it lies, how much of it is real, and what is known of its acquisition.
 *
 * Chips of acquisitions that have no record, because they were indexed elsewhere, keep what the table said of them that was there.
 *
 * @param chipsThere the chips in order, those of a date of a cell at a time. Default: those on disk
 * @returns the bytes of `index.parquet`
 * @throws {Error} naming the table that was there, where it is needed and damaged
 */
export async function chipTable(
  chipDir: string,
  records: readonly CellRecord[],
  chipsThere: () => AsyncIterable<Chip[]> = () => chipsByDate(chipDir),
): Promise<Buffer> {
  const tiles = new Map(records.flatMap(({ cell, tiles: all }) => all.map((tile) => [keyOf({ ...tile, cell }), tile])));
  const writer = new ByteWriter();
  const columnData = COLUMNS.map((name) => ({ name, data: [], type: name in NUMBERS ? 'DOUBLE' as const : 'STRING' as const, nullable: true }));
  const file = new ParquetWriter({ writer, schema: schemaFromColumnData({ columnData }) });
  let rows: ChipRow[] = [];
  let isTableRead = false;
  for await (const chips of chipsThere()) {
    if (!isTableRead && chips.some((chip) => !tiles.has(keyOf(chip)))) {
      await addKnown(tiles, join(chipDir, 'index.parquet'));
      isTableRead = true;
    }
    for (const row of rowsOf(chips, tiles)) rows.push(row);
    if (rows.length < ROWS) continue;
    writeGroup(file, writer, rows, chipDir);
    rows = [];
  }
  if (rows.length > 0) writeGroup(file, writer, rows, chipDir);
  await file.finish();
  return Buffer.from(writer.getBuffer());
} // prettier-ignore

/** What tells an acquisition over a cell from others. */
function keyOf({ cell, date, catid }: Pick<Chip, 'cell' | 'date' | 'catid'>): string {
  return `${cell} ${date} ${catid}`;
}

function writeGroup(file: ParquetWriter, writer: ByteWriter, rows: readonly ChipRow[], chipDir: string): void {
  const { length: above } = join(chipDir, '/');
  const columns = COLUMNS.map((name) => {
    const wordOf = WORDS[name];
    return wordOf ? writeWords(writer, name, rows.map((row) => wordOf(row, above))) : writeValues(writer, name, rows);
  });
  endGroup(file, columns, rows.length);
} // prettier-ignore

function writeWords(writer: ByteWriter, name: string, words: readonly string[]): WrittenColumn {
  const start = BigInt(writer.offset);
  const chunk = writeLines(writer, linesOf(words, (word) => word), words.length, 'SNAPPY');
  const statistics = statisticsOf(words, 0);
  return metaOf(name, 'BYTE_ARRAY', { chunk, start, end: BigInt(writer.offset), rows: words.length, statistics });
} // prettier-ignore

function writeValues(writer: ByteWriter, name: string, rows: readonly ChipRow[]): WrittenColumn {
  const start = BigInt(writer.offset);
  const type = name in NUMBERS ? 'DOUBLE' : 'BYTE_ARRAY';
  const valueOf: Of<string | number> = NUMBERS[name] ?? TEXTS[name];
  const column = coded<ChipRow, string | number>(rows, (row) => valueOf(row) ?? undefined);
  const chunk = writeCodes(writer, column, type, true);
  const statistics = statisticsOf(column.values, column.codes.filter((code) => code < 0).length);
  return metaOf(name, type, { chunk, start, end: BigInt(writer.offset), rows: rows.length, statistics });
}

/** Adds what a table says of acquisitions that have no record; nothing where there is no table. */
async function addKnown(tiles: Map<string, TileRecord>, path: string): Promise<void> {
  if (!existsSync(path)) return;
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) }).catch((cause: unknown) => {
    throw new Error(`${path} is damaged (${(cause as Error).message}): delete it, and chip again`, { cause });
  });
  for (const row of rows) {
    const key = `${row['cell']} ${row['date']} ${row['catid']}`;
    const known = tiles.get(key);
    if ((known && known.from !== TABLE) || row['real'] === null) continue;
    const tile: TileRecord = known ?? bareRecord(row);
    tile.partial[numberOf(row['id'])] = row['real'];
    tiles.set(key, tile);
  }
}

/** A row as the reader has it. */
type ParquetRow = Awaited<ReturnType<typeof parquetReadObjects>>[number];

/** Where a record is from that was made of the table's own rows. */
const TABLE = 'index.parquet';

function bareRecord(row: ParquetRow): TileRecord {
  const metadata = {
    cloudPercent: row['cloud_percent'] ?? undefined, offNadir: row['off_nadir'] ?? undefined, gsd: row['gsd'] ?? undefined,
    sunElevation: row['sun_elevation'] ?? undefined, sunAzimuth: row['sun_azimuth'] ?? undefined,
    datetime: row['datetime'] ?? undefined, platform: row['platform'] ?? undefined,
  }; // prettier-ignore
  const file = { name: '', bytes: 0, modified: '' };
  return { catid: row['catid'], date: row['date'], file, from: TABLE, valid: Buffer.alloc(CHIPS_PER_SIDE ** 2 / 8).toString('base64'), partial: {}, metadata }; // prettier-ignore
}

/** Row × 64 + column of a chip's id. */
function numberOf(id: string): number {
  const [column, row] = columnRow(id.slice(-IN_CELL));
  return row * CHIPS_PER_SIDE + column;
}

/** Chips of a date of a cell, with the records of their acquisitions. */
function rowsOf(chips: readonly Chip[], tiles: ReadonlyMap<string, TileRecord>): ChipRow[] {
  const acquisitions = new Map<string, { tile: TileRecord | undefined; whole: ReadonlySet<number> }>();
  return chips.map((chip) => {
    const known = acquisitions.get(chip.catid) ?? acquisitionOf(tiles.get(keyOf(chip)));
    acquisitions.set(chip.catid, known);
    const { tile, whole } = known;
    const at = numberOf(chip.id);
    return { chip, tile, real: tile && (whole.has(at) ? 1 : (tile.partial[at] ?? 0)) };
  });
}

/** @returns the record too, and which chips are real at every pixel */
function acquisitionOf(tile: TileRecord | undefined): { tile: TileRecord | undefined; whole: ReadonlySet<number> } {
  return { tile, whole: new Set(tile && chipsOf(tile)) };
}
