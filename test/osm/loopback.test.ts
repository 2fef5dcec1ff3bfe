import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Polygon } from 'geojson';
import { type Cell, parseCell, toUtm } from 'imagesim/ard';
import {
  type LoopbackOverpass,
  OverpassError,
  chipCoverage,
  elements,
  fetchOsmByQuadkey,
  fetchOverpass,
  overpassQuery,
  readOsm,
  readOsmMeta,
  serveOverpass,
} from 'imagesim/osm';
import { dataFolder, needs, realFile, removeFolder, whole } from './stand-in.ts';

const places = (...lonLats: [number, number][]) => lonLats.map(([lon, lat]) => ({ lat, lon }));
const way = (id: number, ...lonLats: [number, number][]) => ({ type: 'way', id, geometry: places(...lonLats) });
const tree = (id: number, lon: number, lat: number) => ({ type: 'node', id, lat, lon });
const group = (id: number, type: string, ref: number) => ({
  type: 'relation',
  id,
  members: [{ type, ref, role: '' }],
  tags: { type: 'site' },
});

describe('osm loopback', () => {
  let folder: string;
  let server: LoopbackOverpass;
  const start = async (files: Record<string, string>): Promise<void> => {
    folder = await dataFolder();
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    server = await serveOverpass(folder);
  };
  const ask = (query: string) => fetchOverpass(server.endpoint, query, { retries: 0 });
  const keys = async (): Promise<string[]> =>
    (await ask(overpassQuery([10, 40, 11, 41]))).elements.map(({ type, id }) => `${type}/${id}`);

  describe('with a folder of answers', () => {
    afterEach(async () => {
      await server?.close();
      await removeFolder(folder);
    });

    it('returns what lies in the rectangle: nodes inside, ways that touch it, relations of either', async () => {
      await start({
        'Z32-031133012203.json': whole([
          tree(1, 10.5, 40.5),
          tree(2, 11.5, 40.5),
          way(3, [9, 40.5], [12, 40.5]),
          way(4, [10.2, 40.2], [20, 50]),
          way(5, [9, 40], [9, 41]),
          way(6, [9.5, 40.5], [10.5, 42]),
          way(8, [0, 0], [0, 80], [80, 80], [80, 0], [0, 0]),
          group(1, 'node', 1),
          group(2, 'node', 2),
          group(3, 'way', 3),
          group(5, 'way', 5),
        ]),
      });
      assert.deepEqual(await keys(), ['node/1', 'way/3', 'way/4', 'relation/1', 'relation/3']);
    });

    it('merges files without duplicates, with the oldest timestamp of those it read, and reads no other file', async () => {
      await start({
        'Z32-031133012203.json': whole([tree(1, 10.5, 40.5), tree(2, 10.6, 40.5)], '2024-01-02T00:00:00Z'),
        'Z32-031133012212.json': whole([tree(2, 10.6, 40.5), tree(3, 10.7, 40.5)], '2024-03-02T00:00:00Z'),
        'notes.json': 'not JSON',
        'Z32-0311330122.json': whole([tree(9, 10.5, 40.5)]),
      });
      await symlink(join(folder, 'Z32-0311330122.json'), join(folder, 'Z32-031133012211.json'));
      assert.deepEqual(await keys(), ['node/1', 'node/2', 'node/3']);
      const time = async (...bounds: [number, number, number, number]): Promise<string> =>
        (await ask(overpassQuery(bounds))).osm3s.timestamp_osm_base;
      assert.equal(await time(10, 40, 11, 41), '2024-01-02T00:00:00Z');
      assert.equal(await time(10.65, 40, 11, 41), '2024-03-02T00:00:00Z');
      assert.equal(await time(0, 0, 1, 1), '2024-01-02T00:00:00Z'); // where there is nothing, the oldest of all
    });

    it('gives ways that came with ids only the places of their nodes', async () => {
      await start({
        'Z32-031133012203.json': whole([
          tree(1, 10.5, 40.5),
          tree(2, 10.6, 40.5),
          { type: 'way', id: 3, nodes: [1, 2] },
        ]),
      });
      const [, , found] = (await ask(overpassQuery([10, 40, 11, 41]))).elements;
      assert.deepEqual(found, { type: 'way', id: 3, nodes: [1, 2], geometry: places([10.5, 40.5], [10.6, 40.5]) });
    });

    it('gives multipolygons the lines of their ways, from whichever file, and other relations none', async () => {
      const members = [3, 4, 5].map((ref) => ({ type: 'way', ref, role: 'outer' }));
      const groups = ['multipolygon', 'route'].map((type, at) => ({
        type: 'relation',
        id: at,
        members,
        tags: { type },
      }));
      const inside = way(3, [10.2, 40.2], [10.4, 40.4]);
      await start({
        'Z32-031133012203.json': whole([inside, way(4, [10.4, 40.4], [20, 50]), ...groups]),
        'Z32-031133012212.json': whole([way(5, [20, 50], [10.9, 40.9], [20, 51])]),
      });
      const [area, route] = (await ask(overpassQuery([10, 40, 11, 41]))).elements.filter(
        (element) => element.type === 'relation',
      );
      assert.deepEqual(
        area.members.map(({ geometry }) => geometry?.length),
        [2, 2, 3],
      );
      assert.deepEqual(route.members, members);
    });

    it('answers 400 to a query that it does not understand, and to another date', async () => {
      await start({ 'Z32-031133012203.json': whole() });
      const refused = (message: RegExp) => (error: unknown) =>
        error instanceof OverpassError && error.kind === 'syntax' && message.test(error.message);
      await assert.rejects(ask('[out:json];node(1);out;'), refused(/not the query for everything in a rectangle/));
      await assert.rejects(ask(overpassQuery([0, 0, 1, 1], { date: '2020-01-01' })), refused(/keeps no history/));
    });

    it('answers 413 to a question that is too long, and 400 to an address that is none', async () => {
      await start({ 'Z32-031133012203.json': whole() });
      const { status } = await fetch(server.endpoint, { method: 'POST', body: `data=${'x'.repeat(2_000_000)}` });
      assert.equal(status, 413);
      const { port } = new URL(server.endpoint);
      const [response] = (await once(get({ port, host: '127.0.0.1', path: '//' }), 'response')) as [IncomingMessage];
      response.resume();
      assert.equal(response.statusCode, 400);
    });

    it('serves a status page without a limit, and nothing by a path', async () => {
      await start({ 'Z32-031133012203.json': whole() });
      assert.match(await (await fetch(new URL('/api/status', server.endpoint))).text(), /^Rate limit: 0$/m);
      for (const path of [
        '/',
        '/Z32-031133012203.json',
        '/api/../Z32-031133012203.json',
        '/api/interpreter/..%2f..%2fetc',
      ]) {
        assert.equal((await fetch(new URL(path, server.endpoint))).status, 404);
      }
      assert.equal(new URL(server.endpoint).hostname, '127.0.0.1');
    });

    it('names a folder that is none, an empty one, and a file that is no whole answer', async () => {
      await start({ 'Z32-031133012203.json': whole() });
      await assert.rejects(serveOverpass(join(folder, 'none')), /no folder of Overpass answers at .*none/);
      await mkdir(join(folder, 'empty'));
      await assert.rejects(serveOverpass(join(folder, 'empty')), /no Overpass answer in .*empty/);
      await writeFile(join(folder, 'Z32-031133012212.json'), whole([], '2024', 'runtime error: out of memory'));
      await assert.rejects(serveOverpass(folder), /Z32-031133012212\.json is not a whole answer/);
      await writeFile(join(folder, 'Z32-031133012212.json'), '{"elements":[]}');
      await assert.rejects(serveOverpass(folder), /Z32-031133012212\.json is no Overpass answer/);
    });
  });

  describe('with the delivery of Joplin', function () {
    const cell: Cell = parseCell('Z15-031133102123');
    before(async function () {
      needs(this, 'joplin-ard/overpass');
      folder = await dataFolder('15/031133102123');
      server = await serveOverpass(realFile('joplin-ard/overpass'));
    });
    after(async () => {
      await server?.close();
      await removeFolder(folder);
    });

    it('fetches 2,823 building outlines into the cell, and reads them the second time', async () => {
      const { endpoint } = server;
      const tags = await fetchOsmByQuadkey(15, folder, { endpoint });
      assert.deepEqual(tags, {
        nodeTags: [],
        wayTags: [{ key: 'building', value: 'yes', count: 2823, cells: 1 }],
        relationTags: [],
      });
      await server.close();
      assert.deepEqual(await fetchOsmByQuadkey(15, folder, { endpoint, retries: 0 }), tags);
      const meta = await readOsmMeta(folder, cell);
      assert.deepEqual(
        [meta.counts, meta.timestamp_osm_base],
        [{ nodes: 0, ways: 2823, relations: 0 }, '2020-04-01T00:00:00Z'],
      );
    });

    it('places all of them in chips', async () => {
      const osm = await readOsm(folder, cell);
      const found = elements(osm);
      assert.deepEqual([found.elements.length, found.broken.length], [2823, 0]);
      assert.ok(found.elements.every(({ geometry }) => geometry.type === 'Polygon'));
      const rows = chipCoverage(osm, cell);
      const [west, south, east, north] = cell.cellBounds;
      const reaching = found.elements.filter(({ geometry }) =>
        (geometry as Polygon).coordinates[0].some((at) => {
          const [x, y] = toUtm(cell.epsg, at as [number, number]);
          return x > west && x < east && y > south && y < north;
        }),
      );
      assert.deepEqual(
        new Set(rows.map(({ element }) => element)),
        new Set(reaching.map((element) => found.elements.indexOf(element))),
      );
      assert.ok(reaching.length > 2000 && rows.every(({ area }) => area > 0 && area <= 1));
    });
  });
});
