import seedrandom from 'seedrandom';
import { sample } from 'simple-statistics';

/**
 * Some of a list at random, each at most once; the same for the same seed.
 *
 * @param count how many; all where there are no more
 */
export function pickSome<Item>(list: readonly Item[], count: number, seed: number | string = 33): Item[] {
  return sample([...list], Math.min(count, list.length), seedrandom(String(seed)));
}
