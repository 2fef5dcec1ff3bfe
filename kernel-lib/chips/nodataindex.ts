import { existsSync } from 'node:fs';
import { z } from 'zod';
import { readJson, writeWhole } from '../ard/index.ts';

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
  const json = await readJson(path);
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

/**
 * Writes the index whole, keys and acquisitions in order, so that equal contents are equal bytes.
 *
 * @param path `/home/ubuntu/data/nodata-index.json`
 */
export async function writeNodataIndex(path: string, index: NodataIndex): Promise<void> {
  const inOrder = Object.entries(index.chips).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const chips = Object.fromEntries(inOrder.map(([id, catids]) => [id, catids.toSorted()]));
  await writeWhole(path, `${JSON.stringify({ version: index.version, chips })}\n`);
}

/**
 * Puts what is known of one acquisition over one cell into the index, in place of what it said before.
 *
 * @param valid ids of the chips that are real at every pixel
 * @param all ids of all chips of the cell
 */
export function recordTile(
  index: NodataIndex,
  catid: string,
  valid: ReadonlySet<string>,
  all: readonly string[],
): void {
  for (const id of all) {
    const others = (index.chips[id] ?? []).filter((other) => other !== catid);
    const now = valid.has(id) ? [...others, catid] : others;
    if (now.length > 0) index.chips[id] = now;
    else delete index.chips[id];
  }
}

/** Takes every chip of a cell out of the index, to record anew what is there now. */
export function forgetCell(index: NodataIndex, cell: string): void {
  for (const id of Object.keys(index.chips)) if (id.startsWith(cell)) delete index.chips[id];
}
