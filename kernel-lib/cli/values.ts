// What arguments of verbs are read as; each says what it expected where it got something else.
import { InvalidArgumentError } from 'commander';
import { type Bounds, type Shard, parseShard } from '../ard/index.ts';

/** What `--to` of a verb of many workers means. */
export const TO =
  's3:// prefix that what is made goes to, a cell at a time, under the keys of the data folder, which then needs no more room than for a cell or two; what lies there is not made again, and without tiles of the zone in the data folder they are taken from there';

/** A number, whole or not. */
export function numberOf(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

/** `west,south,east,north`, degrees. */
export function boxOf(text: string): Bounds {
  const box = text.split(',').map(Number);
  if (box.length !== 4 || !box.every(Number.isFinite))
    throw new InvalidArgumentError('expected west,south,east,north in degrees.');
  return box as unknown as Bounds;
}

/** Words with commas between. */
export function listOf(text: string): string[] {
  return text.split(',').map((word) => word.trim()).filter(Boolean); // prettier-ignore
}

/** `i/n`. */
export function shardNamed(text: string): Shard {
  try {
    return parseShard(text);
  } catch {
    throw new InvalidArgumentError('expected i/n with i from 0 to n - 1, as 0/4 … 3/4.');
  }
}

/** A parser of whole numbers in a range. */
export function between(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`expected a whole number, ${low} to ${high}.`);
    return value;
  };
}

/** A UTM zone. */
export function zoneNumber(text: string): number {
  return between(1, 60)(text);
}
