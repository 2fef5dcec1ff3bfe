import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type StepOptions, ardRoot, dataRoot, zonesOnDisk } from '../ard/index.ts';
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

/**
 * Finds the delivery that a run works on, or makes the sample.
 *
 * In this order: the one that is given; the tiles that the data folder holds already, unless a sample is where they
 * come from; the sample in `sample/<scale>` of the data folder, made where it is missing. Real tiles are never mixed
 * with a sample unasked.
 *
 * @param address folder or s3:// prefix; empty for none
 */
export async function findDelivery(
  dataPath: string,
  { address = '', scale = 'tiny', ...options }: { address?: string; scale?: Scale } & StepOptions = {},
): Promise<FoundDelivery> {
  const sample = join(dataRoot(dataPath), 'sample', scale);
  if (address && address !== sample) {
    const whole = address.startsWith('s3://') ? address : resolve(address); // notebooks run in a folder of their own
    return { address: whole, kind: 'the delivery that was given', overpass: overpassOf(whole) };
  }
  if (!address && (await holdsOwnTiles(dataPath))) {
    return { address: undefined, kind: 'the tiles that the data folder holds', overpass: undefined };
  }
  const { makeSample } = await import('../sample/index.ts'); // loaded only where a sample is made
  await makeSample(sample, { scale, ...options });
  return { address: sample, kind: `the synthetic sample, scale ${scale}`, overpass: overpassOf(sample) };
}

/** Whether the data folder holds a date of a cell that none of its samples has. */
async function holdsOwnTiles(dataPath: string): Promise<boolean> {
  const samples = join(dataRoot(dataPath), 'sample');
  const scales = existsSync(samples) ? await readdir(samples) : [];
  const paths = (await zonesOnDisk(dataPath)).length > 0 ? await readdir(ardRoot(dataPath), { recursive: true }) : [];
  const dates = paths.filter((path) => /^\d\d\/[0-3]{12}\/\d{4}-\d\d-\d\d$/.test(path));
  return dates.some((date) => !scales.some((name) => existsSync(join(samples, name, 'ard', date))));
}

function overpassOf(address: string): string | undefined {
  const folder = join(address, 'overpass');
  return address.startsWith('s3://') || !existsSync(folder) ? undefined : folder;
}
