import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type Bounds, type Cell, cellAt, lonLatBounds } from 'imagesim/ard';
import {
  type ExtractOptions,
  type FetchOsmOptions,
  type FetchedCell,
  type OsmData,
  type TagCounts,
  fetchOsmByQuadkey,
  overpassQuery,
  readExtract,
  readOsm,
  readOsmMeta,
  serveOverpass,
} from 'imagesim/osm';
import { emptyFolder, needsShared, shared } from '../delivery.ts';
import { dataFolder } from './stand-in.ts';

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

/** A data folder with these cells, empty. */
function folderOf(cells: readonly Cell[]): Promise<string> {
  return dataFolder(...cells.map(({ zone, quadkey }) => `${String(zone).padStart(2, '0')}/${quadkey}`));
}

/** An .osm in a folder of its own, so that it may have any name. */
async function written(content: string | Buffer, name = 'made.osm'): Promise<string> {
  const path = join(await emptyFolder(), name);
  await writeFile(path, content);
  return path;
}

const boundless = (text: string): string => text.replaceAll(/<bounds [^>]*>/g, '');
const sorted = ({ nodes, ways, relations }: OsmData): object[] =>
  [nodes, ways, relations].map((all) => all.toSorted((a, b) => a.id - b.id));

async function taken(path: string, cells: Cell[], options: ExtractOptions = {}): Promise<Map<string, FetchedCell>> {
  const all = new Map<string, FetchedCell>();
  const take = async (cell: Cell, fetched: FetchedCell): Promise<void> => void all.set(cell.id, fetched);
  await readExtract(path, cells, take, options);
  return all;
}

describe('osm extract', () => {
  const cell = cellAt([15.62, 48.4]);
  const [west, south, east, north] = lonLatBounds(cell);
  const [lon, lat] = [(west + east) / 2, (south + north) / 2];
  const node = (id: number, x: number, y: number, inner = ''): string =>
    `<node id="${id}" version="3" uid="7" user="a &gt; b" timestamp="2020-01-01T00:00:00Z" lat='${y}' lon='${x}'>${inner}</node>\n`;
  const way = (id: number, refs: number[], inner = ''): string =>
    `<way id="${id}" version="1">${refs.map((ref) => `<nd ref="${ref}"/>`).join('')}${inner}</way>\n`;
  const file = (elements: string, head = ''): string =>
    `<?xml version="1.0"?>\n<!-- <node> -->\n<osm version="0.6" generator="x>y">${head}\n${elements}</osm>\n`;
  const bounds = (box: Bounds): string =>
    `<bounds minlon="${box[0]}" minlat="${box[1]}" maxlon="${box[2]}" maxlat="${box[3]}"/>`;
  const read = async (text: string): Promise<OsmData> => (await taken(await written(text), [cell])).get(cell.id)!.data;

  it('holds a node as Overpass gives it: no version, no user; tags only where there are some', async () => {
    const tag = `<tag k="name" v='Fish &amp; "Chips" &lt;&#x41;&#66;&gt;'/>`;
    const { nodes, quadkey } = await read(file(node(1, lon, lat, tag) + node(2, lon, lat) + node(3, east + 1, lat)));
    assert.deepEqual(nodes, [
      { type: 'node', id: 1, lat, lon, tags: { name: 'Fish & "Chips" <AB>' } },
      { type: 'node', id: 2, lat, lon },
    ]);
    assert.equal(quadkey, cell.quadkey);
  });

  it('holds a way across the cell whose nodes are 2,000 km apart, and none that passes by', async () => {
    const far = node(1, lon - 14, lat) + node(2, lon + 14, lat) + node(3, lon - 0.3, lat) + node(4, lon, lat + 0.2);
    const { nodes, ways } = await read(file(far + way(5, [1, 2]) + way(6, [3, 4]) + way(7, [1, 99, 2])));
    assert.deepEqual(nodes, []);
    assert.deepEqual(ways, [
      {
        type: 'way',
        id: 5,
        bounds: { minlat: lat, minlon: lon - 14, maxlat: lat, maxlon: lon + 14 },
        nodes: [1, 2],
        geometry: [
          { lat, lon: lon - 14 },
          { lat, lon: lon + 14 },
        ],
      },
    ]);
  });

  it('gives a way its whole geometry, null where the file lacks the node', async () => {
    const { ways } = await read(file(node(1, lon, lat) + node(2, lon + 3, lat) + way(5, [1, 77, 2, 1])));
    assert.deepEqual(ways[0].geometry, [{ lat, lon }, null, { lat, lon: lon + 3 }, { lat, lon }]);
  });

  it('holds the relations of a node inside and of a way that touches, with all members; none of a relation', async () => {
    const group = (id: number, type: string, ref: number): string =>
      `<relation id="${id}"><member type="${type}" ref="${ref}" role="r"/><member type="way" ref="88" role=""/></relation>`;
    const elements = node(1, lon, lat) + node(2, east + 3, lat) + way(5, [1, 2]) + way(6, [2, 2]);
    const groups = [group(1, 'node', 1), group(2, 'way', 5), group(3, 'way', 6), group(4, 'relation', 1)];
    const { relations } = await read(file(elements + groups.join('\n')));
    assert.deepEqual(
      relations.map(({ id, members }) => [id, members.length, members[0].role]),
      [
        [1, 2, 'r'],
        [2, 2, 'r'],
      ],
    );
  });

  it('gives a multipolygon the lines of all its ways, those too that lie elsewhere or do not touch the cell', async () => {
    const places = node(1, lon, lat) + node(2, east + 3, lat) + node(3, east + 3, lat + 3) + node(4, east + 0.03, lat) + node(5, east + 0.03, lat + 0.001); // prettier-ignore
    const ways = way(5, [1, 2]) + way(6, [2, 3]) + way(7, [3, 88, 1]) + way(8, [4, 5]);
    const members = [5, 6, 7, 8, 99].map((ref) => `<member type="way" ref="${ref}" role="outer"/>`).join('');
    const group = (id: number, type: string): string => `<relation id="${id}">${members}<tag k="type" v="${type}"/></relation>`; // prettier-ignore
    const { ways: found, relations } = await read(file(`${places}${ways}${group(1, 'multipolygon')}${group(2, 'route')}`)); // prettier-ignore
    assert.deepEqual(found.map(({ id }) => id), [5, 7]); // prettier-ignore
    const a = { lat, lon };
    const [b, c] = [{ lat, lon: east + 3 }, { lat: lat + 3, lon: east + 3 }]; // prettier-ignore
    const nearby = [{ lat, lon: east + 0.03 }, { lat: lat + 0.001, lon: east + 0.03 }]; // prettier-ignore
    assert.deepEqual(relations[0].members.map(({ geometry }) => geometry), [[a, b], [b, c], [c, null, a], nearby, undefined]); // prettier-ignore
    assert.ok(relations[1].members.every(({ geometry }) => geometry === undefined));
  });

  it('holds both sides of the antimeridian, and a way across it', async () => {
    const edge = cellAt([-179.99, 10], 1);
    const text = file(node(1, 179.9, 10) + node(2, -179.9, 10) + way(5, [1, 2]) + way(6, [2, 1]));
    const { data, meta } = (await taken(await written(text), [edge])).get(edge.id)!;
    assert.deepEqual(
      data.ways.map(({ id }) => id),
      [5, 6],
    );
    assert.equal(meta.query.match(/node\(/g)!.length, 2);
  });

  it('keeps cells that are there, and reads them again when forced', async () => {
    const folder = await folderOf([cell]);
    const source = await written(file(node(1, lon, lat)));
    const first = await fetchOsmByQuadkey(33, folder, { source });
    await writeFile(source, file(node(2, lon, lat)));
    assert.deepEqual(await fetchOsmByQuadkey(33, folder, { source }), first);
    assert.equal((await readOsm(folder, cell)).nodes[0].id, 1);
    await fetchOsmByQuadkey(33, folder, { source, force: true });
    assert.equal((await readOsm(folder, cell)).nodes[0].id, 2);
  });

  it('says where the data come from: file, day, the query that they answer', async () => {
    const folder = await folderOf([cell]);
    const head = `<meta osm_base="2014-11-05T10:47:02Z"/>${bounds([west - 1, south - 1, east + 1, north + 1])}`;
    await fetchOsmByQuadkey(33, folder, { source: await written(file(node(1, lon, lat), head)) });
    const meta = await readOsmMeta(folder, cell);
    assert.deepEqual([meta.endpoint, meta.timestamp_osm_base], ['made.osm', '2014-11-05T10:47:02Z']);
    assert.equal(meta.query, overpassQuery([west, south, east, north]));
    assert.deepEqual(meta.counts, { nodes: 1, ways: 0, relations: 0 });
    assert.match(meta.attribution, /ODbL/);
  });

  it('refuses the cells that it does not cover, naming them, after it has read the others', async () => {
    const other = cellAt([15.9, 48.4]);
    const folder = await folderOf([cell, other]);
    const source = await written(file(node(1, lon, lat), bounds([west - 0.01, south - 0.01, east + 0.01, north + 1])));
    assert.ok(lonLatBounds(other)[0] > east + 0.01);
    await assert.rejects(fetchOsmByQuadkey(33, folder, { source }), new RegExp(`does not cover ${other.id}: give`));
    assert.equal((await readOsm(folder, cell)).nodes.length, 1);
    assert.equal(existsSync(join(folder, 'ard/33', other.quadkey, 'osm_data.json')), false);
  });

  describe('that ends within a cell', () => {
    const half = (): Promise<string> => written(file(node(1, lon, lat), bounds([west - 1, lat - 0.001, east + 1, north + 1])), 'half.osm'); // prettier-ignore
    const full = (): Promise<string> => written(file(node(1, lon, lat) + node(2, lon, lat - 0.01), bounds([west - 1, south - 1, east + 1, north + 1]))); // prettier-ignore

    it('is read as far as it goes, and says so: in the origin, in a note, and by the command', async () => {
      const folder = await folderOf([cell]);
      const notes: string[] = [];
      const source = await half();
      await fetchOsmByQuadkey(33, folder, { source, onProgress: ({ note = '' }) => void notes.push(note) });
      const { covered, endpoint } = await readOsmMeta(folder, cell);
      assert.ok(covered! > 0.4 && covered! < 0.6, `${covered}`);
      assert.match(endpoint, /^half\.osm \(covers \d\d % of the cell\)$/);
      assert.ok(notes.includes(`${cell.id} is not whole: ${endpoint}`), notes.join('\n'));
      const cli = join(import.meta.dirname, '../../kernel-lib/bin/imagesim.js');
      const ran = spawnSync(process.execPath, [cli, 'osm', '--zone', '33', '--source', source], { env: { ...process.env, IMAGESIM_DATA: folder } }); // prettier-ignore
      assert.match(String(ran.stderr), new RegExp(`${cell.id} is not whole: an extract covered \\d\\d\\.\\d % of it`));
      assert.equal(ran.status, 0);
    });

    it('leaves a cell that a run on more reads again, and one on as much does not', async () => {
      const folder = await folderOf([cell]);
      const source = await half();
      await fetchOsmByQuadkey(33, folder, { source });
      const { fetchedAt } = await readOsmMeta(folder, cell);
      await fetchOsmByQuadkey(33, folder, { source });
      assert.equal((await readOsmMeta(folder, cell)).fetchedAt, fetchedAt);
      await fetchOsmByQuadkey(33, folder, { source: await full() });
      assert.equal((await readOsmMeta(folder, cell)).covered, 1);
      assert.equal((await readOsm(folder, cell)).nodes.length, 2);
      await fetchOsmByQuadkey(33, folder, { source });
      assert.equal((await readOsm(folder, cell)).nodes.length, 2, 'and less takes nothing away');
    });
  });

  it('says of a file without bounds that it may not cover the cell', async () => {
    const { meta } = (await taken(await written(file('')), [cell])).get(cell.id)!;
    assert.equal(meta.endpoint, 'made.osm (states no bounds: whether it covers the cell is not known)');
  });

  const faults: [string, string | Buffer | undefined, string, RegExp][] = [
    ['a file that is not there', undefined, 'no.osm.pbf', /no\.osm\.pbf is not there: fetch/],
    ['another ending', 'x', 'a.geojson', /a\.geojson: expected a file that ends in \.osm\.pbf, \.osm or \.osm\.gz$/],
    ['what is no pbf', '<html>', 'a.osm.pbf', /a\.osm\.pbf is no OpenStreetMap file: it does not begin/],
    ['an empty pbf', '', 'a.osm.pbf', /a\.osm\.pbf is no OpenStreetMap file/],
    ['another XML', '<html></html>', 'a.osm', /a\.osm is no OpenStreetMap file: it holds <html>, not <osm>$/],
    ['what is no XML', '{"a": 1}', 'a.osm', /a\.osm is no OpenStreetMap file: it is no XML$/],
    ['an .osm that is cut off', file(node(1, 1, 1)).slice(0, -9), 'a.osm', /a\.osm is damaged or cut off \(it ends/],
    ['what is no gzip', 'plain', 'a.osm.gz', /a\.osm\.gz is damaged or cut off \(incorrect header check\): fetch/],
    ['a gzip that is cut off', gzipSync(file('')).subarray(0, -9), 'a.osm.gz', /a\.osm\.gz is damaged or cut off/],
    ['ids out of order', file(node(2, 1, 1) + node(1, 1, 1)), 'a.osm', /out of order at node 1: sort it: osmium sort$/],
    [
      'new elements of an editor',
      file(node(-1, 1, 1) + node(-2, 1, 1)),
      'a.osm',
      /out of order at node -2: give its new elements ids: osmium renumber$/,
    ],
    [
      'ways without nodes',
      file(way(3, [1, 2])),
      'a.osm',
      /a\.osm has 1 ways and the nodes of few: make it with osmium add-locations-to-ways -n/,
    ],
    [
      'ways that say themselves where they run',
      file(node(9, 1, 1) + way(3, [1, 2]).replaceAll('/>', ' lat="1" lon="1"/>')),
      'a.osm',
      /a\.osm has 1 ways and the nodes of few/,
    ],
    ['kinds out of order', file(way(2, [1]) + node(3, 1, 1)), 'a.osm', /out of order at node 3: sort it/],
  ];
  for (const [what, content, name, message] of faults) {
    it(`refuses ${what}, in one line`, async () => {
      const path = content === undefined ? `/nowhere/${name}` : await written(content, name);
      const error = await taken(path, [cell]).catch((fault: unknown) => fault as Error);
      assert.ok(error instanceof Error);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
    });
  }

  it('keeps every tag of an XML, whatever its key or its text is called', async () => {
    const tags = `<tag k="__proto__" v="x"/><tag k="constructor" v="&constructor; &amp;"/>`;
    const { nodes } = await read(file(node(1, lon, lat, tags)));
    assert.equal(JSON.stringify(nodes[0].tags), '{"__proto__":"x","constructor":"&constructor; &"}');
  });

  it('does not go on when another file takes the place of the one that is read', async () => {
    const text = file(node(1, lon, lat) + node(2, lon, lat) + way(5, [1, 2]));
    const source = await written(text);
    let isDone = false;
    const note = (words: string): void => {
      if (isDone || !words.includes('first of')) return;
      isDone = true;
      writeFileSync(source, `${text}\n`);
    };
    await assert.rejects(taken(source, [cell], { note }), /made\.osm was changed while it was read: run again$/);
  });

  it('keeps a map that is newer than the file, and says so', async () => {
    const folder = await folderOf([cell]);
    const of = (day: string, id: number): Promise<string> => written(file(node(id, lon, lat), `<meta osm_base="${day}T00:00:00Z"/>`)); // prettier-ignore
    await fetchOsmByQuadkey(33, folder, { source: await of('2024-01-01', 1) });
    const notes: string[] = [];
    const onProgress = ({ note = '' }): void => void notes.push(note);
    await fetchOsmByQuadkey(33, folder, { source: await of('2014-01-01', 2), since: '2026-01-01', onProgress });
    assert.equal((await readOsm(folder, cell)).nodes[0].id, 1);
    assert.match(notes.join('\n'), /keeps its map of 2024-01-01T00:00:00Z: .*made\.osm is of 2014-01-01T00:00:00Z, before 2026-01-01/); // prettier-ignore
    await fetchOsmByQuadkey(33, folder, { source: await of('2025-01-01', 3), since: '2026-01-01' });
    assert.equal((await readOsm(folder, cell)).nodes[0].id, 3);
  });

  it('refuses a date: a file has the map of one day', async () => {
    const folder = await folderOf([cell]);
    await assert.rejects(fetchOsmByQuadkey(33, folder, { source: 'a.osm', date: '2020-01-01' }), /leave out date/);
  });

  it('stops when told', async () => {
    const folder = await folderOf([cell]);
    const options: FetchOsmOptions = {
      source: await written(file('')),
      signal: AbortSignal.abort(new Error('enough')),
    };
    await assert.rejects(fetchOsmByQuadkey(33, folder, options), /enough/);
  });
});

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

// What Overpass answers, worked out from the XML the plain way, with nothing of the library's.

interface Naive {
  type: string;
  id: number;
  lat?: number;
  lon?: number;
  tags?: Record<string, string>;
  nodes?: number[];
  geometry?: (LatLon | null)[];
  bounds?: object;
  members?: { type: string; ref: number; role: string }[];
}
interface LatLon {
  lat: number;
  lon: number;
}

function naiveElements(text: string): Naive[] {
  const all: Naive[] = [];
  const places = new Map<number, LatLon>();
  for (const [, name, rest] of text.matchAll(/<(node|way|relation|nd|member|tag) ([^>]*)>/g)) {
    const of = (key: string): string => naiveText(new RegExp(`(?:^| )${key}=(['"])(.*?)\\1`).exec(rest)?.[2] ?? '');
    const last = all[all.length - 1];
    if (name === 'tag') (last.tags ??= {})[of('k')] = of('v');
    else if (name === 'nd') last.nodes!.push(Number(of('ref')));
    else if (name === 'member') last.members!.push({ type: of('type'), ref: Number(of('ref')), role: of('role') });
    else all.push({ type: name, id: Number(of('id')), ...naiveBody(name, of) });
    if (name === 'node') places.set(Number(of('id')), { lat: Number(of('lat')), lon: Number(of('lon')) });
  }
  for (const element of all) if (element.nodes) element.geometry = element.nodes.map((id) => places.get(id) ?? null);
  return all;
}

function naiveBody(name: string, of: (key: string) => string): Partial<Naive> {
  if (name === 'node') return { lat: Number(of('lat')), lon: Number(of('lon')) };
  return name === 'way' ? { nodes: [] } : { members: [] };
}

function naiveText(text: string): string {
  const named = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name: keyof typeof named) => named[name]);
}

function naiveAnswer(all: Naive[], cell: Cell): string {
  const [west, south, east, north] = lonLatBounds(cell);
  const box = [Math.floor(west * 1e7), Math.floor(south * 1e7), Math.ceil(east * 1e7), Math.ceil(north * 1e7)] as const;
  const kept = all.filter((element) => element.type !== 'relation' && naiveTouches(element, box)).map(naiveWay);
  const keys = new Set(kept.map(({ type, id }) => `${type} ${id}`));
  const groups = all.filter(({ members }) => members?.some(({ type, ref }) => keys.has(`${type} ${ref}`))).map(withLines(all)); // prettier-ignore
  const osm3s = { timestamp_osm_base: '2014-01-01T00:00:00Z', copyright: 'ODbL' };
  return JSON.stringify({ version: 0.6, osm3s, elements: [...kept, ...groups] });
}

/** A multipolygon comes with the lines of its ways, wherever they are. */
function withLines(all: Naive[]): (group: Naive) => Naive {
  const lines = new Map(all.filter(({ type }) => type === 'way').map(({ id, geometry }) => [id, geometry]));
  return (group) => {
    if (group.tags?.['type'] !== 'multipolygon') return group;
    const members = group.members?.map((member) => {
      const geometry = member.type === 'way' ? lines.get(member.ref) : undefined;
      return geometry ? { ...member, geometry } : member;
    });
    return { ...group, ...(members ? { members } : {}) };
  };
}

function naiveWay(element: Naive): Naive {
  const known = element.geometry?.filter((place) => place !== null);
  if (!known) return element;
  const [lats, lons] = [known.map(({ lat }) => lat), known.map(({ lon }) => lon)];
  const least = { minlat: Math.min(...lats), minlon: Math.min(...lons) };
  return { ...element, bounds: { ...least, maxlat: Math.max(...lats), maxlon: Math.max(...lons) } };
}

type Box = readonly [number, number, number, number];

/** In whole ten-millionths of a degree; a segment is cut by the rectangle's four half-planes in turn (Liang–Barsky). */
function naiveTouches({ lat, lon, geometry }: Naive, box: Box): boolean {
  const line = geometry ?? [{ lat: lat!, lon: lon! }];
  return line.some((to, index) => {
    const from = line[index - 1] ?? to;
    return to !== null && crosses(whole(from!), whole(to), box);
  });
}

const whole = ({ lon, lat }: LatLon): [number, number] => [Math.round(lon * 1e7), Math.round(lat * 1e7)];

function crosses([x, y]: [number, number], [x2, y2]: [number, number], [west, south, east, north]: Box): boolean {
  const sides = [[x - x2, x - west], [x2 - x, east - x], [y - y2, y - south], [y2 - y, north - y]]; // prettier-ignore
  let [enter, leave] = [0, 1];
  for (const [slope, room] of sides) {
    if (slope === 0 && room < 0) return false;
    if (slope < 0) enter = Math.max(enter, room / slope);
    if (slope > 0) leave = Math.min(leave, room / slope);
  }
  return enter <= leave;
}
