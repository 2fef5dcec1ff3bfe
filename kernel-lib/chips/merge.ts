import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { CHIPS_PER_SIDE, parseChip, sweepParts, withLock, writeWhole } from '../ard/index.ts';
import { type Chip, readChips } from './cut.ts';
import { indexOf, indexText, readNodataIndex } from './nodataindex.ts';
import { type CellRecord, type TileRecord, isWholeIn, readRecords, recordFolder } from './record.ts';

/**
 * Merges the records of all cells into the index, and lists the chips of a zone in `index.parquet`.
 *
 * Workers take turns: each merges after its last record, so that the last one finds all. What is the same as before is not
 * written again. Cells of the index that have no record stay as they are.
 *
 * @param indexPath `nodata-index.json`; the records lie in `nodata-index.parts` beside it
 * @param chipDir whose chips are listed. Default: none are
 * @throws {Error} naming the index or record that is damaged
 */
export async function mergeRecords(indexPath: string, chipDir?: string, signal?: AbortSignal): Promise<void> {
  const merge = async (): Promise<void> => {
    const records = await readRecords(indexPath);
    await writeChanged(indexPath, Buffer.from(indexText(indexOf(await readNodataIndex(indexPath), records))));
    if (chipDir && existsSync(chipDir)) await writeChanged(join(chipDir, 'index.parquet'), await chipTable(chipDir, records)); // prettier-ignore
  };
  await withLock(indexPath, merge, signal);
  const folders = [dirname(indexPath), recordFolder(indexPath), ...(chipDir ? [chipDir] : [])];
  for (const folder of folders) await sweepParts(folder); // of a killed worker whose work another has done
}

async function writeChanged(path: string, content: Buffer): Promise<void> {
  if (existsSync(path) && content.equals(await readFile(path))) return;
  await writeWhole(path, content);
}

/** A row for each chip on disk: where it lies, how much of it is real, and what is known of its acquisition. */
async function chipTable(chipDir: string, records: readonly CellRecord[]): Promise<Buffer> {
  const tiles = new Map(
    records.flatMap(({ cell, tiles: all }) => all.map((tile) => [`${cell} ${tile.date} ${tile.catid}`, tile])),
  );
  const chips = await readChips(chipDir);
  const ofChip = ({ cell, date, catid }: Chip): TileRecord | undefined => tiles.get(`${cell} ${date} ${catid}`);
  const text = (name: string, of: (chip: Chip) => string | undefined): object => ({ name, data: chips.map((chip) => of(chip) ?? null), type: 'STRING', nullable: true }); // prettier-ignore
  const number = (name: string, of: (chip: Chip) => number | undefined): object => ({ name, data: chips.map((chip) => of(chip) ?? null), type: 'DOUBLE', nullable: true }); // prettier-ignore
  const columnData = [
    text('id', ({ id }) => id),
    text('catid', ({ catid }) => catid),
    text('date', ({ date }) => date),
    text('cell', ({ cell }) => cell),
    text('file', ({ path }) => relative(chipDir, path)),
    number('real', (chip) => realShare(chip, ofChip(chip))),
    number('cloud_percent', (chip) => ofChip(chip)?.metadata?.cloudPercent),
    number('off_nadir', (chip) => ofChip(chip)?.metadata?.offNadir),
    number('gsd', (chip) => ofChip(chip)?.metadata?.gsd),
    number('sun_elevation', (chip) => ofChip(chip)?.metadata?.sunElevation),
    number('sun_azimuth', (chip) => ofChip(chip)?.metadata?.sunAzimuth),
    text('datetime', (chip) => ofChip(chip)?.metadata?.datetime),
    text('platform', (chip) => ofChip(chip)?.metadata?.platform),
  ];
  return Buffer.from(parquetWriteBuffer({ columnData: columnData as Parameters<typeof parquetWriteBuffer>[0]['columnData'] })); // prettier-ignore
}

/** Share of real pixels of a chip, 0–1. */
function realShare({ id }: Chip, tile: TileRecord | undefined): number | undefined {
  if (!tile) return undefined;
  const { row, column } = parseChip(id);
  const chip = row * CHIPS_PER_SIDE + column;
  return isWholeIn(tile, chip) ? 1 : (tile.partial[chip] ?? 0);
}
