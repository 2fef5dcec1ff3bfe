import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { chipIds, parseCell, readJson } from '../ard/index.ts';
import { type CellRecord, chipsOf } from './record.ts';

/** Which acquisitions are real at every pixel of a chip, by chip id (`Z33-<18 digits>`), in order. */
export interface NodataIndex {
  version: '0.2';
  chips: Record<string, string[]>;
}

const schema = z.object({
  version: z.literal('0.2'),
  chips: z.record(z.string().regex(/^Z\d\d-[0-3]{18}$/), z.array(z.string())),
});

/**
 * Reads `nodata-index.json`; a file that is not there is an empty index.
 *
 * @throws {Error} when the file is damaged or of another version: it is never overwritten
 */
export async function readNodataIndex(path: string): Promise<NodataIndex> {
  if (!existsSync(path)) return { version: '0.2', chips: {} };
  const json = await readJson(path).catch((cause: unknown) => {
    throw new Error(`${path} is no no-data index: ${causeOf(cause)}; delete it and chip again`, { cause });
  });
  const version = (json as { version?: unknown } | null)?.version;
  if (version !== '0.2') {
    throw new Error(
      `${path} is a no-data index of version ${JSON.stringify(version)}: expected "0.2"; move it away, it is not overwritten`,
    );
  }
  const { success, data, error } = schema.safeParse(json);
  if (!success) {
    const [issue] = error.issues;
    throw new Error(`${path} is damaged at ${issue.path.join('.')}: ${issue.message}; delete it and chip again`);
  }
  return data;
}

/** How an index that was written here begins. */
const HEAD = '{"version":"0.2",';

/**
 * Refuses an index of another version, as {@link readNodataIndex} does; of one that was written here only the beginning is read.
 *
 * @throws {Error} naming the file
 */
export async function checkVersion(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(HEAD.length)).finally(() => file.close());
  if (buffer.toString() !== HEAD) await readNodataIndex(path);
}

/** What readJson found, without its remedy: nothing of this is fetched. */
function causeOf(error: unknown): string {
  return (error as Error).message.replace(/: fetch it again$/, '');
}

/** The index as text, keys and acquisitions in order, so that equal contents are equal bytes. */
export function indexText({ version, chips }: NodataIndex): string {
  const inOrder = Object.entries(chips).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const sorted = Object.fromEntries(inOrder.map(([id, catids]) => [id, catids.toSorted()]));
  return `${JSON.stringify({ version, chips: sorted })}\n`;
}

/** Length of a cell's id, with which the ids of its chips begin: `Z33-` and twelve digits. */
const CELL_ID = 16;

/** The index that records make: of cells that have one nothing else counts, of others what was there stays. */
export function indexOf(before: NodataIndex, records: readonly CellRecord[]): NodataIndex {
  const recorded = new Set(records.map(({ cell }) => cell));
  const kept = Object.entries(before.chips).filter(([id]) => !recorded.has(id.slice(0, CELL_ID)));
  const chips = Object.fromEntries(kept);
  for (const { cell, tiles } of records) {
    const ids = chipIds(parseCell(cell));
    for (const tile of tiles) for (const chip of chipsOf(tile)) (chips[ids[chip]] ??= []).push(tile.catid);
  }
  return { version: '0.2', chips };
}
