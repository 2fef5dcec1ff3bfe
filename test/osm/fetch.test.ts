import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type Cell, type Progress, lonLatBounds, parseCell, partName, squareBounds, toUtm } from 'imagesim/ard';
import {
  type FetchOsmOptions,
  type OsmData,
  type OsmMeta,
  OSM_ATTRIBUTION,
  OverpassError,
  countTags,
  fetchCell,
  fetchOsmByQuadkey,
  fetchOverpass,
  readOsm,
  readOsmMeta,
} from 'imagesim/osm';
import { type Behaviour, type StandIn, dataFolder, node, removeFolder, standIn, whole } from './stand-in.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const FIRST = '33/031133012203';
const SECOND = '33/031133012212';
const THIRD = '33/031133012221';
const quick: FetchOsmOptions = { minRateWaitMs: 5, baseWaitMs: 5, retries: 1, timeoutMs: 2000 };
const remark = 'runtime error: Query run out of memory in "query" at line 2 using about 512 MB of RAM.';
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
  let server: StandIn;
  let folder: string;
  const start = async (behave: Behaviour, ...cells: string[]): Promise<void> => {
    server = await standIn(behave);
    folder = await dataFolder(...cells);
  };
  const run = (options: FetchOsmOptions = {}) =>
    fetchOsmByQuadkey(33, folder, { endpoint: server.endpoint, ...quick, ...options });
  const file = (cell: string, name = 'osm_data.json'): string => join(folder, 'ard', cell, name);
  const read = async (cell: string): Promise<OsmData> => JSON.parse(await readFile(file(cell), 'utf8'));
  const readMeta = async (cell: string): Promise<OsmMeta> =>
    JSON.parse(await readFile(file(cell, 'osm_data.meta.json'), 'utf8'));
  afterEach(async () => {
    await server.close();
    await removeFolder(folder);
  });

  it('writes exactly the keys quadkey, nodes, ways, relations, with every element as it came', async () => {
    const raw = [{ ...node(1), version: 3, further: [1] }, { type: 'node', id: 2, lat: 36.91, lon: 12.3 }, way, group];
    await start((response) => response.end(whole(raw)), FIRST);
    await run();
    const data = await read(FIRST);
    assert.deepEqual(Object.keys(data), ['quadkey', 'nodes', 'ways', 'relations']);
    assert.deepEqual([data.quadkey, ...data.nodes, ...data.ways, ...data.relations], ['031133012203', ...raw]);
    assert.deepEqual(await readOsm(folder, parseCell(FIRST)), data);
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
    assert.equal(meta.endpoint, server.endpoint);
    assert.equal(meta.query, server.asked[0].query);
    assert.equal(meta.attribution, OSM_ATTRIBUTION);
    assert.deepEqual(await readOsmMeta(folder, parseCell(FIRST)), meta);
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
      assert.equal(server.asked.length, requests * tries - split);
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
    assert.equal(server.asked.length, 4);
  });

  it('makes no request the second time, and returns the same; takes the ard folder as well', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST, SECOND);
    const first = await run();
    assert.deepEqual(await run(), first);
    assert.deepEqual(await fetchOsmByQuadkey(33, join(folder, 'ard'), { endpoint: server.endpoint }), first);
    assert.equal(server.asked.length, 2);
    assert.deepEqual(
      countTags([await readOsm(folder, parseCell(FIRST)), await readOsm(folder, parseCell(SECOND))]),
      first,
    );
  });

  it('fetches all again when forced', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST);
    await run();
    await run({ force: true });
    assert.deepEqual(
      (await read(FIRST)).nodes.map(({ id }) => id),
      [1],
    );
  });

  it('fetches another day when asked for one, and only once', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST);
    await run();
    await run({ date: '2020-01-01' });
    await run({ date: '2020-01-01T00:00:00Z' });
    await run();
    assert.equal(server.asked.length, 2);
    assert.match((await readMeta(FIRST)).query, /\[date:"2020-01-01T00:00:00Z"\]/);
  });

  it('fetches with since the cells whose map is older, and keeps the others', async () => {
    const days = ['2025-12-31T23:59:59Z', '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'];
    await start((response, index) => response.end(whole([node(index)], days[Math.min(index, 2)])), FIRST, SECOND);
    await run();
    await run({ since: '2026-01-01' });
    await run({ since: '2026-01-01T00:00:00Z' });
    assert.equal(server.asked.length, 3);
    assert.deepEqual([(await read(FIRST)).nodes[0].id, (await read(SECOND)).nodes[0].id], [2, 1]);
    await run({ since: '2026-01-01', force: true });
    assert.equal(server.asked.length, 5);
  });

  it('takes for the age of another day’s map that day, so that since replaces it', async () => {
    await start((response, index) => response.end(whole([node(index)], '2026-02-01T00:00:00Z')), FIRST);
    await run({ date: '2020-01-01' });
    await run({ since: '2019-01-01' });
    assert.equal(server.asked.length, 1);
    await run({ since: '2026-01-01' });
    assert.doesNotMatch((await readMeta(FIRST)).query, /date/);
    assert.equal(server.asked.length, 2);
  });

  it('says that the server’s own map is older than asked for', async () => {
    await start((response) => response.end(whole([], '2024-01-01T00:00:00Z')), FIRST);
    const notes: string[] = [];
    await run({ since: '2026-01-01', onProgress: ({ note }) => note && notes.push(note) });
    assert.equal(notes.at(-1), "Z33-031133012203: the server's own map is of 2024-01-01T00:00:00Z, before 2026-01-01");
  });

  it('refuses times that are none, and date with since, before any request', async () => {
    await start((response) => response.end(whole()), FIRST);
    for (const since of ['soon', '2026', '2026-02-30', '01/02/2026', '']) {
      await assert.rejects(run({ since }), /^RangeError: no such date: ".*"; expected ISO 8601/);
    }
    await assert.rejects(run({ date: 'soon' }), /no such date: "soon"/);
    await assert.rejects(run({ date: '2020-01-01', since: '2026-01-01' }), /^RangeError: date 2020-01-01 and since 2026-01-01 contradict each other/); // prettier-ignore
    assert.equal(server.asked.length, 0);
  });

  it('goes on within a cell that is cut in four after it was stopped, and repeats one request', async () => {
    const stop = new AbortController();
    const behave: Behaviour = (response, index) => {
      if (index === 3) return stop.abort(new Error('killed'));
      response.end(index === 0 ? whole([], '2024', remark) : whole([node(index)]));
    };
    await start(behave, FIRST);
    await assert.rejects(run({ signal: stop.signal }), /killed/);
    await run();
    assert.equal(server.asked.length, 4 + 3 - 1); // whole, two quarters, the third twice, the fourth
    assert.equal(server.asked[3].query, server.asked[4].query);
    assert.deepEqual((await read(FIRST)).nodes.map(({ id }) => id), [1, 2, 4, 5]); // prettier-ignore
    assert.deepEqual((await readdir(join(folder, 'ard', FIRST))).sort(), ['osm_data.json', 'osm_data.meta.json']);
  });

  const others: [name: string, options: FetchOsmOptions, requests: number][] = [
    ['of another day', { date: '2020-01-01' }, 1],
    ['of a map that is too old', { since: '2026-01-01' }, 4],
    ['of another server', {}, 1],
    ['from before, when forced', { force: true }, 1],
  ];
  for (const [name, options, requests] of others) {
    it(`does not go on with parts ${name}`, async () => {
      let isBroken = true;
      await start((response, index) => {
        if (isBroken && index === 3) response.writeHead(400).end();
        else response.end(index === 0 ? whole([], '2024', remark) : whole([node(index)]));
      }, FIRST);
      await assert.rejects(run(), /answered 400/);
      isBroken = false;
      const endpoint = name === 'of another server' ? `${server.endpoint}?other` : server.endpoint;
      await run({ ...options, endpoint });
      assert.equal(server.asked.length, 4 + requests);
      assert.ok((await read(FIRST)).nodes.every(({ id }) => id >= 4));
      assert.equal((await readdir(join(folder, 'ard', FIRST))).length, 2);
    });
  }

  it('removes what a killed run left beside a map that is whole', async () => {
    await start((response) => response.end(whole()), FIRST);
    await run();
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit'); // its number is nobody's from now on
    const mark = /\.([0-9a-f]{8})-\d+-/.exec(partName(file(FIRST)))![1];
    await writeFile(join(folder, 'ard', FIRST, `.osm_data.json.${mark}-${child.pid}-abc-0.part`), '{"quadk');
    await run();
    assert.deepEqual((await readdir(join(folder, 'ard', FIRST))).sort(), ['osm_data.json', 'osm_data.meta.json']);
  });

  describe('by imagesim osm', () => {
    const program = (...args: string[]): ChildProcess =>
      spawn(process.execPath, [cli, 'osm', '--zone', '33', '--endpoint', server.endpoint, ...args], {
        env: { ...process.env, IMAGESIM_DATA: folder },
      });
    const ended = async (child: ChildProcess): Promise<[code: number | null, stderr: string]> => {
      const [said] = await Promise.all([text(child.stderr!), once(child, 'close')]);
      return [child.exitCode, said];
    };

    it('takes --date, --since and --force', async () => {
      await start((response, index) => response.end(whole([node(index)])), FIRST);
      const asked: number[] = [];
      for (const args of [
        [],
        [],
        ['--date', '2020-01-01'],
        ['--since', '2019-01-01'],
        ['--since', '2023-01-01'],
        ['--since', '2023-01-01'],
        ['--force'],
      ]) {
        assert.deepEqual(await ended(program(...args)), [0, '']);
        asked.push(server.asked.length);
      }
      assert.deepEqual(asked, [1, 1, 2, 2, 3, 3, 4]);
      assert.deepEqual(server.asked.map(({ query }) => query.includes('[date:"2020-01-01T00:00:00Z"]')), [false, true, false, false]); // prettier-ignore
    });

    it('refuses --date with --since, and a time that is none, in one line', async () => {
      await start((response) => response.end(whole()), FIRST);
      const [code, line] = await ended(program('--date', '2020-01-01', '--since', '2026-01-01'));
      assert.equal(code, 1);
      assert.match(line, /^imagesim: date 2020-01-01 and since 2026-01-01 contradict each other[^\n]*\n$/);
      assert.match(
        (await ended(program('--since', 'spring')))[1],
        /^imagesim: no such date: "spring"; expected [^\n]*\n$/,
      );
      assert.equal(server.asked.length, 0);
    });

    it('says why and until when it waits, once, though no terminal is there', async () => {
      let child: ChildProcess | undefined;
      await start((response, index) => {
        if (index > 0) response.end(whole());
        else child!.stderr!.once('data', () => setTimeout(() => response.end(whole()), 500));
      }, FIRST);
      child = program();
      const held = fetchOverpass(server.endpoint, 'query'); // the other one has to wait for this answer
      const [code, said] = await ended(child);
      await held;
      assert.equal(code, 0);
      assert.match(said, /^Z33-031133012203 waits until \d{4}-\S+Z: another imagesim on this machine asks [^\n]*\n$/);
    });
  });

  it('repeats at most one request after it was stopped in the middle', async () => {
    await start(
      (response, index) => void setTimeout(() => response.end(whole([node(index)])), 5),
      FIRST,
      SECOND,
      THIRD,
    );
    const stop = new AbortController();
    const onProgress = ({ done, note }: Progress): void => {
      if (done === 1 && note?.endsWith('fetching')) setTimeout(() => stop.abort(new Error('killed')), 2);
    };
    await assert.rejects(run({ signal: stop.signal, onProgress }), /killed/);
    await run();
    assert.ok(server.asked.length <= 4, `${server.asked.length} requests`);
    for (const cell of [FIRST, SECOND, THIRD]) assert.equal((await read(cell)).nodes.length, 1);
  });

  it('repeats at most one request after the process was killed in the middle, and leaves no half file', async () => {
    const script = `import { fetchOsmByQuadkey } from 'imagesim/osm';
      await fetchOsmByQuadkey(33, process.argv[1], { endpoint: process.argv[2] });`;
    let child: ChildProcess | undefined;
    const behave: Behaviour = (response, index) =>
      index === 1 ? void child?.kill('SIGKILL') : response.end(whole([node(index)]));
    await start(behave, FIRST, SECOND, THIRD);
    child = spawn(process.execPath, ['--input-type=module', '-e', script, folder, server.endpoint], {
      stdio: 'inherit',
    });
    await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
    assert.deepEqual(
      [FIRST, SECOND, THIRD].map((cell) => existsSync(file(cell))),
      [true, false, false],
    );
    await run();
    assert.equal(server.asked.length, 4);
    for (const cell of [FIRST, SECOND, THIRD]) assert.equal((await read(cell)).nodes.length, 1);
  });

  it('repairs what a kill between the two files leaves: an origin without data is fetched', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST);
    await run();
    await rm(file(FIRST));
    await run();
    assert.equal(server.asked.length, 2);
    assert.deepEqual((await readdir(join(folder, 'ard', FIRST))).sort(), ['osm_data.json', 'osm_data.meta.json']);
  });

  for (const [name, content] of [
    ['half a file', '{"quadkey":"031133012203","nodes":[{"ty'],
    ['a fifth key', '{"quadkey":"031133012203","nodes":[],"ways":[],"relations":[],"more":1}'],
    ["another cell's data", '{"quadkey":"031133012212","nodes":[],"ways":[],"relations":[]}'],
    ['a node without a place', '{"quadkey":"031133012203","nodes":[{"type":"node","id":1}],"ways":[],"relations":[]}'],
  ] as const) {
    it(`names a damaged file (${name}) and fetches it again`, async () => {
      await start((response) => response.end(whole([node(1)])), FIRST);
      await writeFile(file(FIRST), content);
      await assert.rejects(readOsm(folder, parseCell(FIRST)), (error: Error) => {
        assert.ok(error.message.startsWith(file(FIRST)) && !error.message.includes('\n'), error.message);
        assert.match(error.message, /imagesim osm --force$/);
        return true;
      });
      const notes: string[] = [];
      await run({ onProgress: ({ note }) => note && notes.push(note) });
      assert.ok(
        notes.some((note) => note.includes(file(FIRST))),
        notes.join('; '),
      );
      assert.equal((await read(FIRST)).nodes.length, 1);
    });
  }

  it('leaves what is there untouched when the server fails, and nothing half-written', async () => {
    await start(
      (response, index) => (index === 0 ? response.end(whole([node(9)])) : response.writeHead(400).end()),
      FIRST,
    );
    await run();
    await assert.rejects(
      run({ force: true }),
      (error) => error instanceof OverpassError && error.message.startsWith('Z33-031133012203: '),
    );
    assert.equal((await read(FIRST)).nodes[0].id, 9);
    assert.equal((await readdir(join(folder, 'ard', FIRST))).length, 2);
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
    assert.equal(meta.query, server.asked[0].query);
  });

  it('asks for children that cover the cell in UTM', async () => {
    await start((response, index) => response.end(index === 0 ? whole([], '2024', remark) : whole()), FIRST);
    await run();
    const cell: Cell = parseCell(FIRST);
    ['0', '1', '2', '3'].forEach((digit, k) => {
      const [south, west, north, east] = /node\(([^)]*)\)/
        .exec(server.asked[k + 1].query)![1]
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
    assert.equal(server.asked.length, 4); // the smallest once more at the end
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

  it('fetches again a cell of which nothing says where its map comes from', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST);
    await run();
    await rm(file(FIRST, 'osm_data.meta.json'));
    await run();
    assert.equal((await read(FIRST)).nodes[0].id, 1);
    assert.match((await readMeta(FIRST)).attribution, /ODbL/);
  });

  it('asks for both sides of the antimeridian', async () => {
    await start((response, index) => response.end(whole([node(1), node(index)])));
    const { data, meta } = await fetchCell(parseCell('Z60-300202333111'), { ...quick, endpoint: server.endpoint });
    const boxes = server.asked.map(({ query }) => /node\(([^)]*)\)/.exec(query)![1]);
    assert.deepEqual(boxes, [
      '-17.0276774,179.9579522,-16.9818536,180.0000000',
      '-17.0276774,-180.0000000,-16.9818536,-179.9944224',
    ]);
    assert.deepEqual(
      data.nodes.map(({ id }) => id),
      [1, 0],
    );
    assert.equal(meta.query, server.asked.map(({ query }) => query).join('\n'));
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
    await assert.rejects(fetchOsmByQuadkey(61, folder), /no such UTM zone: 61/);
    await assert.rejects(
      readOsm(folder, parseCell(FIRST)),
      /osm_data\.json is missing: fetch it with imagesim osm --zone 33/,
    );
  });
});
