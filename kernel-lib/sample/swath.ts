import { inside, type Box, type Ring } from './thing.ts';

/**
 * The ground that one pass recorded within a data area: slanted at one end as a swath's edge is, and jagged in one corner.
 *
 * @param area `[west, south, east, north]`, metres from the origin
 * @param which the first pass is slanted in the west and jagged in the south-east, the second the other way round
 */
export function swathOf(area: Box, which: 1 | 2): Ring {
  const [west, south, east, north] = area;
  const slant = 0.055 * (east - west);
  if (which === 1) {
    const steps = [0, 1, 2].flatMap((k) => [
      east - 40 * (2 - k),
      south + 46 * k + 30,
      east - 40 * (2 - k),
      south + 46 * k + 76,
    ]);
    return [west + 12, south, east - 120, south, east - 120, south + 30, ...steps, east, north, west + slant, north];
  }
  const teeth = [3, 2, 1, 0].flatMap((k) => [west + 190 + 34 * k, north, west + 173 + 34 * k, north - 21]);
  return [west, south, east - slant, south, east - 9, north, ...teeth, west + 150, north, west, north];
}

/** The part of a ring inside a box, side by side. @see Sutherland, Hodgman 1974, CACM 17(1) 32–42 */
export function clip(ring: Ring, [west, south, east, north]: Box): Ring {
  const sides: [axis: 0 | 1, limit: number, sign: 1 | -1][] = [[0, west, 1], [1, south, 1], [0, east, -1], [1, north, -1]]; // prettier-ignore
  return sides.reduce((kept, [axis, limit, sign]) => clipSide(kept, axis, limit, sign), ring);
}

function clipSide(ring: Ring, axis: 0 | 1, limit: number, sign: 1 | -1): Ring {
  const kept: Ring = [];
  for (let k = 0, last = ring.length - 2; k < ring.length; last = k, k += 2) {
    const [a, b] = [sign * (ring[last + axis] - limit), sign * (ring[k + axis] - limit)];
    if (a < 0 !== b < 0) {
      const f = a / (a - b);
      kept.push(ring[last] + f * (ring[k] - ring[last]), ring[last + 1] + f * (ring[k + 1] - ring[last + 1]));
    }
    if (b >= 0) kept.push(ring[k], ring[k + 1]);
  }
  return kept;
}

/** Whether all corners of `inner` lie in `outer`. */
export function holds(outer: Ring, inner: Ring): boolean {
  for (let k = 0; k < inner.length; k += 2) if (!inside(inner[k], inner[k + 1], outer)) return false;
  return true;
}
