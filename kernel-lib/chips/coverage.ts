import type { Position } from 'geojson';
import { type Cell, CHIP_PIXELS, CHIPS_PER_SIDE, METRES_PER_PIXEL } from '../ard/index.ts';
import { type Ledger, addRing } from '../osm/index.ts';

const CHIP_SIDE = CHIP_PIXELS * METRES_PER_PIXEL;
/** A share so near to another is the same: what remains is the rounding of cuts. */
const NOTHING = 1e-9;
/** The share next below 1 that 32 bits hold. */
const NEARLY_ALL = 1 - 2 ** -24;

/**
 * The share of each of a cell's 4,096 chips that polygons cover, holes left out; exact, not by pixels.
 *
 * Of polygons that overlap in a chip the largest counts there alone: the share is never too much.
 *
 * @param polygons each as its outer ring and its holes, UTM metres of the cell
 * @returns `[64 × 64]`, row by row from the north-west, 0–1; 1 means covered but for at most a billionth
 */
export function coveredShares(polygons: readonly Position[][][], cell: Cell): Float32Array {
  const [west, , , north] = cell.cellBounds;
  const inChips = ([x, y]: Position): Position => [(x - west) / CHIP_SIDE, (north - y) / CHIP_SIDE];
  const sums = new Float64Array(CHIPS_PER_SIDE ** 2);
  const largest = new Float64Array(CHIPS_PER_SIDE ** 2);
  for (const rings of polygons) {
    const ledger: Ledger = new Map();
    for (const [at, ring] of rings.entries()) addRing(ring.map(inChips), at === 0 ? 1 : -1, ledger);
    for (const [chip, share] of ledger) {
      sums[chip] += share;
      largest[chip] = Math.max(largest[chip], share);
    }
  }
  return Float32Array.from(sums, (sum, chip) => settled(sum > 1 + NOTHING ? largest[chip] : sum));
}

function settled(share: number): number {
  if (share >= 1 - NOTHING) return 1;
  return share <= NOTHING ? 0 : Math.min(share, NEARLY_ALL);
}
