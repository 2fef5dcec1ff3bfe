// The map of one cell laid over its chips, which no other program does; and the cells of an extract, beside pyosmium.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cell, cellAt, lonLatBounds } from 'imagesim/ard';
import { chipCoverage, elements, fetchCell, readExtract, serveOverpass } from 'imagesim/osm';
import { type Bench, type BenchOptions, type Contest, type Round, openPeer, rateOf } from './measure.ts';
import { benchTile } from './tile.ts';

async function open({ scale }: BenchOptions): Promise<Contest> {
  const { folder, tile } = await benchTile(scale);
  const server = await serveOverpass(join(folder, 'overpass'));
  const { data } = await fetchCell(tile.cell, { endpoint: server.endpoint });
  await server.close();
  const tagged = elements(data).elements.length;
  const ours = async (): Promise<{ rate: number; found: string }> => {
    let rows = 0;
    const rate = await rateOf(tagged, () => (rows = chipCoverage(elements(data).elements, tile.cell).length));
    return { rate, found: `${tagged} elements in ${rows} places of chips` };
  };
  return { ours, peer: { missing: 'no other program does this' } };
}

const MONACO = join(import.meta.dirname, '../../shared/data/osm/monaco-2023.osm.pbf');
const MONACO_ELEMENTS = 35_762; // osmium fileinfo -e
/** How a pbf begins. Its bounds are left out: Monaco's are smaller than a cell. */
const HEADER = '0000000d0a094f534d4865616465721820'; // 13 bytes: type OSMHeader, size of what follows

async function openExtract(): Promise<Contest> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  const path = join(folder, 'monaco.osm.pbf');
  await writeFile(path, await withoutBounds(MONACO));
  const cells = monacoCells();
  const boxes = cells.map(lonLatBounds);
  const task = { path, boxes, elements: MONACO_ELEMENTS };
  return {
    ours: () => extractRound(path, cells),
    peer: await openPeer('osm.py', task, 'apt-get install python3-pyosmium'),
    note: `${MONACO_ELEMENTS} elements read for ${cells.length} cells: what lies in each, as Overpass answers`,
    close: () => rm(folder, { recursive: true }),
  };
}

async function extractRound(path: string, cells: Cell[]): Promise<Round> {
  const found = [0, 0, 0];
  const rate = await rateOf(MONACO_ELEMENTS, () =>
    readExtract(path, cells, async (_, { data: { nodes, ways, relations } }) => {
      [nodes, ways, relations].forEach((all, index) => (found[index] += all.length));
    }),
  );
  return { rate, found: `${found.join(', ')} nodes, ways, relations` };
}

async function withoutBounds(path: string): Promise<Buffer> {
  const bytes = await readFile(path);
  const size = 4 + bytes.readUInt32BE(0);
  const [low, high] = bytes.subarray(size - 2, size); // of the block, in two bytes of seven bits
  const features = ['OsmSchema-V0.6', 'DenseNodes'].map((name) => `22${hex(name.length)}${Buffer.from(name).toString('hex')}`); // prettier-ignore
  const header = features.join('');
  const blob = `0a${hex(header.length / 2)}${header}`;
  const start = `${HEADER.slice(0, -2)}${hex(blob.length / 2)}${blob}`;
  return Buffer.concat([Buffer.from(start, 'hex'), bytes.subarray(size + (low & 127) + 128 * high)]);
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function monacoCells(): Cell[] {
  const places = [43.7, 43.735, 43.76].flatMap((lat) => [7.36, 7.42, 7.48].map((lon): [number, number] => [lon, lat]));
  return [...new Map(places.map((place) => [cellAt(place).id, cellAt(place)])).values()];
}

export const osm: Bench[] = [
  { name: 'osm: chip coverage', unit: 'elements/s', open },
  { name: 'osm: extract', unit: 'elements/s', open: openExtract },
];
