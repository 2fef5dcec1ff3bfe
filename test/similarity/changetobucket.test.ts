import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cellOf, lonLatBounds } from 'imagesim/ard';
import { syncDelivery } from 'imagesim/infra';
import { changeVerbs } from '../../kernel-lib/dist/cli/change.js'; // the verb, without a process of its own for each run
import { type Bucket, filesUnder, objectsAt, openBucket, setEnv } from '../bucket.ts';
import { type Real, writeSmallTile } from '../chips/small.ts';
import { emptyFolder } from '../delivery.ts';

/** The library's own, of which there may be another beside it. */
const { Command } = createRequire(join(import.meta.dirname, '../../kernel-lib/package.json'))('commander') as { Command: new () => Parameters<typeof changeVerbs>[0] }; // prettier-ignore

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const KILLS = 6;
const QUADKEYS = ['031133000000', '031133000001'];
const DAYS = ['2022-06-14', '2023-05-21'];
const EACH = 8;
const CHIPS = EACH * QUADKEYS.length;
/** Two blocks, which hold eight chips. */
const twoBlocks: Real = (column, row) => (row === 6 && (column === 6 || column === 7) ? () => true : undefined);

const tilePath = (folder: string, quadkey: string, day: string): string => join(folder, 'ard/33', quadkey, day, `10300100000000${day.slice(2, 4)}-visual.tif`); // prettier-ignore

/** Two tiles in each of two cells, their terms, and a known change over the first cell's western half. */
async function makeDelivery(folder: string): Promise<void> {
  for (const [at, quadkey] of QUADKEYS.entries())
    for (const [date, day] of DAYS.entries())
      await writeSmallTile(tilePath(folder, quadkey, day), cellOf(33, quadkey), twoBlocks, at + date * 7);
  const terms = join(folder, 'ard/acquisition_collections');
  await mkdir(terms);
  for (const day of DAYS) await writeFile(join(terms, `10300100000000${day.slice(2, 4)}_collection.json`), JSON.stringify({ license: 'CC0-1.0', providers: [{ name: 'nobody' }] })); // prettier-ignore
  const [west, south, , north] = lonLatBounds(cellOf(33, QUADKEYS[0]));
  const [east] = [west + 0.015];
  const geometry = { type: 'Polygon', coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] }; // prettier-ignore
  await mkdir(join(folder, 'demo-ard/vectors'), { recursive: true });
  await writeFile(join(folder, 'demo-ard/vectors/known.geojson'), JSON.stringify({ type: 'FeatureCollection', features: [{ type: 'Feature', properties: {}, geometry }] })); // prettier-ignore
}

/** What the verb says, run in this process. */
async function change(data: string, ...args: string[]): Promise<{ stdout: string; stderr: string; code: unknown }> {
  const lines: Record<'log' | 'error', string[]> = { log: [], error: [] };
  const { log, error } = console;
  const restore = setEnv({ IMAGESIM_DATA: data });
  console.log = (line: string) => void lines.log.push(line);
  console.error = (line: string) => void lines.error.push(line);
  try {
    const program = new Command();
    changeVerbs(program);
    await program.parseAsync(['change', '--zone', '33', '--reach', '2', ...args], { from: 'user' });
    return { stdout: lines.log.join('\n'), stderr: lines.error.join('\n'), code: process.exitCode };
  } finally {
    Object.assign(console, { log, error });
    restore();
    process.exitCode = undefined;
  }
}

describe('change of workers who share no disk', () => {
  let bucket: Bucket;
  let delivery: string;

  before(async () => {
    bucket = await openBucket();
    delivery = await emptyFolder();
    await makeDelivery(delivery);
  });
  after(() => bucket.close());

  const made = async (address: string): Promise<Map<string, Buffer>> =>
    new Map([...(await objectsAt(bucket, address))].filter(([key]) => key.startsWith('embeddings/')));

  it('is told as in a folder, byte for byte, scores and all, of two workers and a merge on empty disks; again nothing is put', async () => {
    const address = await bucket.begin(delivery);
    let own = '';
    let most = 0;
    bucket.watch({
      before: async (_, next) => {
        const big = existsSync(own) ? (await filesUnder(own)).filter((path) => /\.(tif|parquet)$/.test(path)) : [];
        most = Math.max(most, big.length);
        await next();
      },
    });
    for (const index of [0, 1]) {
      own = await emptyFolder();
      const { stdout, stderr, code } = await change(own, '--to', address, '--shard', `${index}/2`);
      assert.match(stdout, /^shard \d\/2: 8 chips seen twice, 0 of them encoded before, by colours and edges; /);
      assert.deepEqual([stderr, code], ['', undefined]);
      assert.deepEqual(await filesUnder(own), [], 'nothing is left here');
    }
    assert.equal(bucket.puts().filter((key) => /real-[0-9a-f]{16}\.json$/.test(key)).length, 2 * QUADKEYS.length);
    assert.equal(bucket.puts().filter((key) => key.endsWith('.parquet')).length, QUADKEYS.length);
    own = await emptyFolder();
    const merged = await change(own, '--to', address);
    assert.deepEqual([await filesUnder(own), merged.code], [[], undefined]);
    assert.ok(most >= 2 && most <= 3, `${most} tiles and parts lay here at once`);
    const folder = await emptyFolder();
    await syncDelivery(delivery, folder);
    const list = join(await emptyFolder(), 'changes.geojson');
    const alone = await change(folder, '--to', list);
    assert.equal(String((await made(address)).get('embeddings/changes/33.geojson')), await readFile(list, 'utf8'));
    assert.equal(merged.stdout.replace(`${address}/embeddings/changes/33.geojson`, list), alone.stdout);
    assert.match(alone.stdout, /\n\d+ of 16 chips changed/);
    assert.equal((JSON.parse(await readFile(list, 'utf8')) as { features: object[] }).features.length, CHIPS);
    assert.equal(new Set(bucket.puts()).size, bucket.puts().length);
    bucket.watch();
    assert.deepEqual([(await change(await emptyFolder(), '--to', address)).stdout, bucket.puts()], [merged.stdout, []]);
    assert.match((await change(await emptyFolder(), '--to', address, '--shard', '0/2')).stdout, / 8 of them encoded before/); // prettier-ignore
    assert.deepEqual(bucket.puts(), []);
  });

  it('loses nothing that the bucket refuses, which is named: it stays here, and goes there later, not encoded again', async () => {
    const [address, own] = [await bucket.begin(delivery), await emptyFolder()];
    bucket.watch({ refused: /\.parquet$/ });
    const refused = await change(own, '--to', address, '--shard', '0/2');
    assert.match(refused.stderr, /^imagesim: cannot write s3:\/\/\S+\/embeddings\/change\/33\/\d{12}\/\S+\.parquet: access is denied: ask for .*s3:PutObject/); // prettier-ignore
    assert.equal(refused.code, 1);
    assert.equal((await filesUnder(own)).filter((path) => path.endsWith('.parquet')).length, 1);
    bucket.watch({ refused: /changes\/33\.geojson/ });
    await assert.rejects(change(own, '--to', address), /^SourceError: cannot write s3:\/\/\S+\/embeddings\/changes\/33\.geojson: access is denied/); // prettier-ignore
    assert.equal(bucket.puts().filter((key) => key.endsWith('.parquet')).length, QUADKEYS.length);
    bucket.watch();
    const { stdout } = await change(own, '--to', address);
    assert.match(stdout, /\/embeddings\/changes\/33\.geojson/);
    assert.deepEqual([bucket.puts(), await filesUnder(own)], [['embeddings/changes/33.geojson'], []]);
    await assert.rejects(change(own, '--to', `${address}/list.geojson`), /^RangeError: --to is s3:\S+list\.geojson: of a bucket name the prefix/); // prettier-ignore
  });

  it('makes a part again whose own words are damaged, and reads again what is real where that is: as they were', async () => {
    const address = await bucket.begin(delivery);
    const shard = ['--to', address, '--shard', '0/2'];
    await change(await emptyFolder(), ...shard);
    const whole = await made(address);
    const damaged = [...whole].map(([key, bytes]) => [key, bytes.toString('latin1').replace('{"format":1', '["format":1')] as const); // prettier-ignore
    for (const [key, text] of damaged) await bucket.upload(`${address.slice('s3://imagesim-storage/'.length)}/${key}`, Buffer.from(text, 'latin1')); // prettier-ignore
    assert.ok(damaged.every(([key, text]) => text !== whole.get(key)!.toString('latin1')));
    bucket.watch();
    const { stdout, stderr } = await change(await emptyFolder(), ...shard);
    assert.match(stdout, /^shard 0\/2: 8 chips seen twice, 0 of them encoded before/);
    assert.deepEqual([stderr, bucket.puts().toSorted(), await made(address)], ['', [...whole.keys()].toSorted(), whole]); // prettier-ignore
  });

  it(`is the same list, and nothing put twice, after the command was killed at each of its first ${KILLS} objects and begun again on an empty disk`, async function () {
    if (!process.env.IMAGESIM_PROOF) this.skip(); // throws
    const whole = await bucket.begin(delivery);
    await change(await emptyFolder(), '--to', whole);
    const expected = (await made(whole)).get('embeddings/changes/33.geojson');
    for (let kill = 1; kill <= KILLS; kill++) {
      const address = await bucket.begin(delivery);
      const env = { ...process.env, IMAGESIM_DATA: await emptyFolder() };
      const child = spawn(process.execPath, [cli, 'change', '--zone', '33', '--reach', '2', '--to', address], { env, stdio: 'ignore' }); // prettier-ignore
      const ended = once(child, 'close');
      let begun = 0;
      bucket.watch({
        before: ({ method }, next) => {
          if (method === 'PUT' && ++begun === kill + 1) child.kill('SIGKILL');
          return next();
        },
      });
      await ended;
      const early = bucket.puts();
      bucket.watch();
      await change(await emptyFolder(), '--to', address);
      assert.deepEqual((await made(address)).get('embeddings/changes/33.geojson'), expected, `after ${kill} objects`);
      assert.equal(
        new Set([...early, ...bucket.puts()]).size,
        early.length + bucket.puts().length,
        `after ${kill} objects`,
      );
    }
  });

  it('keeps what is of tiles that are there, of another encoder too; what is of others is removed on a disk, and told of a bucket', async () => {
    const folder = await emptyFolder();
    await cp(delivery, folder, { recursive: true, preserveTimestamps: true });
    const kept = async (): Promise<string[]> => filesUnder(join(folder, 'embeddings/change'));
    await change(folder);
    for (const shard of ['0/2', '1/2']) await change(folder, '--reach', '0', '--shard', shard);
    const before = await kept();
    assert.equal(before.length, 2 * QUADKEYS.length);
    await writeSmallTile(tilePath(folder, QUADKEYS[0], DAYS[1]), cellOf(33, QUADKEYS[0]), twoBlocks, 99);
    const { stderr } = await change(folder);
    assert.match(stderr, /^2 files in \S+\/embeddings\/change\/33 were of tiles that are no more, and are removed$/m);
    const after = await kept();
    assert.deepEqual(before.filter((path) => path.includes(QUADKEYS[1])), after.filter((path) => path.includes(QUADKEYS[1]))); // prettier-ignore
    assert.equal(after.filter((path) => path.includes(QUADKEYS[0])).length, 1);
    assert.ok(after.every((path) => path.includes(QUADKEYS[1]) || !before.includes(path)));
    const address = await bucket.begin(delivery);
    const own = await emptyFolder();
    await change(own, '--to', address);
    await bucket.upload(`${address.slice('s3://imagesim-storage/'.length)}/ard/33/${QUADKEYS[0]}/${DAYS[1]}/1030010000000023-visual.tif`, await readFile(tilePath(folder, QUADKEYS[0], DAYS[1]))); // prettier-ignore
    const objects = [...(await made(address)).keys()];
    const told = await change(own, '--to', address);
    assert.match(told.stderr, /^2 files in s3:\S+\/embeddings\/change\/33 are of tiles that are no more, as embeddings\/change\/33\/031133000000\/\S+: delete them$/m); // prettier-ignore
    const there = await made(address);
    assert.ok(objects.every((key) => there.has(key)));
  });
});
