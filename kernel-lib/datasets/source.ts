import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { type StepOptions, dataRoot, parseCell } from '../ard/index.ts';
import type { Chip } from '../chips/index.ts';
import { mapTime, readOsmMeta } from '../osm/index.ts';
import { type HashedChips, hashChips } from './hash.ts';
import { type DatasetRow, keyOf } from './row.ts';

const DAY_MS = 86_400_000;

/** What a version says of a chip beside its labels and its side. */
export type ChipFacts = Pick<DatasetRow, 'gapDays' | 'cloudPercent' | 'offNadir' | 'gsd'>;

/** What a version is made from, beside labels and sides. */
export interface DatasetSource {
  /** Of each chip, in the order given; without its hash. */
  facts: ChipFacts[];
  /** The day that each cell's map is of, ISO 8601, by cell id; as the server wrote it where that is no date. */
  osmDates: Record<string, string>;
  /** SHA-256 of nodata-index.json; `null` where there is none. */
  nodataIndex: string | null;
}

/** Folder of the chips of a zone. */
const folderOf = ([{ path }]: readonly Chip[]): string => dirname(dirname(dirname(path)));

/** Hashes chips. @param chips all of one chip folder @throws {Error} naming a chip that is gone */
export async function hashSource(chips: readonly Chip[], options: StepOptions = {}): Promise<HashedChips> {
  if (chips.length === 0) return { sha256: [], read: 0 };
  const hashed = await hashChips(folderOf(chips), chips, options);
  const gone = hashed.sha256.indexOf(undefined);
  if (gone >= 0) throw new Error(`${chips[gone].path} is gone: chip the zone again`);
  return hashed;
}

/**
 * Reads of which day the maps of chips are, and what the chips' table says of the acquisitions.
 *
 * @param chips all of one chip folder
 * @throws {Error} naming a map of which nothing is known
 */
export async function readSource(dataPath: string, chips: readonly Chip[]): Promise<DatasetSource> {
  if (chips.length === 0) return { facts: [], osmDates: {}, nodataIndex: null };
  const osmDates = await readOsmDates(dataPath, new Set(chips.map(({ cell }) => cell)));
  const table = await readTable(join(folderOf(chips), 'index.parquet'));
  const facts = chips.map((chip) => {
    const known: ChipFacts = { ...table.get(keyOf(chip)) };
    const gapDays = gapOf(chip.date, osmDates[chip.cell]);
    if (gapDays !== undefined) known.gapDays = gapDays;
    return known;
  });
  return { facts, osmDates, nodataIndex: await fileHash(join(dataRoot(dataPath), 'nodata-index.json')) };
} // prettier-ignore

async function readOsmDates(dataPath: string, cells: ReadonlySet<string>): Promise<Record<string, string>> {
  const dates = [...cells].sort().map(async (cell) => {
    const meta = await readOsmMeta(dataPath, parseCell(cell));
    const time = mapTime(meta);
    return [cell, Number.isNaN(time) ? meta.timestamp_osm_base : new Date(time).toISOString()] as const;
  });
  return Object.fromEntries(await Promise.all(dates));
}

/** Whole days from an acquisition to a map, both taken at midnight UTC; above 0 the map is newer. */
function gapOf(date: string, mapDate: string): number | undefined {
  const days = (Date.parse(mapDate.slice(0, 10)) - Date.parse(date)) / DAY_MS;
  return Number.isNaN(days) ? undefined : days;
}

/** What the chips' table says of acquisitions, by row; nothing where there is no table. */
async function readTable(path: string): Promise<Map<string, ChipFacts>> {
  if (!existsSync(path)) return new Map();
  const columns = ['id', 'catid', 'date', 'cloud_percent', 'off_nadir', 'gsd'];
  const records = await parquetReadObjects({ file: await asyncBufferFromFile(path), columns }).catch(
    (cause: unknown) => {
      throw new Error(`${path} is damaged (${(cause as Error).message}): delete it, and chip again`, { cause });
    },
  );
  return new Map(
    records.map(({ id, catid, date, cloud_percent: cloudPercent, off_nadir: offNadir, gsd }) => {
      const known = Object.entries({ cloudPercent, offNadir, gsd }).filter(([, value]) => typeof value === 'number');
      return [keyOf({ id, catid, date }), Object.fromEntries(known)];
    }),
  );
}

async function fileHash(path: string): Promise<string | null> {
  if (!existsSync(path)) return null;
  return createHash('sha256').update(await readFile(path)).digest('hex'); // prettier-ignore
}
