// Which elements lie in which chips, and how much of each chip they cover: beside geopandas, on a real town.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Cell, chipIds, parseCell } from 'imagesim/ard';
import { type PlacedElement, chipIndex, elements, placeInCell, readExtract } from 'imagesim/osm';
import { type Bench, type Contest, type Round, openPeer, rateOf } from './measure.ts';

const TOWN = fileURLToPath(new URL('../../shared/data/osm/north-bayreuth.osm.gz', import.meta.url));
/** The one that the extract covers whole. */
const CELL = parseCell('Z32-102220302122');
const REMEDY = 'apt-get install python3-geopandas';

async function placedTown(cell: Cell): Promise<PlacedElement[]> {
  if (!existsSync(TOWN)) throw new Error(`${TOWN} is not there`);
  let placed: PlacedElement[] = [];
  await readExtract(TOWN, [cell], async (_, { data }) => {
    placed = placeInCell(elements(data).elements, cell);
    return Promise.resolve();
  });
  return placed;
}

/**
 * What lies in each of 4,096 chips, asked one by one, from elements in UTM.
 *
 * @param shares whether the peer says how much lies there, too, as ours always does
 */
async function open(shares: boolean): Promise<Contest> {
  const placed = await placedTown(CELL);
  const ids = chipIds(CELL);
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  const path = join(folder, 'placed.geojson');
  const features = placed.map(({ utm }) => ({ type: 'Feature', properties: {}, geometry: utm }));
  await writeFile(path, JSON.stringify({ type: 'FeatureCollection', features }));
  const ours = async (): Promise<Round> => {
    let [rows, area] = [0, 0];
    const rate = await rateOf(ids.length, () => {
      const index = chipIndex(CELL, placed);
      const found = ids.flatMap((id) => index.in(id));
      rows = found.length;
      area = found.reduce((sum, row) => sum + row.area, 0) * 78.125 ** 2;
    });
    const found = `${placed.length} elements in ${rows} places of chips, ${(area / 1e6).toFixed(3)} km²`;
    return shares ? { rate, found } : { rate };
  };
  const peer = await openPeer('sjoin.py', { path, bounds: CELL.cellBounds, shares }, REMEDY);
  return { ours, peer, close: () => rm(folder, { recursive: true }) };
}

export const chipJoin: Bench[] = [
  { name: 'osm: chip join', unit: 'chips/s', open: () => open(true) },
  { name: 'osm: chip join, shares beside bare sjoin', unit: 'chips/s', open: () => open(false) },
];
