import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { type StepOptions, dataRoot, deliveryAddress, openSource, readJson, writeWhole } from '../ard/index.ts';
import { bringMissing, nameOfSource } from './sync.ts';
import { type Scale } from './settings.ts';

/** Where a run's pixels come from. */
export interface FoundDelivery {
  /** Folder or s3:// prefix; `undefined` where the data folder already holds tiles and nothing else is asked for. */
  address: string | undefined;
  /** In a few words, for people. */
  kind: string;
  /** The delivery's own answers for a loopback Overpass endpoint, where it has such a folder. */
  overpass: string | undefined;
}

/** The delivery used last in a data folder, as its `delivery.json` has it. */
const lastSchema = z.object({ address: z.string().min(1), kind: z.enum(['given', 'sample']) });
type Last = z.infer<typeof lastSchema>;

/**
 * Finds the delivery that a run works on, or makes the sample.
 *
 * In this order: the one that is given; the one used last in this data folder, which `delivery.json` names; the tiles
 * that are there; the sample in `sample/<scale>` of the data folder, made where it is missing.
 *
 * @param address folder, its `ard`, or s3:// prefix; empty for none
 * @throws {Error} when the folder given, or the one used last, is not there
 */
export async function findDelivery(
  dataPath: string,
  { address = '', scale = 'tiny', ...options }: { address?: string; scale?: Scale } & StepOptions = {},
): Promise<FoundDelivery> {
  const root = dataRoot(dataPath);
  const sample = join(root, 'sample', scale);
  const given = address && absolute(address);
  if (given && given !== sample) {
    openSource(deliveryAddress(given).address); // says where there is none, before it is written down
    return use(root, { address: given, kind: 'given' }, 'the delivery that was given');
  }
  const last = given ? undefined : await readLast(root);
  if (last?.kind === 'given' && isThere(last.address)) return found(root, last.address, 'the delivery used last');
  if (!given && last?.kind !== 'sample' && (await holdsTiles(root))) {
    return { address: undefined, kind: 'the tiles that the data folder holds', overpass: undefined };
  }
  if (last?.kind === 'given') {
    throw new Error(`${fileOf(root)} names ${last.address}, which is gone: set IMAGESIM_DELIVERY to where it lies now`);
  }
  const { makeSample } = await import('../sample/index.ts'); // loaded only where a sample is made
  await makeSample(sample, { scale, ...options });
  return use(root, { address: sample, kind: 'sample' }, `the synthetic sample, scale ${scale}`);
}

/** Notes the delivery as the one used last. */
async function use(root: string, last: Last, kind: string): Promise<FoundDelivery> {
  const delivery = await found(root, last.address, kind); // fails where a bucket cannot be read: then nothing is noted
  await writeWhole(fileOf(root), `${JSON.stringify(last)}\n`);
  return delivery;
}

/** @throws {Error} when the file is there and is none of ours */
async function readLast(root: string): Promise<Last | undefined> {
  if (!existsSync(fileOf(root))) return undefined;
  const { success, data } = lastSchema.safeParse(await readJson(fileOf(root)));
  if (!success) throw new Error(`${fileOf(root)} names no delivery: remove it, or set IMAGESIM_DELIVERY`);
  return data;
}

function fileOf(root: string): string {
  return join(root, 'delivery.json');
}

async function found(root: string, whole: string, kind: string): Promise<FoundDelivery> {
  const { address } = deliveryAddress(whole);
  const overpass = address.startsWith('s3://') ? await bringOverpass(root, address) : join(address, 'overpass');
  return { address: whole, kind, overpass: overpass && existsSync(overpass) ? overpass : undefined };
}

/** Brings the Overpass answers of a delivery in a bucket into the data folder, where they can be served from. */
async function bringOverpass(root: string, address: string): Promise<string | undefined> {
  const source = openSource(address);
  const answers = (await source.list('overpass/')).filter(({ key }) => key.endsWith('.json'));
  const folder = join('overpass', nameOfSource(source));
  const placed = answers.map((file) => ({ ...file, to: join(folder, basename(file.key)) }));
  await bringMissing(source, placed, root, {});
  return answers.length > 0 ? join(root, folder) : undefined;
}

/** As it is noted: notebooks run in a folder of their own. A delivery's own `ard` stands for the delivery. */
function absolute(address: string): string {
  if (address.startsWith('s3://')) return address;
  const { address: own, zone } = deliveryAddress(address);
  return zone === undefined ? own : resolve(address);
}

function isThere(address: string): boolean {
  return address.startsWith('s3://') || existsSync(address);
}

async function holdsTiles(root: string): Promise<boolean> {
  const files = existsSync(join(root, 'ard')) ? await openSource(root).list('ard') : [];
  return files.some(({ key }) => /^ard\/\d\d\/[0-3]{12}\/\d{4}-\d\d-\d\d\/[^/]+\.tif$/.test(key));
}
