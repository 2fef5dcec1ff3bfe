import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
  if (sha256 !== undefined && sha256 === sumOf(indexPieces(cells, records))) return;
  await replaceWhole(path, (part) => writeFile(part, indexPieces(cells, records)));
}

function sumOf(pieces: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
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
  const owners = ownersOf(chips, tiles);
  const real = realShares(chips, owners);
  const text = (name: string, of: (at: number) => string | undefined): object => ({ name, data: chips.map((_, at) => of(at) ?? null), type: 'STRING', nullable: true }); // prettier-ignore
  const number = (name: string, of: (at: number) => number | undefined): object => ({ name, data: chips.map((_, at) => of(at) ?? null), type: 'DOUBLE', nullable: true }); // prettier-ignore
  const { length: above } = join(chipDir, '/');
  return [
    text('id', (at) => chips[at].id),
    text('catid', (at) => chips[at].catid),
    text('date', (at) => chips[at].date),
    text('cell', (at) => chips[at].cell),
    text('file', (at) => chips[at].path.slice(above)),
    number('real', (at) => real[at]),
    number('cloud_percent', (at) => owners[at]?.metadata?.cloudPercent),
    number('off_nadir', (at) => owners[at]?.metadata?.offNadir),
    number('gsd', (at) => owners[at]?.metadata?.gsd),
    number('sun_elevation', (at) => owners[at]?.metadata?.sunElevation),
    number('sun_azimuth', (at) => owners[at]?.metadata?.sunAzimuth),
    text('datetime', (at) => owners[at]?.metadata?.datetime),
    text('platform', (at) => owners[at]?.metadata?.platform),
  ] as Columns;
}

/** The record of each chip's acquisition. Neighbours are mostly of one: it is looked up where that changes. */
function ownersOf(chips: readonly Chip[], tiles: ReadonlyMap<string, TileRecord>): (TileRecord | undefined)[] {
  let [before, owner]: [Chip | undefined, TileRecord | undefined] = [undefined, undefined];
  return chips.map((chip) => {
    const { cell, date, catid } = chip;
    const isSame = before?.catid === catid && before.date === date && before.cell === cell;
    if (!isSame) owner = tiles.get(`${cell} ${date} ${catid}`);
    before = chip;
    return owner;
  });
}

/** Share of real pixels of each chip, 0–1. */
function realShares(chips: readonly Chip[], owners: readonly (TileRecord | undefined)[]): (number | undefined)[] {
  const whole = new Map<TileRecord, Set<number>>();
  return chips.map(({ id }, i) => {
    const owner = owners[i];
    if (!owner) return undefined;
    if (!whole.has(owner)) whole.set(owner, new Set(chipsOf(owner)));
    const at = numberOf(id);
    return whole.get(owner)!.has(at) ? 1 : (owner.partial[at] ?? 0);
  });
}
