import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type DataManifest, type OutsideAsset, type PullOptions, type PullReport, RECORDED,
  httpsSource, listData, pullData, verifyData,
} from 'imagesim/infra'; // prettier-ignore
import { type Bucket, filesUnder, openBucket } from '../bucket.ts';
import { emptyFolder, sampleDelivery } from '../delivery.ts';

type Files = Exclude<OutsideAsset, { kind: 'service' }>;

/** A manifest of one entry. */
function manifestOf(entry: Partial<Files>): DataManifest {
  const common = {
    title: 'a thing',
    licence: 'CC0-1.0',
    stage: '01-infra',
    sha256: RECORDED,
    bytes: RECORDED,
  } as const;
  const named = { name: 'thing', kind: 'file', source: 's3://imagesim-storage/nodata-index.json', path: 'thing.bin' } as const; // prettier-ignore
  return { version: 1, files: [{ ...common, ...named, ...entry }] };
}

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Pulls the one entry of a manifest. */
async function pull(manifest: DataManifest, data: string, options: PullOptions = {}): Promise<PullReport> {
  const [report] = await pullData([manifest.files[0].name], data, { manifest, retries: 1, ...options });
  return report;
}

/** The one line that a failure says. */
async function lineOf(work: Promise<unknown>): Promise<string> {
  const line = await work.then(() => 'nothing failed', ({ message }: Error) => message); // prettier-ignore
  assert.ok(!line.includes('\n'), line);
  return line;
}

const stateIn = async (data: string, manifest: DataManifest): Promise<string> => (await listData(data, { manifest }))[0].state; // prettier-ignore

describe('data', () => {
  let bucket: Bucket;
  const chips = manifestOf({ name: 'chips-33', kind: 'prefix', source: 's3://imagesim-storage/chips/33/', path: 'chips/33' }); // prettier-ignore
  const keys = ['chips/33/031133012203/a.jpg', 'chips/33/031133012203/b.jpg', 'chips/33/031133012210/c.jpg'];
  const put = async (): Promise<void> => {
    for (const key of keys) await bucket.upload(key, `chip ${key}`);
  };

  before(async () => {
    bucket = await openBucket();
    await put();
  });
  after(() => bucket.close());

  describe('of a prefix', () => {
    it('comes whole, is recorded, moves nothing the second time, and is verified', async () => {
      const data = await emptyFolder();
      assert.equal(await stateIn(data, chips), 'not here');
      const first = await pull(chips, data);
      assert.deepEqual([first.files, first.moved, first.kept], [3, 3, []]);
      assert.deepEqual(await filesUnder(data), [...keys, 'data-record/chips-33.jsonl']);
      assert.match(await stateIn(data, chips), /^pulled \d{4}-\d\d-\d\d: 3 files, 0\.0 MB$/);
      const record = await readFile(join(data, 'data-record/chips-33.jsonl'), 'utf8');
      assert.deepEqual(await pull(chips, data), { ...first, moved: 0, movedBytes: 0 });
      assert.equal(await readFile(join(data, 'data-record/chips-33.jsonl'), 'utf8'), record);
      const [verdict] = await verifyData([], data, { manifest: chips });
      assert.deepEqual(verdict, { name: 'chips-33', state: 'ok', files: 3, changed: [], missing: [] });
    });

    it('has the sha256 that `sha256sum <files in order> | sha256sum` prints', async () => {
      const data = await emptyFolder();
      const report = await pull(chips, data);
      const printed = execFileSync('sh', ['-c', `sha256sum ${keys.join(' ')} | sha256sum`], { cwd: data });
      assert.equal(report.sha256, printed.toString().slice(0, 64));
      const pinned = manifestOf({ ...chips.files[0], kind: 'prefix', sha256: report.sha256, bytes: report.bytes });
      assert.equal((await pull(pinned, await emptyFolder())).moved, 3);
      assert.equal((await verifyData([], data, { manifest: pinned }))[0].state, 'ok');
    });

    it('is changed by one flipped bit, missing without a file, and whole again when it is forced', async () => {
      const data = await emptyFolder();
      await pull(chips, data);
      const path = join(data, keys[1]);
      const [bytes, { mtime }] = [await readFile(path), await stat(path)];
      bytes[3] ^= 1;
      await writeFile(path, bytes);
      await utimes(path, mtime, mtime);
      await rm(join(data, keys[0]));
      const [{ state, changed, missing }] = await verifyData(['chips-33'], data, { manifest: chips });
      assert.deepEqual({ state, changed, missing }, { state: 'changed', changed: [keys[1]], missing: [keys[0]] });
      assert.equal((await pull(chips, data)).moved, 1); // by size and time the other is there
      assert.equal((await verifyData([], data, { manifest: chips }))[0].state, 'changed');
      assert.equal((await pull(chips, data, { force: true })).moved, 1);
      assert.equal((await verifyData([], data, { manifest: chips }))[0].state, 'ok');
    });

    it('keeps what was written here since, and says so', async () => {
      const data = await emptyFolder();
      await pull(chips, data);
      await writeFile(join(data, keys[2]), 'my own');
      await utimes(join(data, keys[2]), 4e9, 4e9);
      assert.deepEqual((await pull(chips, data)).kept, [keys[2]]);
      assert.equal(await readFile(join(data, keys[2]), 'utf8'), 'my own');
      assert.deepEqual((await verifyData([], data, { manifest: chips }))[0].changed, [keys[2]]);
    });

    it('that changed at the source is refused until it is forced; what is new or the same again comes', async () => {
      const data = await emptyFolder();
      await pull(chips, data);
      await bucket.upload(keys[0], 'another chip');
      await bucket.upload(keys[1], `chip ${keys[1]}`); // again, the same bytes
      const line = await lineOf(pull(chips, data));
      assert.match(line, new RegExp(`^s3://imagesim-storage/${keys[0]} changed at the source since \\d{4}-\\d\\d-\\d\\d: nothing was kept of it; imagesim data pull chips-33 --force takes what is there now$`)); // prettier-ignore
      assert.equal(await readFile(join(data, keys[0]), 'utf8'), `chip ${keys[0]}`);
      assert.equal((await pull(chips, data, { force: true })).moved, 1);
      assert.equal(await readFile(join(data, keys[0]), 'utf8'), 'another chip');
      assert.equal((await verifyData([], data, { manifest: chips }))[0].state, 'ok');
      await put();
    });

    it('whose sha256 or size is another than the manifest states is not kept', async () => {
      for (const [wrong, found] of [
        [
          { sha256: '0'.repeat(64) },
          /has sha256 [0-9a-f]{64}, where data-manifest\.json has 0{64}: nothing was kept; .*mend the entry chips-33/,
        ],
        [{ bytes: 7 }, /has \d+ bytes, where data-manifest\.json has 7: nothing was kept/],
      ] as const) {
        const data = await emptyFolder();
        assert.match(await lineOf(pull(manifestOf({ ...(chips.files[0] as Files), ...wrong }), data)), found);
        assert.deepEqual(await filesUnder(data), []);
      }
    });

    it('is said, and not moved, in a dry run', async () => {
      const data = await emptyFolder();
      const { moved, movedBytes, sha256: none } = await pull(chips, data, { dryRun: true });
      assert.deepEqual([moved, movedBytes > 0, none], [3, true, undefined]);
      assert.deepEqual(await readdir(data), []);
    });

    it('that was not pulled, or is gone since, is said to be', async () => {
      const data = await emptyFolder();
      await mkdir(join(data, 'chips/33'), { recursive: true });
      await writeFile(join(data, 'chips/33/own.jpg'), 'own');
      assert.equal(await stateIn(data, chips), 'here, not pulled: 1 file, 0.0 MB');
      assert.equal((await verifyData([], data, { manifest: chips }))[0].state, 'never pulled');
      await pull(chips, data);
      await rm(join(data, 'chips'), { recursive: true });
      assert.match(await stateIn(data, chips), /^pulled .*: 3 files, 0\.0 MB; gone since$/);
      assert.deepEqual((await verifyData([], data, { manifest: chips }))[0].missing, keys);
    });

    it('pulled twice at once is recorded whole, as is another beside it', async () => {
      const data = await emptyFolder();
      const other = manifestOf({ name: 'index' });
      await bucket.upload('nodata-index.json', '{}');
      await Promise.all([pull(chips, data), pull(chips, data), pull(other, data)]);
      for (const manifest of [chips, other]) assert.equal((await verifyData([], data, { manifest }))[0].state, 'ok');
    });

    it('with a record that is none is named', async () => {
      for (const text of ['', 'version 1\n', '{"version":1}\n']) {
        const data = await emptyFolder();
        await mkdir(join(data, 'data-record'));
        await writeFile(join(data, 'data-record/chips-33.jsonl'), text);
        const line = `${data}/data-record/chips-33.jsonl is no record of a pull: remove it, and pull that entry again`;
        assert.equal(await lineOf(verifyData([], data, { manifest: chips })), line);
        assert.equal(await lineOf(pull(chips, data)), line);
      }
    });

    it('of a delivery comes by its sync: tiles, items and collections, recorded all', async () => {
      const address = await bucket.put(await sampleDelivery());
      const ard = manifestOf({ name: 'ard-33', kind: 'prefix', source: `${address}/ard/33/`, path: 'ard/33' });
      const data = await emptyFolder();
      assert.equal((await pull(ard, data)).files, 10); // 4 tiles, 4 items, 2 collections
      const recorded = (await readFile(join(data, 'data-record/ard-33.jsonl'), 'utf8')).trimEnd().split('\n').slice(1);
      const paths = recorded.map((line) => (JSON.parse(line) as { path: string }).path);
      assert.deepEqual(
        paths,
        (await filesUnder(data)).filter((path) => path.startsWith('ard/')),
      );
      assert.equal((await pull(ard, data)).moved, 0);
      assert.equal((await verifyData([], data, { manifest: ard }))[0].state, 'ok');
    });
  });

  describe('of one file', () => {
    const body = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251));
    let asked: { range: string | undefined; method: string | undefined }[] = [];
    let served = {
      body,
      etag: '"one"' as string | undefined,
      ranges: true,
      heads: true,
      sized: true,
      breakAt: Infinity,
      breaks: 0,
      status: 0,
    };
    const usual = { ...served };
    const server = createServer((request, response) => {
      const { range } = request.headers;
      asked.push({ range, method: request.method });
      const status = request.method === 'HEAD' && !served.heads ? 405 : served.status;
      if (status !== 0) {
        response.writeHead(status).end();
        return;
      }
      const from = served.ranges ? Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0) : 0;
      const length = served.body.length;
      response.writeHead(from > 0 ? 206 : 200, {
        ...(served.sized && { 'content-length': length - from }), 'last-modified': new Date(1.6e12).toUTCString(),
        ...(served.etag && { etag: served.etag }),
        ...(from > 0 && { 'content-range': `bytes ${from}-${length - 1}/${length}` }),
      }); // prettier-ignore
      if (request.method === 'HEAD') response.end();
      else if (length - from <= served.breakAt || served.breaks-- <= 0) response.end(served.body.subarray(from));
      else
        response.write(served.body.subarray(from, from + served.breakAt), () =>
          setTimeout(() => response.destroy(), 50),
        );
    });
    let address = '';
    const file = (entry: Partial<Files> = {}): DataManifest => manifestOf({ source: `${address}/x/thing.bin?v=1`, ...entry }); // prettier-ignore
    before(async () => {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    after(() => server.close());
    beforeEach(() => {
      served = { ...usual };
      asked = [];
    });

    it('comes over https, is checked and recorded, and is not asked for again where the manifest states it', async () => {
      const data = await emptyFolder();
      const manifest = file({ sha256: sha256(body), bytes: body.length, path: 'models/thing.bin' });
      const report = await pull(manifest, data);
      assert.deepEqual(report, { name: 'thing', files: 1, bytes: body.length, moved: 1, movedBytes: body.length, kept: [], sha256: sha256(body) }); // prettier-ignore
      assert.ok((await readFile(join(data, 'models/thing.bin'))).equals(body));
      asked = [];
      assert.deepEqual(await pull(manifest, data), { ...report, moved: 0, movedBytes: 0 });
      assert.deepEqual(asked, []);
      assert.deepEqual((await pull(file({ path: 'models/thing.bin' }), data)).moved, 0); // as recorded, asked by its head
      assert.deepEqual(asked, [{ method: 'HEAD', range: undefined }]);
    });

    it('goes on from the byte that it came to, with ranges and without', async () => {
      for (const ranges of [true, false]) {
        Object.assign(served, { ranges, breakAt: 200_000, breaks: 2 });
        asked = [];
        const data = await emptyFolder();
        assert.equal((await pull(file(), data, { retries: 5 })).sha256, sha256(body));
        const later = asked.filter(({ method, range }) => method === 'GET' && range);
        assert.ok(later.length > 0 && later.every(({ range }) => /^bytes=[1-9]\d*-$/.test(range!)), JSON.stringify(asked)); // prettier-ignore
      }
    });

    it('that does not fit the manifest is not kept', async () => {
      const data = await emptyFolder();
      const line = await lineOf(pull(file({ sha256: 'f'.repeat(64) }), data));
      assert.match(line, new RegExp(`^${address}/x/thing.bin\\?v=1 has sha256 ${sha256(body)}, where data-manifest.json has f{64}: nothing was kept; ask who publishes it, then mend the entry thing$`)); // prettier-ignore
      assert.deepEqual(await filesUnder(data), []);
      asked = [];
      assert.match(await lineOf(pull(file({ bytes: 5 }), data)), /has 300000 bytes, where data-manifest\.json has 5: /);
      assert.ok(
        asked.every(({ method }) => method === 'HEAD'),
        'nothing was moved',
      );
    });

    it('that changed at the source is refused until it is forced, by its ETag or by its bytes', async () => {
      const data = await emptyFolder();
      await pull(file(), data);
      Object.assign(served, { body: Buffer.from(body).reverse(), etag: '"two"' });
      assert.match(await lineOf(pull(file(), data)), /^http.*thing\.bin changed at the source since .* --force takes/);
      assert.ok((await readFile(join(data, 'thing.bin'))).equals(body));
      assert.equal((await pull(file(), data, { force: true })).sha256, sha256(served.body));
      Object.assign(served, { body, etag: '"two"' }); // the server does not say so
      await rm(join(data, 'thing.bin'));
      assert.match(await lineOf(pull(file(), data)), /^thing\.bin changed at the source since /);
      assert.ok(!existsSync(join(data, 'thing.bin')));
    });

    it('that was put here by hand stays; stated by the manifest it is verified', async () => {
      const data = await emptyFolder();
      await writeFile(join(data, 'thing.bin'), 'mine');
      assert.deepEqual((await pull(file(), data)).kept, ['thing.bin']);
      const verdicts = async (stated: string): Promise<string> => (await verifyData([], data, { manifest: file({ sha256: stated }) }))[0].state; // prettier-ignore
      assert.equal(await verdicts(RECORDED), 'never pulled');
      assert.equal(await verdicts(sha256('mine')), 'ok');
      await appendFile(join(data, 'thing.bin'), '!');
      assert.equal(await verdicts(sha256('mine')), 'changed');
    });

    it('that a server refuses, or nobody serves, is named in one line', async () => {
      const data = await emptyFolder();
      for (const [status, finding] of [
        [404, 'there is no such file: mend its source in data-manifest.json'],
        [403, 'access is denied: ask who publishes it'],
        [418, 'the server answers 418: try again later'],
      ] as const) {
        served.status = status;
        assert.equal(await lineOf(pull(file(), data)), `cannot read ${address}/x/thing.bin?v=1: ${finding}`);
      }
      const nobody = file({ source: 'http://127.0.0.1:1/x' });
      assert.match(await lineOf(pull(nobody, data)), /^cannot read http:\/\/127\.0\.0\.1:1\/x: the connection fails .*: check the network$/); // prettier-ignore
      assert.match(await lineOf(pull(manifestOf({ source: 's3://imagesim-storage/none.json' }), data)), /^no file s3:\/\/imagesim-storage\/none\.json: mend the source of thing/); // prettier-ignore
      assert.deepEqual(await readdir(data), []);
    });

    it('is read whole or in part by its source', async () => {
      const source = httpsSource(`${address}/x/thing.bin`);
      assert.deepEqual([source.address, (await source.top()).files.map(({ key }) => key)], [`${address}/x`, ['thing.bin']]); // prettier-ignore
      assert.ok(Buffer.from(await source.read('thing.bin')).equals(body));
      for (const ranges of [true, false]) {
        served.ranges = ranges;
        const { bytes, size } = await source.readPart('thing.bin', 100_000, 50);
        assert.deepEqual([Buffer.from(bytes), size], [body.subarray(100_000, 100_050), body.length]);
      }
      await assert.rejects(source.open('thing.bin', { etag: '"other"' }), /thing\.bin: it has changed since it was looked up: run again$/); // prettier-ignore
    });

    it('of a server that gives no heads is looked up all the same; without a size it is refused', async () => {
      Object.assign(served, { heads: false });
      assert.equal((await pull(file(), await emptyFolder())).sha256, sha256(body));
      Object.assign(served, { sized: false });
      assert.match(await lineOf(pull(file(), await emptyFolder())), /thing\.bin\?v=1 states no size: bring it by hand, and check its sha256$/); // prettier-ignore
    });

    it('is not taken over plain http from elsewhere, nor from what is no file', () => {
      for (const url of ['http://example.org/x', 'http://127.0.0.1.example.org/x', 'ftp://example.org/x', 'https://example.org/', 'x']) {
        assert.throws(() => httpsSource(url), new Error(`${url} is no address of a file: expected https://host/path`));
      } // prettier-ignore
    });

    it('does not leave the data folder', async () => {
      for (const path of ['../out', '/tmp/out', 'a/../../out']) {
        const data = join(await emptyFolder(), 'data');
        const line = await lineOf(pull(file({ path }), data));
        if (path.startsWith('/')) assert.ok(!existsSync(path));
        else assert.match(line, /leads out of its place/);
        assert.ok(!existsSync(join(data, '../out')));
      }
    });
  });

  it('of a service, or of a name that is none, is refused before anything moves', async () => {
    const data = await emptyFolder();
    assert.equal(await lineOf(pullData(['nodata-index', 'osm'], data)), 'osm is a service, and nothing to pull: run imagesim osm --zone 33'); // prettier-ignore
    for (const work of [pullData(['nodata-index', 'x'], data), verifyData(['x'], data)]) {
      assert.match(await lineOf(work), /^no entry x in data-manifest\.json: there are ard-33, ard-33-open, osm, /);
    }
    assert.deepEqual(await readdir(data), []);
  });

  describe('on the command line', () => {
    interface Run {
      code: number;
      stdout: string;
      stderr: string;
    }
    const program = join(import.meta.dirname, '../../kernel-lib/dist/cli.js');
    const imagesim = async (data: string, ...args: string[]): Promise<Run> =>
      promisify(execFile)(process.execPath, [program, 'data', ...args], { env: { ...process.env, ...bucket.env, IMAGESIM_DATA: data } })
        .then((streams) => ({ code: 0, ...streams }), (error: Run) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr })); // prettier-ignore

    it('list, pull and verify say how it stands, and exit with 1 where it differs', async () => {
      const data = await emptyFolder();
      const text = '{"version":"0.2","chips":{}}';
      await bucket.upload('nodata-index.json', text);
      const said = `nodata-index: 1 of 1 files moved, 0.0 MB\n`;
      const dry = await imagesim(data, 'pull', 'nodata-index', '--dry-run');
      assert.deepEqual(dry, { code: 0, stdout: said.replace('moved', 'would be moved'), stderr: '' });
      assert.deepEqual(await imagesim(data, 'pull', 'nodata-index'), { code: 0, stdout: said, stderr: '' });
      assert.match((await imagesim(data, 'list')).stdout, /^nodata-index +03-chips +as the imagery it indexes +0\.0 MB +pulled \d{4}-\d\d-\d\d: 1 file, 0\.0 MB$/m); // prettier-ignore
      const ok = await imagesim(data, 'verify');
      assert.deepEqual([ok.code, ok.stderr], [0, '']);
      assert.match(ok.stdout, /^name +state +files +changed +missing\nard-33 +never pulled +0 +0 +0$/m);
      assert.match(ok.stdout, /^osm +service .*\nnodata-index +ok +1 +0 +0$/m);
      await writeFile(join(data, 'nodata-index.json'), text.replace('2', '3'));
      const { code, stderr } = await imagesim(data, 'verify', 'nodata-index');
      const lines = 'changed: nodata-index.json\nimagesim data pull nodata-index --force brings them again\n';
      assert.deepEqual({ code, stderr }, { code: 1, stderr: lines });
    });

    it('wrong use is one line, and exits with 1', async () => {
      for (const [args, line] of [
        [['pull', 'osm'], /^imagesim: osm is a service, and nothing to pull: run imagesim osm --zone 33\n$/],
        [['pull', 'x'], /^imagesim: no entry x in data-manifest\.json: there are [^\n]*\n$/],
        [['verify', 'x'], /^imagesim: no entry x [^\n]*\n$/],
      ] as const) {
        const { code, stdout, stderr } = await imagesim(await emptyFolder(), ...args);
        assert.match(stderr, line);
        assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
      }
    });
  });
});
