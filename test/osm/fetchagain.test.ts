import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type Progress, parseCell, partName } from 'imagesim/ard';
import {
  type FetchOsmOptions,
  OverpassError,
  countTags,
  fetchOsmByQuadkey,
  fetchOverpass,
  readOsm,
} from 'imagesim/osm';
import { FIRST, SECOND, THIRD, fetchGround, remark } from './fetchground.ts';
import { type Behaviour, node, whole } from './stand-in.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));

describe('osm fetch of a zone that was fetched before', () => {
  const ground = fetchGround();
  const { start, run, file, read, readMeta } = ground;

  it('makes no request the second time, and returns the same; takes the ard folder as well', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST, SECOND);
    const first = await run();
    assert.deepEqual(await run(), first);
    assert.deepEqual(
      await fetchOsmByQuadkey(33, join(ground.folder, 'ard'), { endpoint: ground.server.endpoint }),
      first,
    );
    assert.equal(ground.server.asked.length, 2);
    assert.deepEqual(
      countTags([await readOsm(ground.folder, parseCell(FIRST)), await readOsm(ground.folder, parseCell(SECOND))]),
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
    assert.equal(ground.server.asked.length, 2);
    assert.match((await readMeta(FIRST)).query, /\[date:"2020-01-01T00:00:00Z"\]/);
  });

  it('fetches with since the cells whose map is older, and keeps the others', async () => {
    const days = ['2025-12-31T23:59:59Z', '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'];
    await start((response, index) => response.end(whole([node(index)], days[Math.min(index, 2)])), FIRST, SECOND);
    await run();
    await run({ since: '2026-01-01' });
    await run({ since: '2026-01-01T00:00:00Z' });
    assert.equal(ground.server.asked.length, 3);
    assert.deepEqual([(await read(FIRST)).nodes[0].id, (await read(SECOND)).nodes[0].id], [2, 1]);
    await run({ since: '2026-01-01', force: true });
    assert.equal(ground.server.asked.length, 5);
  });

  it('takes for the age of another day’s map that day, so that since replaces it', async () => {
    await start((response, index) => response.end(whole([node(index)], '2026-02-01T00:00:00Z')), FIRST);
    await run({ date: '2020-01-01' });
    await run({ since: '2019-01-01' });
    assert.equal(ground.server.asked.length, 1);
    await run({ since: '2026-01-01' });
    assert.doesNotMatch((await readMeta(FIRST)).query, /date/);
    assert.equal(ground.server.asked.length, 2);
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
    assert.equal(ground.server.asked.length, 0);
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
    assert.equal(ground.server.asked.length, 4 + 3 - 1); // whole, two quarters, the third twice, the fourth
    assert.equal(ground.server.asked[3].query, ground.server.asked[4].query);
    assert.deepEqual((await read(FIRST)).nodes.map(({ id }) => id), [1, 2, 4, 5]); // prettier-ignore
    assert.deepEqual((await readdir(join(ground.folder, 'ard', FIRST))).sort(), [
      'osm_data.json',
      'osm_data.meta.json',
    ]);
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
      const endpoint = name === 'of another server' ? `${ground.server.endpoint}?other` : ground.server.endpoint;
      await run({ ...options, endpoint });
      assert.equal(ground.server.asked.length, 4 + requests);
      assert.ok((await read(FIRST)).nodes.every(({ id }) => id >= 4));
      assert.equal((await readdir(join(ground.folder, 'ard', FIRST))).length, 2);
    });
  }

  it('removes what a killed run left beside a map that is whole', async () => {
    await start((response) => response.end(whole()), FIRST);
    await run();
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit'); // its number is nobody's from now on
    const mark = /\.([0-9a-f]{8})-\d+-/.exec(partName(file(FIRST)))![1];
    await writeFile(join(ground.folder, 'ard', FIRST, `.osm_data.json.${mark}-${child.pid}-abc-0.part`), '{"quadk');
    await run();
    assert.deepEqual((await readdir(join(ground.folder, 'ard', FIRST))).sort(), [
      'osm_data.json',
      'osm_data.meta.json',
    ]);
  });

  describe('by imagesim osm', () => {
    const program = (...args: string[]): ChildProcess =>
      spawn(process.execPath, [cli, 'osm', '--zone', '33', '--endpoint', ground.server.endpoint, ...args], {
        env: { ...process.env, IMAGESIM_DATA: ground.folder },
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
        asked.push(ground.server.asked.length);
      }
      assert.deepEqual(asked, [1, 1, 2, 2, 3, 3, 4]);
      assert.deepEqual(ground.server.asked.map(({ query }) => query.includes('[date:"2020-01-01T00:00:00Z"]')), [false, true, false, false]); // prettier-ignore
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
      assert.equal(ground.server.asked.length, 0);
    });

    it('says why and until when it waits, once, though no terminal is there', async () => {
      let child: ChildProcess | undefined;
      await start((response, index) => {
        if (index > 0) response.end(whole());
        else child!.stderr!.once('data', () => setTimeout(() => response.end(whole()), 500));
      }, FIRST);
      child = program();
      const held = fetchOverpass(ground.server.endpoint, 'query'); // the other one has to wait for this answer
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
    assert.ok(ground.server.asked.length <= 4, `${ground.server.asked.length} requests`);
    for (const cell of [FIRST, SECOND, THIRD]) assert.equal((await read(cell)).nodes.length, 1);
  });

  it('repeats at most one request after the process was killed in the middle, and leaves no half file', async () => {
    const script = `import { fetchOsmByQuadkey } from 'imagesim/osm';
      await fetchOsmByQuadkey(33, process.argv[1], { endpoint: process.argv[2] });`;
    let child: ChildProcess | undefined;
    const behave: Behaviour = (response, index) =>
      index === 1 ? void child?.kill('SIGKILL') : response.end(whole([node(index)]));
    await start(behave, FIRST, SECOND, THIRD);
    child = spawn(process.execPath, ['--input-type=module', '-e', script, ground.folder, ground.server.endpoint], {
      stdio: 'inherit',
    });
    await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
    assert.deepEqual(
      [FIRST, SECOND, THIRD].map((cell) => existsSync(file(cell))),
      [true, false, false],
    );
    await run();
    assert.equal(ground.server.asked.length, 4);
    for (const cell of [FIRST, SECOND, THIRD]) assert.equal((await read(cell)).nodes.length, 1);
  });

  it('repairs what a kill between the two files leaves: an origin without data is fetched', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST);
    await run();
    await rm(file(FIRST));
    await run();
    assert.equal(ground.server.asked.length, 2);
    assert.deepEqual((await readdir(join(ground.folder, 'ard', FIRST))).sort(), [
      'osm_data.json',
      'osm_data.meta.json',
    ]);
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
      await assert.rejects(readOsm(ground.folder, parseCell(FIRST)), (error: Error) => {
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
    assert.equal((await readdir(join(ground.folder, 'ard', FIRST))).length, 2);
  });

  it('fetches again a cell of which nothing says where its map comes from', async () => {
    await start((response, index) => response.end(whole([node(index)])), FIRST);
    await run();
    await rm(file(FIRST, 'osm_data.meta.json'));
    await run();
    assert.equal((await read(FIRST)).nodes[0].id, 1);
    assert.match((await readMeta(FIRST)).attribution, /ODbL/);
  });
});
