import { type SpatialTest, scored } from './moran.ts';
import { type Neighbours, weightSums } from './neighbours.ts';

/** How often chips beside each other both have a label (black), neither has, or one has. Each pair of neighbours once. */
export interface JoinCounts {
  bothHave: SpatialTest;
  neitherHas: SpatialTest;
  oneHas: SpatialTest;
}

/**
 * Join counts of a label that a chip has or has not: BB, WW and BW.
 *
 * Binary weights, each join once; expectation and variance over all ways to lay out as many chips with the label (nonfree
 * sampling). As R's `spdep::joincount.test(factor, nb2listw(nb, style = 'B'))`, `oneHas` as the row `1:0` of
 * `joincount.multi`.
 *
 * @param has whether each chip has the label
 * @returns scores of `NaN` where too few chips have it, or lack it, for the count to vary
 * @throws {RangeError} when there are fewer than four chips, or not as many as neighbours
 * @see Cliff & Ord 1981, Spatial Processes, pp. 19–20
 */
export function joinCounts(has: readonly boolean[], neighbours: Neighbours): JoinCounts {
  const n = has.length;
  if (n < 4 || neighbours.length !== n) {
    throw new RangeError(`joinCounts requires four or more chips, each with neighbours, got ${n} and ${neighbours.length}`); // prettier-ignore
  }
  const counts = [0, 0, 0];
  for (const [i, others] of neighbours.entries()) {
    for (const j of others) if (j > i) counts[Number(has[i]) + Number(has[j])]++;
  }
  const black = has.filter(Boolean).length;
  const { s0, s1, s2 } = weightSums(neighbours, 'binary');
  const rest = s0 ** 2 + s1 - s2;
  const alike = (k: number): [expected: number, variance: number] => {
    const [pair, three, four] = [2, 3, 4].map((size) => falling(k, size) / falling(n, size));
    const expected = (s0 * pair) / 2;
    return [expected, (s1 * pair + (s2 - 2 * s1) * three + rest * four) / 4 - expected ** 2];
  };
  const white = n - black;
  const expected = (s0 * black * white) / falling(n, 2);
  const second =
    (2 * s1 * black * white) / falling(n, 2) +
    ((s2 - 2 * s1) * black * white * (n - 2)) / falling(n, 3) +
    (4 * rest * falling(black, 2) * falling(white, 2)) / falling(n, 4);
  return {
    bothHave: scored(counts[2], ...alike(black)),
    neitherHas: scored(counts[0], ...alike(white)),
    oneHas: scored(counts[1], expected, second / 4 - expected ** 2),
  };
}

/** n (n − 1) … of `count` factors. */
function falling(n: number, count: number): number {
  return Array.from({ length: count }, (_, k) => n - k).reduce((product, factor) => product * factor, 1);
}
