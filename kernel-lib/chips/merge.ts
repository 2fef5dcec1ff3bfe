import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import {
  CELL_ZOOM,
  CHIP_ZOOM,
  CHIPS_PER_SIDE,
  columnRow,
  replaceWhole,
  sweepParts,
  withLock,
  writeWhole,
} from '../ard/index.ts';
import { type Chip, chipsByDate } from './cut.ts';
import { indexPieces, listedBeside } from './nodataindex.ts';
import { type CellRecord, type TileRecord, chipsOf, readRecords, recordFolder } from './record.ts';

/** Options of {@link mergeRecords}. */
export interface MergeOptions {
  signal?: AbortSignal | undefined;
  /** The chips that are listed, in order, those of a date of a cell at a time. Default: those on disk. */
  chips?: (() => AsyncIterable<Chip[]>) | undefined;
}

/**
 * Merges the records of all cells into the index, and lists the chips of a zone in `index.parquet`.
 *
 * Workers take turns: who ends last merges, and finds the records of all. What is the same as before is not
 * written again. Cells of the index that have no record stay as they are.
 *
 * @param indexPath `nodata-index.json`; the records lie in `nodata-index.parts` beside it
 * @param chipDir whose chips are listed. Default: none are
 * @throws {Error} naming the index or record that is damaged
 */
export async function mergeRecords(indexPath: string, chipDir?: string, options: MergeOptions = {}): Promise<void> {
  const { signal, chips } = options;
  const merge = async (): Promise<void> => {
    const records = await readRecords(indexPath);
    await writeIndex(indexPath, records);
    if (chipDir && (chips || existsSync(chipDir)))
      await writeChanged(join(chipDir, 'index.parquet'), await chipTable(chipDir, records, chips));
  };
  await withLock(indexPath, merge, signal);
  const folders = [dirname(indexPath), recordFolder(indexPath), ...(chipDir ? [chipDir] : [])];
  for (const folder of folders) await sweepParts(folder); // of a killed worker whose work another has done
}

/** Piece by piece, and not at all where it is the same. */
async function writeIndex(path: string, records: readonly CellRecord[]): Promise<void> {
  const { cells, sha256 } = await listedBeside(path, new Set(records.map(({ cell }) => cell)));
  const hash = createHash('sha256');
  for (const piece of indexPieces(cells, records)) hash.update(piece);
  if (hash.digest('hex') !== sha256) await replaceWhole(path, (part) => writeFile(part, indexPieces(cells, records)));
}

async function writeChanged(path: string, content: Buffer): Promise<void> {
  if (existsSync(path) && content.equals(await readFile(path))) return;
  await writeWhole(path, content);
}

/** So many rows are held at once, and those of one date folder. */
const ROWS = 5000;
/** Digits of a chip's id that say where in its cell it lies. */
const IN_CELL = CHIP_ZOOM - CELL_ZOOM;

/** A row for each chip on disk: where it lies, how much of it is real, and what is known of its acquisition. */
async function chipTable(
  chipDir: string,
  records: readonly CellRecord[],
  chipsThere: () => AsyncIterable<Chip[]> = () => chipsByDate(chipDir),
): Promise<Buffer> {
  const tiles = new Map(
    records.flatMap(({ cell, tiles: all }) => all.map((tile) => [`${cell} ${tile.date} ${tile.catid}`, tile])),
  );
  await addKnown(tiles, chipDir, chipsThere);
  const bytes = new ByteWriter();
  const table = new ParquetWriter({ writer: bytes, schema: schemaFromColumnData({ columnData: columnsOf([], chipDir, tiles) }) }); // prettier-ignore
  let rows: Chip[] = [];
  for await (const chips of chipsThere()) {
    rows.push(...chips);
    if (rows.length < ROWS) continue;
    await table.write({ columnData: columnsOf(rows, chipDir, tiles) });
    rows = [];
  }
  if (rows.length > 0) await table.write({ columnData: columnsOf(rows, chipDir, tiles) });
  await table.finish();
  return Buffer.from(bytes.getBuffer());
}

/**
 * Adds what the table says of acquisitions that have no record here, because they were indexed elsewhere: their chips keep
 * their rows' facts.
 */
async function addKnown(
  tiles: Map<string, TileRecord>,
  chipDir: string,
  chipsThere: () => AsyncIterable<Chip[]>,
): Promise<void> {
  const path = join(chipDir, 'index.parquet');
  if (!existsSync(path) || !(await lacksRecords(tiles, chipsThere()))) return;
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

/** Whether chips are there of acquisitions that have no record: only then the whole table is read. */
async function lacksRecords(
  tiles: ReadonlyMap<string, TileRecord>,
  chipsThere: AsyncIterable<Chip[]>,
): Promise<boolean> {
  for await (const chips of chipsThere)
    if (chips.some(({ cell, date, catid }) => !tiles.has(`${cell} ${date} ${catid}`))) return true;
  return false;
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

type Columns = Parameters<ParquetWriter['write']>[0]['columnData'];

function columnsOf(chips: readonly Chip[], chipDir: string, tiles: ReadonlyMap<string, TileRecord>): Columns {
  const ofChip = ({ cell, date, catid }: Chip): TileRecord | undefined => tiles.get(`${cell} ${date} ${catid}`);
  const real = realShares(chips, ofChip);
  const text = (name: string, of: (chip: Chip) => string | undefined): object => ({ name, data: chips.map((chip) => of(chip) ?? null), type: 'STRING', nullable: true }); // prettier-ignore
  const number = (name: string, of: (chip: Chip) => number | undefined): object => ({ name, data: chips.map((chip) => of(chip) ?? null), type: 'DOUBLE', nullable: true }); // prettier-ignore
  return [
    text('id', ({ id }) => id),
    text('catid', ({ catid }) => catid),
    text('date', ({ date }) => date),
    text('cell', ({ cell }) => cell),
    text('file', ({ path }) => relative(chipDir, path)),
    number('real', (chip) => real.get(chip)),
    number('cloud_percent', (chip) => ofChip(chip)?.metadata?.cloudPercent),
    number('off_nadir', (chip) => ofChip(chip)?.metadata?.offNadir),
    number('gsd', (chip) => ofChip(chip)?.metadata?.gsd),
    number('sun_elevation', (chip) => ofChip(chip)?.metadata?.sunElevation),
    number('sun_azimuth', (chip) => ofChip(chip)?.metadata?.sunAzimuth),
    text('datetime', (chip) => ofChip(chip)?.metadata?.datetime),
    text('platform', (chip) => ofChip(chip)?.metadata?.platform),
  ] as Columns;
}

/** Share of real pixels of each chip, 0–1. */
function realShares(chips: readonly Chip[], ofChip: (chip: Chip) => TileRecord | undefined): Map<Chip, number> {
  const whole = new Map<TileRecord, Set<number>>();
  const shares = new Map<Chip, number>();
  for (const chip of chips) {
    const tile = ofChip(chip);
    if (!tile) continue;
    if (!whole.has(tile)) whole.set(tile, new Set(chipsOf(tile)));
    const at = numberOf(chip.id);
    shares.set(chip, whole.get(tile)!.has(at) ? 1 : (tile.partial[at] ?? 0));
  }
  return shares;
}
