import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type Bounds, type Cell, cellAt } from 'imagesim/ard';
import {
  type ExtractOptions,
  type FetchedCell,
  type OsmData,
  type TagCounts,
  fetchOsmByQuadkey,
  readOsm,
  serveOverpass,
} from 'imagesim/osm';
import { emptyFolder, needsShared, shared } from '../delivery.ts';
import { folderOf, taken, written } from './extracted.ts';
import { naiveAnswer, naiveElements } from './naive.ts';

const real = (name: string): string => join(shared, 'data/osm', name);
const plain = (name: string): string => gunzipSync(readFileSync(real(name))).toString();

/** Every cell of a zone that a rectangle reaches into. */
function cellsOf([west, south, east, north]: Bounds, zone: number): Cell[] {
  const cells = new Map<string, Cell>();
  for (let lon = west; lon < east + 0.02; lon += 0.02) {
    for (let lat = south; lat < north + 0.02; lat += 0.02) {
      const cell = cellAt([Math.min(lon, east), Math.min(lat, north)], zone);
      cells.set(cell.id, cell);
    }
  }
  return [...cells.values()];
}

const boundless = (text: string): string => text.replaceAll(/<bounds [^>]*>/g, '');
const sorted = ({ nodes, ways, relations }: OsmData): object[] =>
  [nodes, ways, relations].map((all) => all.toSorted((a, b) => a.id - b.id));

/** Of real files: extents of their data, as `osmium fileinfo -e` tells them. */
const FILES: { name: string; zone: number; extent: Bounds; tags: Record<string, string> }[] = [
  // tags: keys of nodes and of ways: `osmium tags-count <file> -t node -s name-asc | sha256sum`; of relations, the same
  // lines by pyosmium 3.6.0, of those alone with a node or way in the file (63 of 73, 158 of 179, 245 of 290), as rel(bn)
  // and rel(bw) find no other: SimpleHandler, any((m.type, m.ref) in seen for m in relation.members)
  {
    name: 'krems.osm.gz',
    zone: 33,
    extent: [15.5532503, 48.3687127, 15.8582212, 48.4455284],
    tags: { node: '4469fd7f9022f501', way: '50161f1d9ba253f7', relation: '03d40312b6f7a3a7' },
  },
  {
    name: 'north-bayreuth.osm.gz',
    zone: 32,
    extent: [11.3992921, 49.8832101, 11.6746911, 50.0959122],
    tags: { node: '205461fd30564943', way: 'd4c2c7b955928aeb', relation: 'e372aa39d226201f' },
  },
  {
    name: 'monaco-2023.osm.pbf',
    zone: 32,
    extent: [7.401681, 43.5165358, 7.5002447, 43.7543448],
    tags: { node: 'b21daa59201c8ec0', way: '5dfa7465fec7518e', relation: 'dea519a171aeffd2' },
  },
];

describe('osm extract, of real files', () => {
  before(needsShared);

  it('has the same elements of krems as a server', async function () {
    this.timeout(60_000);
    const text = boundless(plain('krems.osm.gz'));
    const cells = cellsOf([15.5532503, 48.3687127, 15.8582212, 48.4455284], 33);
    const overpass = await emptyFolder();
    const elements = naiveElements(text);
    for (const cell of cells) await writeFile(join(overpass, `${cell.id}.json`), naiveAnswer(elements, cell));
    const server = await serveOverpass(overpass);
    const [asked, source] = [await folderOf(cells), await folderOf(cells)];
    const tags = await fetchOsmByQuadkey(33, asked, { endpoint: server.endpoint });
    await server.close();
    assert.deepEqual(await fetchOsmByQuadkey(33, source, { source: await written(text) }), tags);
    const counts = [0, 0, 0];
    for (const cell of cells) {
      const [ours, theirs] = [await readOsm(source, cell), await readOsm(asked, cell)];
      assert.deepEqual(sorted(ours), sorted(theirs), cell.id);
      [ours.nodes, ours.ways, ours.relations].forEach((all, index) => (counts[index] += all.length));
    }
    assert.ok(counts[0] >= 15_042 && counts[1] >= 2_402 && counts[2] >= 73, counts.join(' '));
  });

  for (const { name, zone, extent, tags } of FILES) {
    it(`counts every tag of ${name} as osmium does`, async function () {
      this.timeout(60_000);
      const cells = cellsOf(extent, zone);
      const made = await fetchOsmByQuadkey(zone, await folderOf(cells), { source: await unbound(name) });
      const digests = { node: digest(made.nodeTags), way: digest(made.wayTags), relation: digest(made.relationTags) };
      assert.deepEqual(digests, tags);
    });
  }

  it('takes a few cells at a time, and finds the same', async function () {
    this.timeout(60_000);
    const cells = cellsOf([7.401681, 43.68, 7.5002447, 43.7543448], 32);
    const path = await unbound('monaco-2023.osm.pbf');
    const data = async (options: ExtractOptions): Promise<OsmData[]> =>
      [...(await taken(path, cells, options)).values()].map((each) => each.data);
    const all = await data({});
    assert.deepEqual(await data({ cellsAtOnce: 1 }), all);
    assert.deepEqual(await data({ nodesAtOnce: 1000 }), all);
  });

  it('reads the same of a pbf and of the XML that osmium makes of it', async function () {
    this.timeout(60_000);
    const path = await unbound('monaco-2023.osm.pbf');
    const xml = join(await emptyFolder(), 'monaco.osm.gz');
    if (spawnSync('osmium', ['cat', path, '-o', xml]).status !== 0) {
      console.log('      skipped: osmium is not there (apt-get install osmium-tool)');
      this.skip();
    }
    const cells = cellsOf([7.401681, 43.68, 7.5002447, 43.7543448], 32);
    const [ours, theirs] = [await taken(path, cells), await taken(xml, cells)];
    for (const { id } of cells) assert.deepEqual(ours.get(id)!.data, theirs.get(id)!.data);
  });

  it('says of which day a pbf is, which share of a cell it covers, and refuses cells beyond its bounds', async () => {
    const cells = cellsOf([7.41, 43.73, 7.44, 43.75], 32);
    const [first] = [...(await taken(await unbound('monaco-2023.osm.pbf'), cells)).values()];
    assert.equal(first.meta.timestamp_osm_base, '2023-12-26T21:21:22Z');
    assert.match(first.meta.endpoint, /^monaco-2023\.osm\.pbf \(replication 3919; states no bounds/);
    const stated = [...(await taken(real('monaco-2023.osm.pbf'), cells)).values()].map(({ meta }) => meta.covered!);
    assert.ok(stated.every((share) => share > 0 && share < 1), stated.join(' ')); // prettier-ignore
    const krems = cellAt([15.62, 48.4]);
    await assert.rejects(taken(real('monaco-2023.osm.pbf'), [krems]), new RegExp(`does not cover ${krems.id}`));
  });

  it('refuses a pbf whose ways have taken their nodes’ places, and one that is packed otherwise, with the remedy', async function () {
    const path = await unbound('monaco-2023.osm.pbf');
    const made = join(await emptyFolder(), 'made.osm.pbf');
    const osmium = (...args: string[]): void => {
      if (spawnSync('osmium', args).status === 0) return;
      console.log('      skipped: osmium is not there (apt-get install osmium-tool)');
      this.skip();
    };
    const cells = cellsOf([7.41, 43.73, 7.44, 43.75], 32);
    osmium('add-locations-to-ways', path, '-o', made, '-O');
    await assert.rejects(
      taken(made, cells),
      /has \d+ ways and the nodes of few: make it with osmium add-locations-to-ways -n/,
    );
    osmium('add-locations-to-ways', '-n', path, '-o', made, '-O');
    const ids = ({ data }: FetchedCell): number[] => data.ways.map(({ id }) => id);
    assert.deepEqual([...(await taken(made, cells)).values()].map(ids), [...(await taken(path, cells)).values()].map(ids)); // prettier-ignore
    osmium('cat', path, '-o', made, '-O', '-f', 'pbf,pbf_compression=none');
    await assert.rejects(
      taken(made, cells),
      /is packed in a way that is not understood .*: osmium cat made\.osm\.pbf -o other/,
    );
  });

  it('refuses a pbf that is cut off, and one with a damaged block', async () => {
    const bytes = readFileSync(await unbound('monaco-2023.osm.pbf'));
    const cells = cellsOf([7.41, 43.73, 7.44, 43.75], 32);
    const short = await written(bytes.subarray(0, 300_000), 'short.osm.pbf');
    await assert.rejects(
      taken(short, cells),
      /short\.osm\.pbf is damaged or cut off \(it ends in the middle of a block/,
    );
    const torn = await written(Buffer.from(bytes).fill(7, 250_000, 250_900), 'torn.osm.pbf');
    await assert.rejects(taken(torn, cells), /torn\.osm\.pbf is damaged or cut off/);
  });
});

/** A real file that states no bounds: none of them is as large as a cell. */
async function unbound(name: string): Promise<string> {
  if (name.endsWith('.gz')) return written(gzipSync(boundless(plain(name))), name);
  const bytes = await readFile(real(name));
  const size = 4 + bytes.readUInt32BE(0); // of the length and what it is the length of; its last field is the block's size
  const [low, high] = bytes.subarray(size - 2, size);
  const rest = bytes.subarray(size + (low > 127 ? (low & 127) + 128 * high : high));
  return written(Buffer.concat([pbfHeader(1_703_625_682, 3919), rest]), name);
}

/** The first block of a pbf, without bounds. @see https://wiki.openstreetmap.org/wiki/PBF_Format */
function pbfHeader(timestamp: number, sequence: number): Buffer {
  const features = ['OsmSchema-V0.6', 'DenseNodes'].map((name) => field(4, Buffer.from(name)));
  const numbers = [varint(32 << 3), varint(timestamp), varint(33 << 3), varint(sequence)];
  const blob = field(1, Buffer.concat([...features, ...numbers]));
  const head = Buffer.concat([field(1, Buffer.from('OSMHeader')), varint(3 << 3), varint(blob.length)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(head.length);
  return Buffer.concat([length, head, blob]);
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

/** The lines of `osmium tags-count -s name-asc`, hashed. */
function digest(tags: TagCounts): string {
  const counts = new Map<string, number>();
  for (const { key, count } of tags) counts.set(key, (counts.get(key) ?? 0) + count);
  const lines = [...counts].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const text = lines.map(([key, count]) => `${count}\t"${key}"\n`).join('');
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
