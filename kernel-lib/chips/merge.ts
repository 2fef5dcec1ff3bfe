import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceWhole, sweepParts, withLock, writeWhole } from '../ard/index.ts';
import type { Chip } from './cut.ts';
import { indexPieces, listedBeside } from './nodataindex.ts';
import { type CellRecord, readRecords, recordFolder } from './record.ts';
import { chipTable } from './table.ts';

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
