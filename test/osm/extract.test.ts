import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Bounds, cellAt, lonLatBounds } from 'imagesim/ard';
import {
  type FetchOsmOptions,
  type OsmData,
  fetchOsmByQuadkey,
  overpassQuery,
  readOsm,
  readOsmMeta,
} from 'imagesim/osm';
import { folderOf, taken, written } from './extracted.ts';

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
