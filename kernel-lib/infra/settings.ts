import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataRoot, zonesOnDisk } from '../ard/index.ts';

/** How much ground a run covers: `tiny` for a minute's try, `city` for an hour, `full` for all that is there. */
export type Scale = 'tiny' | 'city' | 'full';

/** The project's own zone, taken where a data folder holds several. */
export const HOME_ZONE = 33;

/**
 * Where all data lies: `$IMAGESIM_DATA`, which may name its `ard` folder, else `/home/ubuntu/data`.
 *
 * @throws {RangeError} when the variable names a bucket
 */
export function dataPath(): string {
  const path = process.env.IMAGESIM_DATA || '/home/ubuntu/data';
  if (path.includes('://'))
    throw new RangeError(`IMAGESIM_DATA is ${path}: expected a folder on a disk; a bucket goes into IMAGESIM_DELIVERY`);
  return dataRoot(path);
}

/**
 * A value of a settings cell, overridable from the environment; of the kind of its default.
 *
 * @param name environment variable, `IMAGESIM_EPOCHS`
 * @throws {RangeError} when the variable is set to something else than the default's kind
 */
export function setting(name: string, otherwise: number): number;
export function setting(name: string, otherwise: boolean): boolean;
export function setting(name: string, otherwise: string): string;
export function setting(name: string, otherwise: string | number | boolean): string | number | boolean {
  const text = process.env[name];
  if (text === undefined || text === '') return otherwise;
  if (typeof otherwise === 'string') return text;
  if (typeof otherwise === 'boolean') {
    if (!/^(0|1|true|false)$/.test(text)) throw new RangeError(`${name} is "${text}": expected true or false`);
    return text === '1' || text === 'true';
  }
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new RangeError(`${name} is "${text}": expected a number`);
  return value;
}

/** The run's scale: `$IMAGESIM_SCALE`, else `tiny`. @throws {RangeError} for another word. */
export function scale(): Scale {
  const word = setting('IMAGESIM_SCALE', 'tiny');
  if (word !== 'tiny' && word !== 'city' && word !== 'full') {
    throw new RangeError(`IMAGESIM_SCALE is "${word}": expected tiny, city or full`);
  }
  return word;
}

/** A setting that depends on the scale: `byScale({ tiny: 10, city: 40, full: 80 })`. */
export function byScale<Value>(values: Record<Scale, Value>): Value {
  return values[scale()];
}

/**
 * The zone to work on: `$IMAGESIM_ZONE`, else 33 where the data folder has it, else the first that it has.
 *
 * @throws {RangeError} when the variable is no zone
 * @throws {Error} when there is no zone on disk
 */
export async function zoneOnDisk(path: string): Promise<number> {
  const zones = await zonesOnDisk(path);
  const wanted = setting('IMAGESIM_ZONE', 0);
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > 60)
    throw new RangeError(`IMAGESIM_ZONE is "${wanted}": expected a zone of 1 to 60`);
  if (wanted) return wanted;
  if (zones.length === 0) throw new Error(`no zone under ${path}/ard: run notebook 01-infra, or imagesim sync, first`);
  return zones.includes(HOME_ZONE) ? HOME_ZONE : zones[0];
}

/** The top of the checkout that this library is part of: where notebooks, setup.sh and data-manifest.json lie. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'data-manifest.json'))) {
    if (folder === dirname(folder))
      throw new Error('no data-manifest.json above kernel-lib: run from a checkout of imagesim');
    folder = dirname(folder);
  }
  return folder;
}
