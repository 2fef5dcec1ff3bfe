import { join } from 'node:path';
import { type StepOptions, dataRoot, paddedZone } from '../ard/index.ts';
import { type Chip, readChips, recordedChips } from '../chips/index.ts';
import { type LabelSchema, chipTags, readSchema } from '../statistics/index.ts';
import { makeDataset } from './make.ts';
import { checkName } from './name.ts';
import type { SplitOptions } from './splits.ts';
import type { DatasetVersion } from './version.ts';

/** What {@link createDataset} is to make. */
export interface CreateOptions extends Pick<StepOptions, 'signal' | 'onProgress'> {
  zone: number;
  name: string;
  /** File of the label schema. Default: `datasets/zone<zone>.schema.json` in the data folder, as 04-statistics writes it. */
  schema?: string | undefined;
  /** Folder of the chips. Default: `chips/<zone>` in the data folder. */
  chipDir?: string | undefined;
  split?: SplitOptions | undefined;
  /** Told the chips on disk that are left out, their tile being gone or unreadable. Default: silence */
  onOrphans?: ((orphans: readonly Chip[]) => void) | undefined;
}

/**
 * Makes a version of the chips on disk: what notebook 05 does, without a notebook. The notebook takes smaller blocks for
 * less ground (`IMAGESIM_SCALE`): with other options the same chips make another version.
 *
 * @throws {Error} naming the schema's file and what is wrong in it, or the folder without chips
 */
export async function createDataset(dataPath: string, { zone, name, split = {}, ...options }: CreateOptions): Promise<DatasetVersion> {
  checkName(name);
  const { chipDir = join(dataRoot(dataPath), 'chips', paddedZone(zone)), signal, onProgress } = options;
  const schema = await readLabels(options.schema ?? join(dataRoot(dataPath), 'datasets', `zone${zone}.schema.json`));
  const found = (await readChips(chipDir)).filter(({ id }) => id.startsWith(`Z${paddedZone(zone)}-`));
  const { recorded: chips, orphans } = await recordedChips(join(dataRoot(dataPath), 'nodata-index.json'), found);
  if (orphans.length > 0) options.onOrphans?.(orphans);
  if (chips.length === 0) throw new Error(`no chip of zone ${zone} in ${chipDir}: cut some with imagesim chip --zone ${zone}`);
  const { rows: tags, near } = await chipTags(dataPath, zone, { only: new Set(chips.map(({ id }) => id)), signal, onProgress });
  return makeDataset(dataPath, { name, zone, chips, tags, near, schema, split }, { signal, onProgress });
} // prettier-ignore

/** What a label schema may say. A key that is not among them only lacks a proposal. */
const KEYS = ['version', 'labels', 'label', 'tags', 'measure', 'atLeast'];

/** Reads a schema; of a key that it does not know it says which known one is the nearest. */
async function readLabels(path: string): Promise<LabelSchema> {
  return readSchema(path).catch((error: unknown) => {
    const { message } = error as Error;
    const [whole, key] = /Unrecognized keys?: "([^"]*)"/.exec(message) ?? [];
    if (whole === undefined) throw error;
    const [nearest] = KEYS.toSorted((a, b) => editDistance(a, key) - editDistance(b, key));
    throw new Error(message.replace(whole, `unknown key "${key}", did you mean "${nearest}"?`), { cause: error });
  });
}

/**
 * Least number of letters to be inserted, removed or replaced to make one word of another, in small letters.
 *
 * @see Levenshtein 1966, Soviet Physics Doklady 10(8) 707–710
 */
function editDistance(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++)
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[to.length];
}
