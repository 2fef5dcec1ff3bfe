import { buildCemetery, buildSchool, buildSports } from './civic.ts';
import { buildFarm, buildFields, buildMeadow, buildOrchard, buildVineyard, buildWood } from './country.ts';
import { buildFlats, buildHouses, buildOldTown } from './homes.ts';
import { PITCH, unturned } from './plan.ts';
import { Quarter } from './quarter.ts';
import { meet, type Box, type Change, type Thing } from './thing.ts';
import { buildPowerLine, buildRail, buildRiver, buildRoads } from './ways.ts';
import { buildIndustry, buildShops, buildSolar } from './work.ts';

const BUILDERS: Record<string, (quarter: Quarter) => void> = {
  f: buildFields,
  v: buildVineyard,
  o: buildOrchard,
  w: buildWood,
  m: buildMeadow,
  r: buildFarm,
  h: buildHouses,
  a: buildFlats,
  c: buildOldTown,
  s: buildSchool,
  p: buildSports,
  g: buildCemetery,
  k: buildShops,
  i: buildIndustry,
  e: buildSolar,
};
/** Quarters kept; a row of blocks across two cells touches about 100. */
const KEPT = 400;

/**
 * What lies where: a function of the seed and the place alone, without end, built quarter by quarter when asked.
 *
 * So two tiles that show the same ground show the same things, in the same order.
 */
export class World {
  readonly seed: number;
  readonly #quarters = new Map<string, Quarter>();

  constructor(seed: number) {
    this.seed = seed;
  }

  /** The quarters that may reach into a box (metres east and north of the origin), in an order that no box alters. */
  quarters(box: Box): Quarter[] {
    const corners = [
      unturned(box[0], box[1]),
      unturned(box[2], box[1]),
      unturned(box[2], box[3]),
      unturned(box[0], box[3]),
    ];
    const range = (axis: 0 | 1): number[] => {
      const at = corners.map((corner) => corner[axis] / PITCH);
      const first = Math.floor(Math.min(...at) - 0.5);
      return Array.from({ length: Math.floor(Math.max(...at) + 0.5) - first + 1 }, (_, k) => first + k);
    };
    const columns = range(0);
    return range(1).flatMap((j) => columns.map((i) => this.quarter(i, j)));
  }

  /** Everything that has ground in a box, whatever the date. */
  things(box: Box): Thing[] {
    return this.quarters(box).flatMap(({ things }) => things.filter((thing) => meet(thing.box, box)));
  }

  /** What changes between the dates and touches a box. */
  changes(box: Box): Change[] {
    return this.quarters(box).flatMap(({ changes }) => changes);
  }

  quarter(i: number, j: number): Quarter {
    const key = `${i},${j}`;
    const known = this.#quarters.get(key);
    if (known) return known;
    const quarter = new Quarter(this.seed, i, j);
    for (const build of [buildRoads, buildRiver, buildRail, buildPowerLine, BUILDERS[quarter.use]]) build(quarter);
    if (this.#quarters.size >= KEPT) this.#quarters.delete([...this.#quarters.keys()][0]);
    this.#quarters.set(key, quarter);
    return quarter;
  }
}
