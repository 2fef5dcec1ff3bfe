import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cellOf, lonLatBounds } from 'imagesim/ard';
import { type SyncOptions, type SyncReport, relayDelivery, syncDelivery } from 'imagesim/infra';
import { type Bucket, filesUnder, openBucket } from '../bucket.ts';
import { emptyFolder } from '../delivery.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const QUADKEYS = ['031133012200', '031133012201', '031133012202'];
const DAYS = ['2023-01-01', '2023-06-01'];
const KILLS = process.env.IMAGESIM_PROOF ? 20 : 1;

/** Six tiles with STAC items, the greatest of 17 MB; maps, terms and known changes. */
async function makeDelivery(folder: string, synthetic = false): Promise<void> {
  const write = async (key: string, content: string | Buffer): Promise<void> => {
    await mkdir(dirname(join(folder, key)), { recursive: true });
    await writeFile(join(folder, key), content);
  };
  for (const [at, quadkey] of QUADKEYS.entries()) {
    for (const [date, day] of DAYS.entries()) {
      const stem = `ard/33/${quadkey}/${day}/1040010000000001`;
      await write(`${stem}-visual.tif`, randomBytes(at + date === 0 && !synthetic ? 17 << 20 : 5000 + at));
      await write(`${stem}-ms.tif`, 'ms');
      await write(`${stem}.json`, JSON.stringify({ properties: { 'tile:clouds_percent': 10 * date, ...(synthetic && { 'imagesim:synthetic': true }) } })); // prettier-ignore
    }
    await write(`ard/33/${quadkey}/osm_data.json`, `{"made": ${at}}`);
  }
  await write('ard/acquisition_collections/1040010000000001_collection.json', '{}');
  await write('demo-ard/vectors/known.geojson', '{}');
  await write('LICENSE', 'CC0');
}

describe('a delivery from bucket to bucket', () => {
  let bucket: Bucket;
  let delivery: string;
  /** Its address. */
  let from: string;

  before(async () => {
    bucket = await openBucket();
    delivery = await emptyFolder();
    await makeDelivery(delivery);
    from = await bucket.put(delivery);
  });
  after(() => bucket.close());

  const relay = async (to: string, options: SyncOptions = {}, dataPath?: string): Promise<SyncReport> =>
    relayDelivery(`${from}/ard/33`, dataPath ?? (await emptyFolder()), to, options);

  /** Content of a bucket's prefix by key. */
  async function held(address: string): Promise<Map<string, Buffer>> {
    const folder = join(bucket.directory, address.slice('s3://'.length));
    const names = (await filesUnder(folder)).flatMap((name) => /^(.*)\._S3rver_object$/.exec(name)?.[1] ?? []);
    return new Map(await Promise.all(names.map(async (key) => [key, await readFile(join(folder, `${key}._S3rver_object`))] as const))); // prettier-ignore
  }

  /** What a sync into a folder lays down. */
  async function laid(options: SyncOptions = {}): Promise<Map<string, Buffer>> {
    const folder = await emptyFolder();
    await syncDelivery(`${from}/ard/33`, folder, options);
    return new Map(await Promise.all((await filesUnder(folder)).map(async (key) => [key, await readFile(join(folder, key))] as const))); // prettier-ignore
  }

  it('lies there as a sync into a folder lays it down, of two workers whose disks hold two tiles at most, each raster last; again nothing is moved', async () => {
    const to = await bucket.begin();
    const disks = [await emptyFolder(), await emptyFolder()];
    let most = 0;
    bucket.watch({
      before: async (_, next) => {
        const rasters = (await Promise.all(disks.map(filesUnder)))
          .flat()
          .filter((path) => path.endsWith('-visual.tif'));
        most = Math.max(most, rasters.length);
        await next();
      },
    });
    for (const [index, disk] of disks.entries()) {
      const { tiles, moved, files } = await relay(to, { shard: { index, count: 2 } }, disk);
      assert.ok(tiles.length > 0 && moved === files);
      assert.deepEqual(await filesUnder(disk), [], 'nothing is left here');
    }
    assert.deepEqual(await held(to), await laid());
    assert.ok(most > 0 && most <= 2, `${most} rasters lay here at once`);
    assert.equal(new Set(bucket.puts()).size, bucket.puts().length);
    for (const [at, key] of bucket.puts().entries())
      if (key.endsWith('-visual.tif'))
        assert.ok(bucket.puts().lastIndexOf(key.replace('-visual.tif', '.json'), at) >= 0, key);
    bucket.watch();
    const again = await relay(to);
    assert.deepEqual([again.moved, again.files, bucket.puts()], [0, (await held(to)).size, []]);
    const told = await relay(await bucket.begin(), { dryRun: true });
    assert.deepEqual([told.moved, told.plan.missing, bucket.puts()], [again.files, again.files, []]);
    assert.ok(told.plan.cost.requests > 0);
  });

  it('heeds every filter, brings what differs, and keeps a map that is newer there', async () => {
    const to = await bucket.begin();
    const [west, south, east, north] = lonLatBounds(cellOf(33, QUADKEYS[1]));
    const inner: [number, number, number, number] = [west + 0.02, south + 0.02, east - 0.02, north - 0.02];
    const options = { bbox: inner, maxCloudPercent: 5, products: ['visual', 'ms'] };
    assert.deepEqual((await relay(to, options)).leftOut.length, 1);
    assert.deepEqual(await held(to), await laid(options));
    const place = to.slice('s3://imagesim-storage/'.length);
    const [map, raster] = [`ard/33/${QUADKEYS[1]}/osm_data.json`, `ard/33/${QUADKEYS[1]}/${DAYS[0]}/1040010000000001-visual.tif`]; // prettier-ignore
    await bucket.upload(`${place}/${map}`, '{"made": 9}');
    await bucket.upload(`${place}/${raster}`, 'x'.repeat(5001));
    bucket.watch();
    const { kept, moved } = await relay(to, options);
    assert.deepEqual([kept, moved, bucket.puts()], [[map], 1, [raster]]);
    assert.equal((await relay(to, { ...options, again: true })).kept.length, 0);
    assert.deepEqual(await held(to), await laid(options));
  });

  it('is refused where the zone would mix with the sample; a refused PUT is named, and what it was about stays here for the next run', async () => {
    const to = await bucket.begin();
    const sample = await emptyFolder();
    await makeDelivery(sample, true);
    const synthetic = await bucket.put(sample);
    const own = await emptyFolder();
    bucket.watch({ refused: new RegExp(`${QUADKEYS[1]}/${DAYS[1]}.*-visual`) });
    await assert.rejects(relay(to, { quadkey: QUADKEYS[1] }, own), /^SourceError: cannot write s3:\/\/\S+\/031133012201\/2023-06-01\/\S+-visual\.tif: access is denied: ask for .*s3:PutObject/); // prettier-ignore
    assert.ok((await filesUnder(own)).some((path) => path.endsWith(`${QUADKEYS[1]}/${DAYS[1]}/1040010000000001-visual.tif`))); // prettier-ignore
    let asked = 0;
    bucket.watch({
      before: ({ method, path }, next) => {
        asked +=
          method === 'GET' && path.includes(`${from.slice('s3:/'.length)}/`) && /2023-06-01\/.*-visual/.test(path)
            ? 1
            : 0;
        return next();
      },
    });
    await relay(to, { quadkey: QUADKEYS[1] }, own);
    assert.deepEqual([asked, await filesUnder(own)], [0, []], 'it is not brought again');
    assert.deepEqual(await held(to), await laid({ quadkey: QUADKEYS[1] }));
    const mixing = relayDelivery(`${synthetic}/ard/33`, own, to, { quadkey: QUADKEYS[0] });
    await assert.rejects(mixing, /^Error: s3:\/\/\S+\/ard\/33 holds real tiles, and those of s3:\/\/\S+ are synthetic: name another prefix, or remove that one$/); // prettier-ignore
  });

  it(`is whole, and nothing of it put twice, after the command was killed ${KILLS} time(s), each time on an empty disk`, async () => {
    const to = await bucket.begin();
    const early: string[] = [];
    for (let kill = 1; kill <= KILLS; kill++) {
      const env = { ...process.env, IMAGESIM_DATA: await emptyFolder() };
      const child = spawn(process.execPath, [cli, 'sync', `${from}/ard/33`, to], { env, stdio: 'ignore' });
      const ended = once(child, 'close');
      bucket.watch({
        before: async ({ method }, next) => {
          if (method === 'PUT' && bucket.puts().length > 0) child.kill('SIGKILL');
          else await next();
        },
      });
      await ended;
      early.push(...bucket.puts());
    }
    bucket.watch();
    await relay(to);
    const all = [...early, ...bucket.puts()];
    assert.equal(new Set(all).size, all.length);
    assert.deepEqual(await held(to), await laid());
  });
});
