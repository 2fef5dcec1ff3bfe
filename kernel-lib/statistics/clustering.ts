import { effectiveSize } from './effective.ts';
import { wilsonInterval } from './interval.ts';
import { joinCounts } from './joincounts.ts';
import { moransI } from './moran.ts';
import { chipNeighbours } from './neighbours.ts';

/** How one label lies on the ground, and what that costs: a row of a table. `NaN` where it is undefined. */
export interface Clustering {
  tag: string;
  chips: number;
  /** Moran's I of having the label or not, queen neighbours, row weights; its score and p. */
  moran: number;
  z: number;
  p: number;
  /** Pairs of neighbours that both have it, and those expected by chance. */
  joins: number;
  joinsExpected: number;
  /** Chips' sides up to which neighbours are alike. */
  range: number;
  /** Independent chips that all chips are worth for the share of this label, and how many chips make one. */
  effective: number;
  designEffect: number;
  /** Share of chips that have it, and its 95 % Wilson interval with the effective number of chips. */
  share: number;
  low: number;
  high: number;
}

/**
 * Spatial clustering of each label: Moran's I, join counts, effective sample size, and the interval of its share that
 * follows from it. Conventions are those of {@link moransI}, {@link joinCounts} and {@link effectiveSize}.
 *
 * @param rows which tags lie in which chips
 * @param chips all that were looked at, those without any tag included, of one zone
 * @returns in the order of `tags`
 * @throws {RangeError} when there are fewer than four chips
 */
export function clustering(
  rows: readonly { chip: string; tag: string }[],
  tags: readonly string[],
  chips: readonly string[],
): Clustering[] {
  const neighbours = chipNeighbours(chips);
  const chipsOf = new Map(tags.map((tag) => [tag, new Set<string>()]));
  for (const { chip, tag } of rows) chipsOf.get(tag)?.add(chip);
  return tags.map((tag): Clustering => {
    const has = chips.map((chip) => chipsOf.get(tag)!.has(chip));
    const values = has.map(Number);
    const { value: moran, z, p } = moransI(values, neighbours);
    const { bothHave } = joinCounts(has, neighbours);
    const { effective, designEffect, range } = effectiveSize(chips, values);
    const count = has.filter(Boolean).length;
    const share = count / chips.length;
    const [low, high] = wilsonInterval(share * (effective || chips.length), effective || chips.length);
    return { tag, chips: count, moran, z, p, joins: bothHave.value, joinsExpected: bothHave.expected, range, effective, designEffect, share, low, high }; // prettier-ignore
  });
}
