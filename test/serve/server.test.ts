import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type MapServer, type Mosaic, OverloadError, Queue, type ServeOptions, encode, mapTileAt, openMosaic, serveApp, startServer } from 'imagesim/serve'; // prettier-ignore
import autocannon from 'autocannon';
import type { Hono } from 'hono';
import seedrandom from 'seedrandom';
import sharp from 'sharp';
import { type Bucket, openBucket } from '../bucket.ts';
import { emptyFolder, sampleDelivery } from '../delivery.ts';
import { NEWEST, hasGdal, pathOf } from './squares.ts';

const proof = process.env.IMAGESIM_PROOF !== undefined;
const HERE: [number, number] = [12.178, 44.2855];
const tile = mapTileAt(HERE, 17);

let mosaic: Mosaic;
before(async () => {
  mosaic = await openMosaic(await sampleDelivery());
});
after(() => mosaic.close());

/** The answers of an app of its own. */
const appOf = (options: Partial<ServeOptions> = {}): Hono => serveApp({ mosaic, ...options });
const jsonOf = async (answer: Response): Promise<Record<string, unknown>> => (await answer.json()) as Record<string, unknown>; // prettier-ignore

/** A server on a free port, closed after `work`. */
async function serving(work: (server: MapServer) => Promise<void>, options: Partial<ServeOptions> = {}): Promise<void> {
  const server = await startServer(appOf(options), { port: 0 });
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

describe('map tiles over HTTP', () => {
  it('come as PNG, JPEG and WebP, of 256 or 512 pixels', async () => {
    const app = appOf();
    for (const [ending, type, size] of [
      ['png', 'image/png', 256],
      ['jpg', 'image/jpeg', 256],
      ['webp', 'image/webp', 256],
      ['png', 'image/png', 512],
    ] as const) {
      // prettier-ignore
      const answer = await app.request(size === 512 ? pathOf(tile).replace('.png', '@2x.png') : pathOf(tile, ending));
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, type]);
      const { width, height, hasAlpha } = await sharp(await answer.arrayBuffer()).metadata();
      assert.deepEqual([width, height, hasAlpha], [size, size, false]);
    }
  });

  it('are transparent where nothing is, and of the background as JPEG', async () => {
    const app = appOf();
    const empty = await (await app.request('/tiles/17/1/1.png')).arrayBuffer();
    assert.ok(empty.byteLength < 1000, `${empty.byteLength} bytes`);
    assert.ok((await sharp(empty).raw().toBuffer()).every((value) => value === 0));
    const red = await (await app.request('/tiles/17/1/1.jpg?background=ff0000')).arrayBuffer();
    const [r, g, b] = await sharp(red).raw().toBuffer();
    assert.ok(r > 250 && g < 5 && b < 5);
  });

  it('by TMS are those of XYZ, counted from the south', async () => {
    const app = appOf();
    const xyz = await (await app.request(pathOf(tile))).arrayBuffer();
    const tms = await (await app.request(`/tms/1.0.0/ard/17/${tile.x}/${2 ** 17 - 1 - tile.y}.png`)).arrayBuffer();
    assert.deepEqual(Buffer.from(tms), Buffer.from(xyz));
  });

  it('are not sent again to who has them, and are kept for an hour', async () => {
    const app = appOf();
    const first = await app.request(pathOf(tile));
    const etag = first.headers.get('etag') ?? '';
    assert.match(etag, /^"[\w-]{22}"$/);
    assert.equal(first.headers.get('cache-control'), 'public, max-age=3600');
    const again = await app.request(pathOf(tile), { headers: { 'if-none-match': `"other", W/${etag}` } });
    assert.deepEqual([again.status, (await again.arrayBuffer()).byteLength], [304, 0]);
    const other = await app.request(`${pathOf(tile)}?select=oldest`, { headers: { 'if-none-match': etag } });
    assert.equal(other.status, 200);
  });

  it('answer what cannot be with 400 or 404 and the reason', async () => {
    const app = appOf();
    const cases: [path: string, status: number, reason: RegExp][] = [
      ['/tiles/23/0/0.png', 404, /no map tile 23\/0\/0: zooms go from 0 to 22/],
      ['/tiles/3/8/0.png', 404, /no map tile 3\/8\/0/],
      ['/tms/1.0.0/ard/3/0/8.png', 404, /no map tile 3\/0\/8/],
      ['/tiles/3/1/-1.png', 400, /expected whole numbers/],
      ['/tiles/3/1/1.gif', 400, /png, jpg or webp/],
      ['/tiles/1e1/1/1.png', 400, /expected whole numbers/],
      ['/tiles/3/1/..%2f..%2f..%2fetc%2fpasswd', 400, /expected whole numbers/],
      ['/tiles/3/1/1.png?select=best', 400, /select: .*newest/],
      ['/tiles/3/1/1.png?from=2023-02-30', 400, /from: expected a day/],
      ['/tiles/3/1/1.png?from=2023-02-03&to=2022-01-01', 400, /from is later than to/],
      ['/tiles/3/1/1.jpg?background=red', 400, /background is red/],
      ['/point/200,1', 400, /no place 200,1/],
      ['/point/here', 400, /expected degrees, longitude first/],
      ['/point/1,1', 404, /no acquisition shows 1, 1/],
      ['/ard/33', 404, /nothing is at \/ard\/33/],
    ];
    for (const [path, status, reason] of cases) {
      const answer = await app.request(path);
      assert.equal(answer.status, status, path);
      assert.match(String((await jsonOf(answer)).error), reason, path);
    }
  });

  it('let other origins read them where that is asked for, and not else', async () => {
    const headers = { origin: 'https://elsewhere.example' };
    assert.equal((await appOf().request(pathOf(tile), { headers })).headers.get('access-control-allow-origin'), null);
    const open = await appOf({ cors: true }).request(pathOf(tile), { headers });
    assert.equal(open.headers.get('access-control-allow-origin'), '*');
  });

  it('that fail by a damaged file are 500 with its name, told on standard error as well', async () => {
    const told: string[] = [];
    const broken = {
      ...mosaic,
      render: async () => Promise.reject(new Error('x-visual.tif holds a damaged JPEG block')),
    };
    const answer = await serveApp({ mosaic: broken, onFault: (line) => told.push(line) }).request(pathOf(tile));
    assert.equal(answer.status, 500);
    assert.match(String((await jsonOf(answer)).error), /x-visual\.tif/);
    assert.deepEqual(told.length, 1);
  });
});

describe('the documents', () => {
  it('have addresses as the browser has them: through a tunnel, and behind a proxy with a prefix', async () => {
    const app = appOf();
    const tilesOf = async (headers: Record<string, string>): Promise<unknown> =>
      ((await jsonOf(await app.request('http://127.0.0.1:8080/tilejson.json?select=oldest', { headers }))).tiles as string[])[0]; // prettier-ignore
    assert.equal(
      await tilesOf({ host: 'localhost:9000' }),
      'http://localhost:9000/tiles/{z}/{x}/{y}.png?select=oldest',
    );
    const proxied = { host: '127.0.0.1:8080', 'x-forwarded-host': 'hub.example', 'x-forwarded-proto': 'https', 'x-forwarded-context': '/user/me/proxy/8080' }; // prettier-ignore
    assert.equal(await tilesOf(proxied), 'https://hub.example/user/me/proxy/8080/tiles/{z}/{x}/{y}.png?select=oldest');
    const bad = await app.request('/tilejson.json', { headers: { 'x-forwarded-prefix': '/"><script>' } });
    assert.equal(bad.status, 400);
  });

  it('state bounds, zooms and scheme as TileJSON 3.0 has them', async () => {
    const app = appOf();
    const xyz = await jsonOf(await app.request('/tilejson.json'));
    const tms = await jsonOf(await app.request('/tms/1.0.0/ard/tilejson.json'));
    assert.deepEqual([xyz.tilejson, xyz.scheme, tms.scheme, xyz.minzoom, xyz.maxzoom, xyz.attribution], ['3.0.0', 'xyz', 'tms', 0, 19, 'licence CC0-1.0']); // prettier-ignore
    const [west, south, east, north] = xyz.bounds as number[];
    assert.ok(west < HERE[0] && HERE[0] < east && south < HERE[1] && HERE[1] < north);
  });

  it('are a MosaicJSON whose squares hold the rasters that lie there, none of them by an absolute path', async () => {
    const found = await jsonOf(await appOf().request('/mosaic.json'));
    assert.deepEqual([found.mosaicjson, found.quadkey_zoom], ['0.0.3', 12]);
    const squares = Object.entries(found.tiles as Record<string, string[]>);
    // one digit a zoom: the bit of x, and twice that of y
    const bits = (value: number): number[] => value.toString(2).padStart(12, '0').split('').map(Number);
    const { x, y } = mapTileAt(HERE, 12);
    const quadkey = bits(x).map((bit, at) => bit + 2 * bits(y)[at]).join(''); // prettier-ignore
    const here = squares.find(([key]) => key === quadkey)?.[1] ?? [];
    assert.ok(
      here.length === 4 && here.every((path) => /^ard\/33\/[0-3]{12}\/.*-visual\.tif$/.test(path)),
      here.join(),
    );
    assert.match(here[0], /2023-05-21/, 'the newest first');
  });

  it('tell how the server is', async () => {
    const health = await jsonOf(await appOf().request('/healthz'));
    assert.deepEqual([health.ok, health.tiles, health.cells, health.zones, health.waiting], [true, 4, 2, [33], 0]);
  });

  it('let GDAL read the map by WMTS and by TMS', async function () {
    if (!hasGdal()) this.skip();
    const folder = await emptyFolder();
    await serving(async ({ url }) => {
      const [x, y] = [1_355_900, 5_509_700];
      const window = [x, y, x + 76.437, y - 76.437].map(String); // 256 pixels of zoom 19
      for (const [name, address] of [
        ['wmts', `WMTS:${url}/wmts/1.0.0/WMTSCapabilities.xml`],
        ['tms', `${url}/tms/1.0.0/ard`],
      ]) {
        // prettier-ignore
        const out = join(folder, `${name}.tif`);
        const child = spawn('gdal_translate', ['-q', '-projwin', ...window, address, out], {
          cwd: folder, // where it keeps a cache
          stdio: 'pipe',
        });
        const [code] = (await once(child, 'close')) as [number];
        assert.equal(code, 0, name);
      }
      const [wmts, tms] = await Promise.all(['wmts', 'tms'].map((name) => sharp(join(folder, `${name}.tif`)).removeAlpha().raw().toBuffer({ resolveWithObject: true }))); // prettier-ignore
      assert.ok(wmts.info.width >= 255 && wmts.info.width <= 257, `${wmts.info.width} pixels wide`);
      assert.ok(wmts.data.some((value) => value > 100) && new Set(wmts.data).size > 50, 'it shows a picture');
      const size = Math.min(wmts.data.length, tms.data.length);
      assert.deepEqual(wmts.data.subarray(0, size), tms.data.subarray(0, size));
    });
  });
});

describe('the queue', () => {
  it('does the same work once for all who ask, and drops what nobody waits for any more', async () => {
    const queue = new Queue<string>({ atOnce: 1, most: 10 });
    const done: string[] = [];
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const work = (name: string) => async () => {
      if (name === 'first') await gate;
      done.push(name);
      return name;
    };
    const [stay, gone] = [new AbortController(), new AbortController()];
    const first = queue.run('first', work('first'), stay.signal);
    const left = queue.run('left', work('left'), gone.signal);
    const halfLeft = queue.run('shared', work('shared'), gone.signal);
    const shared = queue.run('shared', work('shared'), stay.signal);
    gone.abort(new Error('gone away'));
    await assert.rejects(left, /gone away/);
    await assert.rejects(halfLeft, /gone away/);
    release();
    assert.deepEqual([await first, await shared], ['first', 'shared']);
    await queue.idle();
    assert.deepEqual(done, ['first', 'shared']);
  });

  it('refuses more than may wait', async () => {
    const queue = new Queue<number>({ atOnce: 1, most: 2 });
    const { signal } = new AbortController();
    const runs = [1, 2, 3].map((n) => queue.run(String(n), async () => pause(20, n), signal));
    await assert.rejects(
      queue.run('4', async () => 4, signal),
      OverloadError,
    );
    assert.deepEqual(await Promise.all(runs), [1, 2, 3]);
  });

  it('that is full is answered 503, with when to ask again', async () => {
    const slow = { ...mosaic, render: async () => pause(300).then(() => mosaic.render(tile, NEWEST)) };
    const app = serveApp({ mosaic: slow, atOnce: 1, mostWaiting: 1 });
    const answers = await Promise.all([1, 2, 3, 4].map(async (x) => app.request(`/tiles/17/${x}/1.png`)));
    const statuses = answers.map(({ status }) => status);
    assert.deepEqual(statuses, [200, 200, 503, 503]);
    assert.equal(answers[3].headers.get('retry-after'), '1');
  });
});

describe('the server', () => {
  it('says who has its port, and which address it has not', async () => {
    await serving(async ({ port }) => {
      await assert.rejects(startServer(appOf(), { port }), /cannot listen on 127\.0\.0\.1:\d+: another program has it/);
    });
    await assert.rejects(startServer(appOf(), { port: 0, host: '192.0.2.1' }), /this machine has no such address/);
  });

  it('serves others while clients are slow: those that never read, and those that never end their request', async () => {
    await serving(async ({ port, url }) => {
      const slow = Array.from({ length: 50 }, (_, at) => {
        const socket = connect(port, '127.0.0.1').on('error', () => undefined);
        socket.pause();
        socket.write(
          at % 2 ? 'GET /tiles/17/1/1.png HT' : `GET ${pathOf(tile)} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(20),
        );
        return socket;
      });
      await pause(200);
      const answer = await fetch(url + pathOf(mapTileAt(HERE, 16)));
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
      slow.forEach((socket) => socket.destroy());
    });
  });

  it(`survives ${proof ? '10,000' : '1,000'} requests of nonsense, and answers each in order`, async () => {
    const random = seedrandom.alea('fuzz');
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)];
    const words = ['tiles', 'tms', '1.0.0', 'ard', 'point', '..', '%2e%2e', '%00', '%ff', '-1', '0', '17', '22', '99999999999', '1e309', 'NaN', `${tile.x}`, `${tile.y}.png`, '1.jpg', '1.webp', '1@2x.png', '12.18,44.28', 'mosaic.json', 'tilejson.json', '?', '?select=oldest', '?from=x', '?background=%', '&to=9999-99-99', 'é', ' ', '"><', 'a'.repeat(3000)]; // prettier-ignore
    const methods = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS'];
    const app = appOf({ onFault: (line) => assert.fail(line) });
    const statuses = new Map<number, number>();
    for (let request = 0; request < (proof ? 10_000 : 1000); request++) {
      const start = pick(['', 'tiles/', 'tiles/17/', 'tms/1.0.0/ard/17/', 'point/']); // half of them reach somewhere
      const path = `/${start}${Array.from({ length: 1 + Math.floor(3 * random()) }, () => pick(words)).join('/')}`;
      const { status } = await app.request(path, { method: pick(methods), headers: random() < 0.1 ? { host: pick(words).replaceAll(/[^ -~]/g, '') , 'x-forwarded-host': encodeURI(pick(words)) } : {} }); // prettier-ignore
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    assert.deepEqual([...statuses.keys()].filter((status) => ![200, 304, 400, 404].includes(status)), []); // prettier-ignore
    assert.ok((statuses.get(400) ?? 0) > 10 && (statuses.get(404) ?? 0) > 100, JSON.stringify([...statuses]));
    await serving(async ({ port, url }) => {
      for (let junk = 0; junk < (proof ? 1000 : 100); junk++) {
        const socket = connect(port, '127.0.0.1').on('error', () => undefined);
        socket.end(Buffer.from(Array.from({ length: 200 }, () => Math.floor(256 * random()))));
        socket.resume();
        await once(socket, 'close');
      }
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
    });
  });

  it(`answers 200 connections at once ${proof ? 'for a minute' : '400 times'} without an error, its memory flat`, async () => {
    const near = Array.from({ length: 64 }, (_, at) => pathOf({ ...tile, z: 18, x: 2 * tile.x + (at % 8) - 4, y: 2 * tile.y + Math.floor(at / 8) - 4 })); // prettier-ignore
    await serving(
      async ({ url }) => {
        const load = (many: object): Promise<autocannon.Result> =>
          autocannon({ url, connections: 200, timeout: 60, requests: near.map((path) => ({ path })), ...many });
        await load({ amount: 400 });
        const before = process.memoryUsage().rss;
        const { errors, timeouts, non2xx, requests } = await load(proof ? { duration: 60 } : { amount: 400 });
        const grown = (process.memoryUsage().rss - before) / 1e6;
        assert.deepEqual([errors, timeouts, non2xx], [0, 0, 0]);
        assert.ok(requests.total >= 400, `${requests.total} answers`);
        assert.ok(grown < 200, `${grown.toFixed(0)} MB more than before`);
        if (proof) console.log(`      ${requests.average.toFixed(0)} requests/s, ${grown.toFixed(0)} MB more`);
      },
      { tileCacheMegabytes: 1 },
    );
  });

  it('finishes what is under way when it is closed', async () => {
    let begun = (): void => undefined;
    const hasBegun = new Promise<void>((resolve) => (begun = resolve));
    const slow: Mosaic = {
      ...mosaic,
      render: async (...wanted) => {
        begun();
        await pause(300);
        return mosaic.render(...wanted);
      },
    };
    const server = await startServer(serveApp({ mosaic: slow }), { port: 0 });
    const answer = fetch(server.url + pathOf(tile));
    await hasBegun;
    const closed = server.close();
    assert.equal((await answer).status, 200);
    assert.ok((await (await answer).arrayBuffer()).byteLength > 1000);
    await closed;
    await assert.rejects(fetch(server.url), TypeError);
  });

  it('serves a bucket as it serves a folder', async () => {
    const bucket: Bucket = await openBucket();
    try {
      const address = await bucket.put(await sampleDelivery());
      const remote = await openMosaic(address, { blockCacheMegabytes: 16 });
      for (const z of [10, 14, 17, 19]) {
        const wanted = mapTileAt(HERE, z);
        const [there, here] = [await remote.render(wanted, NEWEST), await mosaic.render(wanted, NEWEST)];
        assert.deepEqual(there, here, `zoom ${z}`);
      }
      assert.deepEqual(await remote.pixelsAt(HERE, NEWEST), await mosaic.pixelsAt(HERE, NEWEST));
      assert.ok(remote.state().blockBytes <= 16e6);
      const found = await jsonOf(await serveApp({ mosaic: remote }).request('/mosaic.json'));
      assert.equal(found.asset_prefix, `${address}/`);
      await remote.close();
    } finally {
      await bucket.close();
    }
  });
});

describe('imagesim serve', () => {
  it('listens, makes its overviews in the data folder, and ends cleanly on Ctrl-C', async () => {
    const command = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
    const env = { ...process.env, IMAGESIM_DATA: await emptyFolder() };
    const words = [command, 'serve', '--port', '0', '--ard', await sampleDelivery(), '--cors', '--pyramid'];
    const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'close') as Promise<[number | null]>;
    let url = '';
    for await (const line of createInterface({ input: child.stdout })) {
      url = /(http:\S+)\/tiles\/\{z\}/.exec(line)?.[1] ?? '';
      if (url) break;
    }
    const answer = await fetch(url + pathOf(tile));
    assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [200, '*']);
    const expected = await encode(await mosaic.render(tile, NEWEST), 'png', [255, 255, 255]);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), Buffer.from(expected));
    const health = await jsonOf(await fetch(`${url}/healthz`));
    assert.deepEqual(health.overviews, { total: 4, ready: 4, making: false });
    assert.match(await (await fetch(`${url}/`)).text(), /<title>imagesim<\/title>/);
    const { store } = await jsonOf(await fetch(`${url}/facts.json`));
    assert.match(
      (store as { remedy: string }).remedy,
      /^no table in .*embeddings: make one with imagesim similarity deploy/,
    );
    child.kill('SIGHUP'); // has it look for new tiles, and does not end it
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    child.kill('SIGINT');
    assert.deepEqual(await ended, [0, null]);
  });

  it('says what is wrong with what it is told, in a line', () => {
    const command = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
    const fails = (...words: string[]): string => {
      try {
        execFileSync(process.execPath, [command, 'serve', ...words], { stdio: 'pipe' });
      } catch (error) {
        return String((error as { stderr: Buffer }).stderr);
      }
      return '';
    };
    assert.match(fails('--port', '70000'), /^imagesim: .*expected a whole number, 0 to 65535.*\n$/);
    assert.match(fails('--ard', '/nowhere/at/all'), /^imagesim: no folder \/nowhere\/at\/all: .*\n$/);
  });
});
