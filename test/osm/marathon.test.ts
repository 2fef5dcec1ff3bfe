import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bounds, cellOf, squareBounds, toLonLat } from 'imagesim/ard';
import { type OsmElement, type OsmNode, type ZoneTags, fetchOsmByQuadkey, readOsm, readOsmMeta } from 'imagesim/osm';
import seedrandom from 'seedrandom';
import { type Behaviour, type StandIn, dataFolder, removeFolder, standIn, whole } from './stand-in.ts';

const proof = process.env.IMAGESIM_PROOF !== undefined;
const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const ZONE = 33;
const DAY = '2026-01-01T00:00:00Z';
const tooMuch = 'runtime error: Query run out of memory in "query" at line 2 using about 512 MB of RAM.';
const page = '<html><body><p><strong>Error</strong>: runtime error: duplicate_query</p></body></html>';

/** The first so many cells under quadkey 0311, in order. */
function quadkeysOf(count: number): string[] {
  return Array.from({ length: count }, (_, k) => `0311${k.toString(4).padStart(8, '0')}`);
}

/** What a server holds of a cell: nodes on the lines at which it is cut in four, a way through them, and its relation. */
function elementsOf(quadkey: string, index: number): OsmElement[] {
  const { epsg } = cellOf(ZONE, quadkey);
  const [left, bottom, right, top] = squareBounds(quadkey);
  const places = [0.2, 0.4, 0.5, 0.6, 0.8].map((t) => [left + t * (right - left), (bottom + top) / 2] as const);
  const nodes = places.map(([x, y], k): OsmNode => {
    const [lon, lat] = toLonLat(epsg, [x, y]);
    return { type: 'node', id: 10 * index + k + 1, lat, lon, tags: { place: `p${k}` } };
  });
  const geometry = nodes.map(({ lat, lon }) => ({ lat, lon }));
  const [id, ids] = [10 * index + 1, nodes.map((node) => node.id)];
  return [
    ...nodes,
    { type: 'way', id, nodes: ids, geometry, tags: { highway: 'path' } },
    { type: 'relation', id, members: [{ type: 'way', ref: id, role: '' }], tags: { type: 'route' } },
  ];
}

const boxOf = (query: string): Bounds => {
  const [south, west, north, east] = /node\(([^)]*)\)/.exec(query)![1].split(',').map(Number);
  return [west, south, east, north];
};

/** A world of cells, and what of it lies in a query's box: whole ways and relations with any node in it. */
function worldOf(quadkeys: string[]): { of: Map<string, OsmElement[]>; within: (query: string) => OsmElement[] } {
  const of = new Map(quadkeys.map((quadkey, index) => [quadkey, elementsOf(quadkey, index)]));
  const within = (query: string): OsmElement[] => {
    const [west, south, east, north] = boxOf(query);
    const isIn = ({ lat, lon }: OsmNode): boolean => lat >= south && lat <= north && lon >= west && lon <= east;
    return [...of.values()].flatMap((all) => {
      const nodes = all.filter((element) => element.type === 'node').filter(isIn);
      return nodes.length === 0 ? [] : [...nodes, ...all.filter(({ type }) => type !== 'node')];
    });
  };
  return { of, within };
}

/** Every way in which a server fails that may pass; each is handed what would be the whole answer. */
const failures: Record<string, (response: ServerResponse, answer: string) => unknown> = {
  429: (response) => response.writeHead(429).end('rate_limited'),
  504: (response) => response.writeHead(504).end(page),
  html: (response) => response.end(page),
  truncated: (response, answer) => response.end(answer.slice(0, answer.length / 2)),
  refused: (response) => response.destroy(),
  dropped: (response, answer) => {
    response.writeHead(200, { 'Content-Length': answer.length });
    response.write(answer.slice(0, answer.length / 2), () => response.destroy());
  },
  remark: (response, answer) => {
    const { elements } = JSON.parse(answer) as { elements: unknown[] };
    response.end(whole(elements.slice(0, 2), DAY, tooMuch));
  },
};

const sorted = (elements: OsmElement[]): OsmElement[] =>
  elements.sort((a, b) => a.type.localeCompare(b.type) || a.id - b.id);

describe('osm marathon', () => {
  let server: StandIn;
  let folder: string;
  afterEach(async () => {
    await server.close();
    await removeFolder(folder);
  });

  /** Every cell holds what the server holds, by the schema, and nothing lies beside it. */
  const assertComplete = async (of: Map<string, OsmElement[]>): Promise<void> => {
    for (const [quadkey, expected] of of) {
      const cell = cellOf(ZONE, quadkey);
      const { nodes, ways, relations } = await readOsm(folder, cell);
      assert.deepEqual(sorted([...nodes, ...ways, ...relations]), sorted([...expected]));
      assert.deepEqual((await readOsmMeta(folder, cell)).counts, { nodes: 5, ways: 1, relations: 1 });
      const files = await readdir(join(folder, 'ard', `${ZONE}`, quadkey));
      assert.deepEqual(files.sort(), ['osm_data.json', 'osm_data.meta.json']);
    }
  };

  const cells = proof ? 500 : 40;
  it(`fetches ${cells} cells, each whole, from a server that fails a third of requests in every way there is`, async () => {
    const quadkeys = quadkeysOf(cells);
    const { of, within } = worldOf(quadkeys);
    const random = seedrandom('a third');
    const kinds = Object.keys(failures);
    const failed = new Map<string, number>();
    const behave: Behaviour = (response, _index, { query }) => {
      const answer = whole(within(query), DAY);
      if (random() >= 1 / 3) {
        response.end(answer);
        return;
      }
      const kind = kinds[Math.floor(random() * kinds.length)];
      failed.set(kind, (failed.get(kind) ?? 0) + 1);
      failures[kind](response, answer);
    };
    server = await standIn(behave);
    folder = await dataFolder(...quadkeys.map((quadkey) => `${ZONE}/${quadkey}`));
    const tags: ZoneTags = await fetchOsmByQuadkey(ZONE, folder, {
      endpoint: server.endpoint,
      minRateWaitMs: 2,
      baseWaitMs: 1,
    });
    await assertComplete(of);
    assert.deepEqual(tags.wayTags, [{ key: 'highway', value: 'path', count: cells, cells }]);
    assert.ok(tags.nodeTags.every(({ count }) => count === cells));
    const [asked, bad] = [server.asked.length, [...failed.values()].reduce((a, b) => a + b, 0)];
    const splits = failed.get('remark') ?? 0;
    assert.equal(failed.size, kinds.length, [...failed].join('; '));
    assert.ok(bad > asked / 4 && bad < asked / 2, `${bad} of ${asked} failed`);
    assert.equal(asked, cells + bad + 3 * splits); // no more than the failures cost: a cell cut in four asks for three more
    if (proof)
      console.log(`      ${asked} requests, ${bad} failed: ${[...failed].map((pair) => pair.join(' ')).join(', ')}`);
  });

  const kills = proof ? 100 : 10;
  it(`repeats at most one request after each of ${kills} kills at random moments, and ends with whole files alone`, async () => {
    const quadkeys = quadkeysOf(2 * kills);
    const { of, within } = worldOf(quadkeys);
    const random = seedrandom('kills');
    const isTooMuch = (query: string): boolean => {
      const [west, south, east, north] = boxOf(query);
      const index = Math.floor((within(query)[0]?.id ?? 0) / 10);
      return (east - west) * (north - south) > 0.0015 && index % 3 === 0; // every third cell, quarters never
    };
    let child: ChildProcess | undefined;
    let left = Infinity; // requests until the kill
    const kill = (): void => void child?.kill('SIGKILL');
    const behave: Behaviour = (response, _index, { query }) => {
      const answer = isTooMuch(query) ? whole(within(query).slice(0, 1), DAY, tooMuch) : whole(within(query), DAY);
      const isLast = --left === 0;
      if (isLast && random() < 0.3) return kill(); // while it waits for the answer
      response.end(answer);
      if (isLast) setTimeout(kill, random() * 8); // while it reads, writes, or asks for the next
    };
    server = await standIn(behave);
    folder = await dataFolder(...quadkeys.map((quadkey) => `${ZONE}/${quadkey}`));
    const run = async (requests: number): Promise<ChildProcess> => {
      left = requests;
      const env = { ...process.env, IMAGESIM_DATA: folder, IMAGESIM_OVERPASS: server.endpoint };
      child = spawn(process.execPath, [cli, 'osm', '--zone', String(ZONE)], {
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      await once(child, 'exit');
      return child;
    };
    const repeats = (): number => server.asked.length - new Set(server.asked.map(({ query }) => query)).size;
    for (let round = 1; round <= kills; round++) {
      const before = repeats();
      assert.equal((await run(1 + Math.floor(random() * 3))).signalCode, 'SIGKILL', `round ${round} ended by itself`);
      assert.ok(repeats() - before <= 1, `round ${round} repeated ${repeats() - before} requests`);
    }
    const before = repeats();
    assert.equal((await run(Infinity)).exitCode, 0);
    assert.ok(repeats() - before <= 1);
    await assertComplete(of);
    const asked = new Set(server.asked.map(({ query }) => query)).size;
    assert.equal(asked, quadkeys.length + 4 * Math.ceil(quadkeys.length / 3)); // every third was cut in four
    if (proof)
      console.log(`      ${server.asked.length} requests, ${repeats()} of them repeated, after ${kills} kills`);
  });
});
