import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Cell, lonLatBounds, parseCell, squareBounds, toUtm } from 'imagesim/ard';
import { OSM_ATTRIBUTION, OverpassError, fetchCell, fetchOsmByQuadkey, readOsm, readOsmMeta } from 'imagesim/osm';
import { FIRST, SECOND, THIRD, fetchGround, quick, remark } from './fetchground.ts';
import { type Behaviour, node, whole } from './stand-in.ts';

const way = {
  type: 'way',
  id: 5,
  nodes: [1, 2],
  geometry: [
    { lat: 36.9, lon: 12.3 },
    { lat: 36.91, lon: 12.3 },
  ],
  tags: { highway: 'path' },
};
const group = {
  type: 'relation',
  id: 6,
  members: [{ type: 'way', ref: 5, role: '' }],
  tags: { type: 'route', route: 'hiking' },
};

describe('osm fetch', () => {
  const ground = fetchGround();
  const { start, run, file, read, readMeta } = ground;

  it('writes exactly the keys quadkey, nodes, ways, relations, with every element as it came', async () => {
    const raw = [{ ...node(1), version: 3, further: [1] }, { type: 'node', id: 2, lat: 36.91, lon: 12.3 }, way, group];
    await start((response) => response.end(whole(raw)), FIRST);
    await run();
    const data = await read(FIRST);
    assert.deepEqual(Object.keys(data), ['quadkey', 'nodes', 'ways', 'relations']);
    assert.deepEqual([data.quadkey, ...data.nodes, ...data.ways, ...data.relations], ['031133012203', ...raw]);
    assert.deepEqual(await readOsm(ground.folder, parseCell(FIRST)), data);
  });

  it('says beside them where they come from', async () => {
    await start((response) => response.end(whole([node(1), way], '2024-05-06T07:08:09Z')), FIRST);
    await run();
    const meta = await readMeta(FIRST);
    assert.deepEqual(Object.keys(meta), [
      'endpoint',
      'query',
      'timestamp_osm_base',
      'fetchedAt',
      'counts',
      'attribution',
    ]);
    assert.deepEqual(meta.counts, { nodes: 1, ways: 1, relations: 0 });
    assert.equal(meta.timestamp_osm_base, '2024-05-06T07:08:09Z');
    assert.equal(meta.endpoint, ground.server.endpoint);
    assert.equal(meta.query, ground.server.asked[0].query);
    assert.equal(meta.attribution, OSM_ATTRIBUTION);
    assert.deepEqual(await readOsmMeta(ground.folder, parseCell(FIRST)), meta);
  });

  it('returns tags by type of element, the most frequent first, an element that cells share counted once', async () => {
    const oak = { natural: 'tree', genus: 'Quercus' };
    await start(
      (response, index) =>
        response.end(whole(index === 0 ? [node(1), node(2, oak), way] : [node(2, oak), node(3), group])),
      FIRST,
      SECOND,
    );
    assert.deepEqual(await run(), {
      nodeTags: [
        { key: 'natural', value: 'tree', count: 3, cells: 2 },
        { key: 'genus', value: 'Quercus', count: 1, cells: 2 },
      ],
      wayTags: [{ key: 'highway', value: 'path', count: 1, cells: 1 }],
      relationTags: [
        { key: 'route', value: 'hiking', count: 1, cells: 1 },
        { key: 'type', value: 'route', count: 1, cells: 1 },
      ],
    });
  });

  it('counts each tag in each cell too, for who asks: a table of the rows shows sums alone', async () => {
    await start(
      (response, index) => response.end(whole(index === 0 ? [node(1), node(2), way] : [node(2), node(3), node(4)])),
      FIRST,
      SECOND,
    );
    const { nodeTags, wayTags } = await run();
    const perCell = { [FIRST.slice(3)]: 2, [SECOND.slice(3)]: 3 };
    assert.deepEqual(Object.fromEntries(nodeTags[0].byCell), perCell);
    assert.deepEqual(Object.fromEntries(wayTags[0].byCell), { [FIRST.slice(3)]: 1 });
    assert.deepEqual(Object.keys(nodeTags[0]), ['key', 'value', 'count', 'cells']);
  });

  /** What is never stored, with the requests that it costs when it comes every time: the retries are 1. */
  const bad: Record<string, [behave: Behaviour, requests: number]> = {
    'a partial answer with a runtime error': [(response) => response.end(whole([node(1)], '2024', remark)), 2],
    'an HTML page with status 200': [(response) => response.end('<html><body>Error: no</body></html>'), 2],
    'truncated JSON': [(response) => response.end(whole([node(1)]).slice(0, 90)), 2],
    'status 400': [(response) => response.writeHead(400).end(whole([node(1)])), 1],
    'status 406': [(response) => response.writeHead(406).end(whole([node(1)])), 1],
    'status 429': [(response) => response.writeHead(429).end(whole([node(1)])), 2],
    'status 504': [(response) => response.writeHead(504).end(whole([node(1)])), 2],
    'a dropped connection': [(response) => response.destroy(), 2],
    'a redirect in a circle': [(response) => response.writeHead(302, { Location: '/api/interpreter' }).end(), 6],
    'a slow drip': [(response) => response.write(' '), 2],
  };
  for (const [name, [behave, requests]] of Object.entries(bad)) {
    it(`stores nothing of ${name}, and names the cell`, async () => {
      await start(behave, FIRST);
      await assert.rejects(run({ splits: 1, timeoutMs: 100 }), (error: Error) => {
        assert.ok(error instanceof OverpassError && !error.message.includes('\n'));
        return error.message.startsWith('Z33-031133012203: ');
      });
      const tries = name.startsWith('status 40') || name.includes('redirect') ? 1 : 2; // put off to the end once
      const split = name.includes('runtime') ? 1 : 0; // of which only the square that is too much is asked for again
      assert.equal(ground.server.asked.length, requests * tries - split);
      assert.ok(!existsSync(file(FIRST)) && !existsSync(file(FIRST, 'osm_data.meta.json')));
    });
  }

  it('puts a cell that keeps failing off to the end, and goes on', async () => {
    await start((response, index) => (index < 2 ? response.writeHead(504).end() : response.end(whole([node(index)]))), FIRST, SECOND); // prettier-ignore
    const notes: string[] = [];
    await run({ onProgress: ({ note }) => note && notes.push(note) });
    assert.deepEqual([(await read(SECOND)).nodes[0].id, (await read(FIRST)).nodes[0].id], [2, 3]);
    assert.ok(notes.some((note) => /^Z33-031133012203 is put off to the end: .* answered 504/.test(note)), notes.join('; ')); // prettier-ignore
  });

  it('ends when two cells in a row keep failing', async () => {
    await start((response) => response.writeHead(504).end(), FIRST, SECOND, THIRD);
    await assert.rejects(run(), /^OverpassError: Z33-031133012212: .* answered 504/);
    assert.equal(ground.server.asked.length, 4);
  });

  it('splits a cell that is too much into its four children, and stores every element once', async () => {
    const answers = [[node(1), node(2)], [node(2), way], [way, group], [{ type: 'way', id: 1 }]];
    await start(
      (response, index) =>
        response.end(
          index === 0 ? whole([node(99)], '2024', remark) : whole(answers[index - 1], `2024-01-0${5 - index}`),
        ),
      FIRST,
    );
    await run();
    const data = await read(FIRST);
    assert.deepEqual(
      [data.nodes, data.ways, data.relations].map((list) => Array.from<{ id: number }, number>(list, ({ id }) => id)),
      [[1, 2], [5, 1], [6]],
    );
    const meta = await readMeta(FIRST);
    assert.equal(meta.timestamp_osm_base, '2024-01-01');
    assert.equal(meta.query, ground.server.asked[0].query);
  });

  it('asks for children that cover the cell in UTM', async () => {
    await start((response, index) => response.end(index === 0 ? whole([], '2024', remark) : whole()), FIRST);
    await run();
    const cell: Cell = parseCell(FIRST);
    ['0', '1', '2', '3'].forEach((digit, k) => {
      const [south, west, north, east] = /node\(([^)]*)\)/
        .exec(ground.server.asked[k + 1].query)![1]
        .split(',')
        .map(Number) as [number, number, number, number];
      const [left, bottom, right, top] = squareBounds(cell.quadkey + digit);
      const corners = [
        [west, south],
        [west, north],
        [east, south],
        [east, north],
      ].map((corner) => toUtm(cell.epsg, corner as [number, number]));
      assert.ok(Math.min(...corners.map(([x]) => x)) <= left && Math.max(...corners.map(([x]) => x)) >= right);
      assert.ok(Math.min(...corners.map(([, y]) => y)) <= bottom && Math.max(...corners.map(([, y]) => y)) >= top);
      assert.ok((east - west) * (north - south) < 0.0016);
    });
  });

  it('stores nothing when even the smallest square is too much', async () => {
    await start((response) => response.end(whole([node(1)], '2024', remark)), FIRST);
    await assert.rejects(run({ splits: 2 }), (error) => error instanceof OverpassError && error.kind === 'remark');
    assert.equal(ground.server.asked.length, 4); // the smallest once more at the end
    assert.ok(!existsSync(file(FIRST)));
  });

  it('fetches the others though one cell is too much even in its smallest squares, and names it at the end', async () => {
    const [south] = lonLatBounds(parseCell(FIRST)).slice(1);
    const isFirst = (query: string): boolean => Math.abs(Number(/node\((-?[\d.]+)/.exec(query)![1]) - south) < 0.001;
    await start(
      (response, index, { query }) => response.end(isFirst(query) ? whole([], '2024', remark) : whole([node(index)])),
      FIRST,
      THIRD,
    );
    await assert.rejects(
      run({ splits: 0 }),
      /^OverpassError: Z33-031133012203: .* broke off .* \(1 of 2 cells are there\)$/,
    );
    assert.equal((await read(THIRD)).nodes.length, 1);
    assert.ok(!existsSync(file(FIRST)));
  });

  it('keeps every tag, whatever its key is called, when it is stored and when it is read', async () => {
    const tags = '{"__proto__":"x","constructor":"y","toString":"z","natural":"tree"}';
    await start((response) => response.end(whole([]).replace('[]', `[{"type":"node","id":1,"lat":36.9,"lon":12.3,"tags":${tags}}]`)), FIRST); // prettier-ignore
    const { nodeTags } = await run();
    assert.deepEqual(nodeTags.map(({ key }) => key).sort(), ['__proto__', 'constructor', 'natural', 'toString']); // prettier-ignore
    assert.deepEqual((await run()).nodeTags, nodeTags);
    assert.match(await readFile(file(FIRST), 'utf8'), /"tags":\{"__proto__":"x","constructor":"y"/);
  });

  it('keeps beside the data what the server remarked, and under which terms it gave them', async () => {
    const answer = (osm3s: object): string => JSON.stringify({ osm3s: { timestamp_osm_base: '2024-01-01T00:00:00Z', ...osm3s }, elements: [], remark: ' be kind ' }); // prettier-ignore
    await start((response) => response.end(answer({ copyright: 'Others’ data, CC0' })), FIRST);
    await run();
    const { remark: kept, attribution } = await readMeta(FIRST);
    assert.deepEqual([kept, attribution], ['be kind', 'Others’ data, CC0']);
  });

  it('asks for both sides of the antimeridian', async () => {
    await start((response, index) => response.end(whole([node(1), node(index)])));
    const { data, meta } = await fetchCell(parseCell('Z60-300202333111'), {
      ...quick,
      endpoint: ground.server.endpoint,
    });
    const boxes = ground.server.asked.map(({ query }) => /node\(([^)]*)\)/.exec(query)![1]);
    assert.deepEqual(boxes, [
      '-17.0276774,179.9579522,-16.9818536,180.0000000',
      '-17.0276774,-180.0000000,-16.9818536,-179.9944224',
    ]);
    assert.deepEqual(
      data.nodes.map(({ id }) => id),
      [1, 0],
    );
    assert.equal(meta.query, ground.server.asked.map(({ query }) => query).join('\n'));
  });

  it('says while it waits for which cell, why and until when', async () => {
    await start((response, index) => (index === 0 ? response.writeHead(429).end() : response.end(whole())), FIRST);
    const notes: string[] = [];
    await run({ onProgress: ({ note }) => note && notes.push(note) });
    assert.ok(
      notes.some((note) => /^Z33-031133012203 waits until \d{4}-.*Z: .* answered 429/.test(note)),
      notes.join('; '),
    );
  });

  it('reports every cell', async () => {
    await start((response) => response.end(whole()), FIRST, SECOND);
    const done: number[] = [];
    await run({ onProgress: (progress) => progress.note ?? done.push(progress.done) });
    assert.deepEqual(done, [1, 2]);
  });

  it('says to sync first when the zone has no cell, and refuses what is no zone', async () => {
    await start((response) => response.end(whole()));
    await assert.rejects(run(), /no cell under .*\/ard\/33: sync a delivery first/);
    await assert.rejects(fetchOsmByQuadkey(61, ground.folder), /no such UTM zone: 61/);
    await assert.rejects(
      readOsm(ground.folder, parseCell(FIRST)),
      /osm_data\.json is missing: fetch it with imagesim osm --zone 33/,
    );
  });
});
