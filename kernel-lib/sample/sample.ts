import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Cell, METRES_PER_PIXEL, type StepOptions, cellAt, readJson, toLonLat, writeWhole } from '../ard/index.ts';
import { rowProgress, writeChanges, writeCollection, writeOverpass, writeTile } from './delivery.ts';
import { ACQUISITIONS } from './light.ts';
import { ORIGIN } from './plan.ts';
import type { Box } from './thing.ts';
import { World } from './world.ts';

/** How much of the two tiles holds data: 6 × 6 blocks of each cell (144 chips), 16 × 16 (1,024), or all of it. */
export type SampleScale = 'tiny' | 'city' | 'full';

export interface SampleOptions extends Omit<StepOptions, 'concurrency'> {
  /** Default `tiny`. */
  scale?: SampleScale;
  /** Which world: every seed is another place, the same one each time. Default 33. */
  seed?: number;
}

/** What a sample consists of. */
export interface Sample {
  folder: string;
  scale: SampleScale;
  seed: number;
  /** UTM zone: 33. */
  zone: number;
  /** Ids of the two cells, west and east: `Z33-…`. */
  cells: string[];
  /** The two dates, YYYY-MM-DD, the earlier first. */
  dates: string[];
  /** Every file, relative to `folder`. */
  files: string[];
  /** Polygons of change within the data area. */
  changes: number;
}

const BLOCK_METRES = 512 * METRES_PER_PIXEL;
/** Blocks of data west and east of the common edge, and north and south of the middle. */
const REACH: Record<SampleScale, [number, number]> = { tiny: [6, 3], city: [16, 8], full: [33, 17] };

/**
 * Makes a synthetic ARD delivery in a folder: two cells of zone 33 that share an edge, two dates, their OSM, what changed.
 *
 * The world is a function of place and seed: aprons agree with the neighbour, and the same seed gives the same bytes. What is
 * there already is kept, so that a second call, or one after an interruption, does only what is missing.
 *
 * @throws {Error} when the folder holds a sample of another seed or scale
 */
export async function makeSample(
  folder: string,
  { scale = 'tiny', seed = 33, signal, onProgress }: SampleOptions = {},
): Promise<Sample> {
  const { world, area } = await begin(folder, scale, seed);
  const cells = [cellBeside(-1), cellBeside(1)];
  const files = ['sample.json', 'README.md', 'LICENSE.txt'];
  const units = cells.flatMap((cell) => ACQUISITIONS.map((acquisition) => ({ cell, acquisition })));
  for (const [done, { cell, acquisition }] of units.entries()) {
    const onRow = rowProgress(onProgress, done, units.length, cell, acquisition.date);
    files.push(...(await writeTile({ folder, world, cell, acquisition, area, signal, onRow })));
    onProgress?.({ done: done + 1, total: units.length, unit: 'tiles' });
  }
  for (const acquisition of ACQUISITIONS) files.push(await writeCollection(folder, seed, acquisition, cells));
  for (const cell of cells) files.push(await writeOverpass(folder, world, cell, area));
  const [changeFile, changes] = await writeChanges(folder, world, ACQUISITIONS, area);
  files.push(changeFile);
  return {
    folder,
    scale,
    seed,
    zone: 33,
    cells: cells.map(({ id }) => id),
    dates: ACQUISITIONS.map(({ date }) => date),
    files,
    changes,
  };
}

/** One tile of a sample. */
export interface SampleTile {
  /** The western cell. */
  cell: Cell;
  /** The earlier date, YYYY-MM-DD. */
  date: string;
  /** The tile and its STAC item, relative to the sample's folder. */
  files: string[];
  /** The Overpass answer of its cell, relative to the sample's folder. */
  overpass: string;
}

/**
 * Makes the first tile of a sample alone, with the OSM of its cell: enough to measure on, in a quarter of the time.
 *
 * The bytes are those of {@link makeSample}, which completes the folder when it is called on it.
 *
 * @throws {Error} when the folder holds a sample of another seed or scale
 */
export async function makeSampleTile(
  folder: string,
  { scale = 'tiny', seed = 33, signal, onProgress }: SampleOptions = {},
): Promise<SampleTile> {
  const { world, area } = await begin(folder, scale, seed);
  const cell = cellBeside(-1);
  const [acquisition] = ACQUISITIONS;
  const onRow = rowProgress(onProgress, 0, 1, cell, acquisition.date);
  const files = await writeTile({ folder, world, cell, acquisition, area, signal, onRow });
  onProgress?.({ done: 1, total: 1, unit: 'tiles' });
  return { cell, date: acquisition.date, files, overpass: await writeOverpass(folder, world, cell, area) };
}

/** Checks the options, claims the folder, and says which part of which world the tiles show. */
async function begin(folder: string, scale: SampleScale, seed: number): Promise<{ world: World; area: Box }> {
  if (!(scale in REACH))
    throw new RangeError(`makeSample knows the scales ${Object.keys(REACH).join(', ')}, got "${scale}"`);
  if (!Number.isInteger(seed)) throw new RangeError(`makeSample requires a whole number as seed, got ${seed}`);
  await claim(folder, { scale, seed });
  const [across, up] = REACH[scale].map((blocks) => blocks * BLOCK_METRES);
  return { world: new World(seed), area: [-across, -up, across, up] };
}

/** The cell west (−1) or east (1) of the sample's origin. */
function cellBeside(side: -1 | 1): Cell {
  return cellAt(toLonLat(32633, [ORIGIN[0] + side * 2500, ORIGIN[1]]), 33);
}

const README = `# A synthetic delivery

Made by imagesim (\`makeSample\`), in the form of a Maxar ARD delivery. No pixel was taken by a satellite and no element comes
from OpenStreetMap: the place does not exist. Nothing here may be presented as imagery of Zone 33 or as OSM.

- \`ard/\`: two neighbouring cells at two dates, COG tiles and STAC items
- \`overpass/\`: for each cell, the elements that its picture was painted from, as an Overpass answer; a few per cent are
  unmapped on purpose, and a few outlines lie off by 1–3 m
- \`demo-ard/vectors/\`: what really changed between the dates
- \`sample.json\`: seed and scale; the same seed gives the same bytes

Dedicated to the public domain: CC0 1.0, see LICENSE.txt.
`;
const LICENSE = `Synthetic data made by imagesim.

To the extent possible under law, its makers have waived all copyright and related or neighbouring rights to this sample:
CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/
`;

/** Marks the folder as holding this very sample, or finds that it does. */
async function claim(folder: string, mine: { scale: SampleScale; seed: number }): Promise<void> {
  const file = join(folder, 'sample.json');
  if (existsSync(file)) {
    const found = (await readJson(file)) as Partial<typeof mine>;
    if (found.scale === mine.scale && found.seed === mine.seed) return;
    throw new Error(
      `${folder} holds a sample of scale ${found.scale}, seed ${found.seed}: remove it, or choose another folder for ${mine.scale}, seed ${mine.seed}`,
    );
  }
  await writeWhole(join(folder, 'README.md'), README);
  await writeWhole(join(folder, 'LICENSE.txt'), LICENSE);
  await writeWhole(file, `${JSON.stringify(mine)}\n`);
}
