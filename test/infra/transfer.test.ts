import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Progress, openSource } from 'imagesim/ard';
import { type SyncOptions, syncDelivery } from 'imagesim/infra';
import seedrandom from 'seedrandom';
import { type Bucket, type Context, type Middleware, filesUnder, openBucket } from '../bucket.ts';
import { emptyFolder, joplin, sampleDelivery } from '../delivery.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const proof = process.env.IMAGESIM_PROOF !== undefined;

/** What a file's bytes come to, by which two copies are told apart. */
const sha256 = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

/** Every file below a folder with its checksum: temporary files too. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const files = await filesUnder(folder);
  const sums = await Promise.all(files.map((file) => sha256(join(folder, file))));
  return Object.fromEntries(files.map((file, index) => [file, sums[index]]));
}

/** A delivery of a few tiles of random bytes; `sizes` of their files. */
async function randomDelivery(sizes: number[]): Promise<string> {
  const folder = await emptyFolder();
  for (const [index, size] of sizes.entries()) {
    const cell = join(folder, 'ard/33', `03113301220${index % 4}`, `2023-01-0${1 + Math.floor(index / 4)}`);
    await mkdir(cell, { recursive: true });
    await writeFile(join(cell, '1040010000000001-visual.tif'), randomBytes(size));
  }
  return folder;
}

const isGet = ({ method, path }: Context): boolean => method === 'GET' && path.includes('-visual.tif');

/** Reads what the server answers, so that a test can send something else of it. */
async function bytesOf(context: Context): Promise<Buffer> {
  return Buffer.concat(await Readable.from(context.body as AsyncIterable<Buffer>).toArray());
}

/** Breaks an answer off after so many bytes, although all were announced. */
function breakingAfter(bytes: number): Middleware {
  return async (context, next) => {
    await next();
    if (!isGet(context)) return;
    const body = await bytesOf(context);
    if (body.length <= bytes) {
      context.body = body;
      return;
    }
    context.respond = false;
    context.res.writeHead(context.status, { 'Content-Length': body.length });
    context.res.write(body.subarray(0, bytes), () => context.res.destroy());
  };
}

/** Answers with so many bytes at a time, and a pause before each. */
function dripping(bytes: number, pauseMs: number): Middleware {
  return async (context, next) => {
    await next();
    if (!isGet(context)) return;
    const body = await bytesOf(context);
    context.set('Content-Length', String(body.length));
    const pieces = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < body.length; at += bytes) {
        await pause(pauseMs);
        yield body.subarray(at, at + bytes);
      }
    };
    context.body = Readable.from(pieces());
  };
}

describe('a sync from a bucket that does not behave', () => {
  let bucket: Bucket;
  before(async () => {
    bucket = await openBucket();
  });
  after(() => bucket.close());
  afterEach(() => bucket.between(undefined));

  /** Syncs with a middleware between. @returns what has come, and what was reported on the way */
  const syncThrough = async (
    address: string,
    middleware: Middleware | undefined,
    options: SyncOptions = {},
    data?: string,
  ): Promise<{ content: Record<string, string>; notes: string[] }> => {
    const folder = data ?? (await emptyFolder());
    const notes: string[] = [];
    const onProgress = ({ note }: Progress): void => void (note && notes.push(note));
    bucket.between(middleware);
    await syncDelivery(address, folder, { onProgress, ...options });
    return { content: await contentOf(folder), notes };
  };

  it('gets every byte from one that fails one request in five, of whatever kind', async () => {
    const delivery = await sampleDelivery();
    const address = await bucket.put(delivery);
    const whole = (await syncThrough(address, undefined)).content;
    let [requests, failed] = [0, 0];
    const failing: Middleware = async (context, next) => {
      if (++requests % 5 !== 0) return next();
      failed++;
      context.status = failed % 2 ? 500 : 503;
      context.type = 'application/xml';
      context.body = `<Error><Code>${failed % 2 ? 'InternalError' : 'SlowDown'}</Code><Message>Please reduce.</Message></Error>`;
    };
    assert.deepEqual((await syncThrough(address, failing)).content, whole);
    assert.ok(failed >= 5, `${failed} of ${requests}`);
  });

  it('goes on from the byte at which a connection broke, and asks for no byte twice', async () => {
    const delivery = await randomDelivery([900_000]);
    const address = await bucket.put(delivery);
    const ranges: string[] = [];
    const breaking = breakingAfter(250_000);
    const { content } = await syncThrough(address, (context, next) => {
      if (isGet(context)) ranges.push(context.get('range'));
      return breaking(context, next);
    });
    assert.deepEqual(content, await contentOf(delivery));
    assert.equal(ranges[0], '');
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range)?.[1]));
    assert.ok(starts.length >= 3 && starts.every((start, index) => start > (starts[index - 1] ?? 0)), ranges.join());
  });

  it('goes on with what a killed run left, and not with the half of an older object', async () => {
    const delivery = await randomDelivery([400_000, 400_000]);
    const address = await bucket.put(delivery);
    const data = await emptyFolder();
    const once100 = breakingAfter(100_000);
    const stopped = syncThrough(address, once100, { retries: 0, concurrency: 1 }, data);
    await stopped.catch(() => undefined);
    const halves = (await filesUnder(data)).filter((file) => file.endsWith('.part'));
    assert.deepEqual(halves, [], 'a transfer that makes progress does not end');
    const name = (await filesUnder(delivery))[1];
    await rm(join(data, name));
    await killedIn(address, data, name, bucket);
    const part = (await filesUnder(data)).filter((file) => file.endsWith('.part'));
    assert.equal(part.length, 1);
    const half = (await stat(join(data, part[0]))).size;
    assert.ok(half > 0 && half < 400_000, String(half));
    const ranges: string[] = [];
    const { content } = await syncThrough(address, (context, next) => {
      if (isGet(context)) ranges.push(context.get('range'));
      return next();
    }, {}, data); // prettier-ignore
    assert.deepEqual(ranges, [`bytes=${half}-`]);
    assert.deepEqual(content, await contentOf(delivery));

    await rm(join(data, name));
    await killedIn(address, data, name, bucket);
    const newer = randomBytes(400_000);
    await bucket.upload(`${address.split('/').slice(3).join('/')}/${name}`, newer);
    const after = await syncThrough(address, undefined, {}, data);
    assert.equal(after.content[name], createHash('sha256').update(newer).digest('hex'));
    assert.equal(Object.keys(after.content).length, 2);
  });

  it('takes a slow drip for alive, and a connection that says nothing more for broken', async () => {
    const delivery = await randomDelivery([60_000]);
    const address = await bucket.put(delivery);
    const drip = dripping(6000, 60);
    assert.deepEqual((await syncThrough(address, drip, { stallMs: 400 })).content, await contentOf(delivery));
    let hung = 0;
    const silent: Middleware = async (context, next) => {
      await next();
      if (!isGet(context) || hung++ > 0) return;
      const body = await bytesOf(context);
      context.respond = false;
      context.res.writeHead(context.status, { 'Content-Length': body.length });
      context.res.write(body.subarray(0, 20_000)); // and nothing more
    };
    assert.deepEqual((await syncThrough(address, silent, { stallMs: 400 })).content, await contentOf(delivery));
    assert.equal(hung, 2);
  });

  it('refuses bytes that are not those that the bucket states, says which, and keeps none of them', async () => {
    const delivery = await randomDelivery([50_000, 50_000]);
    const address = await bucket.put(delivery);
    const data = await emptyFolder();
    const flip: Middleware = async (context, next) => {
      await next();
      if (!isGet(context) || !context.path.includes('031133012201')) return;
      const body = await bytesOf(context);
      body[1234] ^= 1;
      context.body = body;
    };
    await assert.rejects(syncThrough(address, flip, { retries: 2 }, data), (error: Error) => {
      assert.match(error.message, /^s3:\/\/.*031133012201.*-visual\.tif arrived changed: md5 [0-9a-f]{32}, where [0-9a-f]{32} is stated: sync again/);
      return true;
    }); // prettier-ignore
    assert.ok(!existsSync(join(data, (await filesUnder(delivery))[1])));
    assert.deepEqual((await syncThrough(address, undefined, {}, data)).content, await contentOf(delivery));
  });

  it('gets over an answer that arrives changed once', async () => {
    const delivery = await randomDelivery([50_000]);
    const address = await bucket.put(delivery);
    let times = 0;
    const { content, notes } = await syncThrough(address, async (context, next) => {
      await next();
      if (!isGet(context) || times++ > 0) return;
      const body = await bytesOf(context);
      body[0] ^= 255;
      context.body = body;
    });
    assert.deepEqual(content, await contentOf(delivery));
    assert.ok(
      notes.some((note) => /arrived changed.*tries again/.test(note)),
      notes.join('\n'),
    );
  });

  it('refuses a wrong ETag where the bucket states no other checksum, and one that says nothing of the bytes counts as unverified', async () => {
    const delivery = await randomDelivery([50_000]);
    const address = await bucket.put(delivery);
    const tagged =
      (tag: string, encrypted: boolean): Middleware =>
      async (context, next) => {
        await next();
        if (context.query['list-type'] === '2') context.body = String(context.body).replaceAll(/(<ETag>).*?(<\/ETag>)/g, `$1"${tag}"$2`); // prettier-ignore
        if (context.method !== 'HEAD' && context.method !== 'GET') return;
        if (context.path.includes('-visual.tif')) context.set('ETag', `"${tag}"`);
        if (encrypted) context.set('x-amz-server-side-encryption', 'aws:kms');
      };
    const wrong = 'd41d8cd98f00b204e9800998ecf8427e';
    await assert.rejects(syncThrough(address, tagged(wrong, false), { retries: 1 }), /arrived changed: md5 .* where d41d8cd98f00b204e9800998ecf8427e is stated/); // prettier-ignore
    bucket.between(tagged(wrong, true));
    const { unverified } = await syncDelivery(address, await emptyFolder());
    assert.deepEqual(unverified, await filesUnder(delivery));
  });

  it('checks what was uploaded in parts by the sums of its parts', async () => {
    const body = randomBytes(5 * 2 ** 20 + 77);
    const md5 = (bytes: Buffer): Buffer => createHash('md5').update(bytes).digest();
    const parts = [body.subarray(0, 5 * 2 ** 20), body.subarray(5 * 2 ** 20)];
    const etag = `${md5(Buffer.concat(parts.map(md5))).toString('hex')}-2`; // as S3 makes it of a multipart upload
    const key = 'parts/ard/33/031133012200/2023-01-01/1040010000000001-visual.tif';
    await bucket.upload(key, body);
    let flipped = false;
    const inParts: Middleware = async (context, next) => {
      const part = context.query.partNumber;
      await next();
      if (context.query['list-type'] === '2') context.body = String(context.body).replaceAll(/(<ETag>).*?(<\/ETag>)/g, `$1"${etag}"$2`); // prettier-ignore
      if (!context.path.includes('-visual.tif')) return;
      context.set('ETag', `"${etag}"`);
      if (part === '1') context.set('Content-Length', String(parts[0].length));
      if (context.method !== 'GET' || !flipped) return;
      const bytes = await bytesOf(context);
      bytes[9] ^= 1;
      context.body = bytes;
    };
    bucket.between(inParts);
    const { unverified } = await syncDelivery('s3://imagesim-storage/parts', await emptyFolder());
    assert.deepEqual(unverified, []);
    flipped = true;
    await assert.rejects(syncDelivery('s3://imagesim-storage/parts', await emptyFolder(), { retries: 0 }), /arrived changed: md5-parts [0-9a-f]{32}-2, where [0-9a-f]{32}-2 is stated/); // prettier-ignore
  });

  it('says that the bucket denies access, and to which of its parts, at once', async () => {
    const address = await bucket.put(await randomDelivery([1000]));
    const denied =
      (what: (context: Context) => boolean): Middleware =>
      (context, next) => {
        if (!what(context)) return next();
        context.status = 403;
        context.type = 'application/xml';
        context.body = '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>';
        return undefined;
      };
    await assert.rejects(syncThrough(address, denied(() => true)), /^SourceError: cannot read s3:\/\/imagesim-storage\/orders\/\d+: access is denied: ask for s3:ListBucket and s3:GetObject there/); // prettier-ignore
    const data = await emptyFolder();
    await assert.rejects(
      syncThrough(address, denied(isGet), {}, data),
      /cannot read s3:.*-visual\.tif: access is denied/,
    );
    assert.deepEqual(await filesUnder(data), []);
  });

  it('says so of an object that may be listed and not looked at, and of one that is gone', async () => {
    const address = await bucket.put(await randomDelivery([1000]));
    for (const [status, line] of [[403, /-visual\.tif: access is denied: ask for/], [404, /-visual\.tif: there is no such file any more/]] as const) {
      const refused: Middleware = async (context, next) => {
        if (context.method === 'HEAD') context.status = status; // and no body that could say more
        else await next();
        if (context.query['list-type'] === '2') context.body = String(context.body).replaceAll(/(<ETag>).*?(<\/ETag>)/g, '$1"d41d8cd98f00b204e9800998ecf8427e-2"$2');
      };
      await assert.rejects(syncThrough(address, refused), line);
    }
  }); // prettier-ignore

  it('refuses a key that leads out of the data folder, before anything is moved', async () => {
    const address = await bucket.put(await randomDelivery([1000]));
    const data = await emptyFolder();
    for (const evil of [
      'demo-ard/../../evil.txt',
      'demo-ard/a/../../../evil',
      'demo-ard//etc/x',
      'demo-ard/two\tlines',
    ]) {
      const listing: Middleware = async (context, next) => {
        await next();
        if (context.query['list-type'] !== '2') return;
        const prefix = address.split('/').slice(3).join('/');
        const entry = `<Contents><Key>${prefix}/${evil}</Key><Size>4</Size><LastModified>2023-01-01T00:00:00.000Z</LastModified><ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag></Contents>`;
        const folder = `<CommonPrefixes><Prefix>${prefix}/demo-ard/</Prefix></CommonPrefixes>`;
        if (context.query.delimiter) context.body = String(context.body).replace('</ListBucketResult>', `${folder}</ListBucketResult>`); // prettier-ignore
        else if (context.query.prefix?.includes('demo-ard')) context.body = String(context.body).replace('</ListBucketResult>', `${entry}</ListBucketResult>`); // prettier-ignore
      };
      const line = `${address} holds a key that leads out of its place, ${JSON.stringify(evil)}: nothing was moved; have it removed there`;
      await assert.rejects(syncThrough(address, listing, {}, data), new Error(line));
    }
    assert.deepEqual(await filesUnder(data), []);
  });

  describe('onto a small disk', () => {
    let disk: string;
    before(async function () {
      disk = await emptyFolder();
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], { stdio: 'ignore' });
      } catch {
        console.log('      skipped: a small disk cannot be mounted by this user');
        this.skip();
      }
    });
    after(() => {
      if (existsSync(disk)) execFileSync('umount', [disk], { stdio: 'ignore' });
    });

    it('is refused before a byte moves where it cannot hold what is missing', async () => {
      const address = await bucket.put(await randomDelivery([3_000_000]));
      await assert.rejects(
        syncDelivery(address, disk),
        /^Error: 3\.0 MB are missing in .*, whose disk has 2\.\d MB free: free some space, set IMAGESIM_DATA/,
      );
      assert.deepEqual(readdirSync(disk), []);
      assert.equal((await syncDelivery(address, disk, { dryRun: true })).plan.missingBytes, 3_000_000);
    });

    it('holds the rest of a file whose first part is there already', async () => {
      const delivery = await randomDelivery([1_200_000]);
      const address = await bucket.put(delivery);
      await writeFile(join(disk, 'other'), randomBytes(400_000)); // leaves room for the file, and not for it again
      const name = (await filesUnder(delivery))[0];
      await killedIn(address, disk, name, bucket);
      const part = (await filesUnder(disk)).find((file) => file.endsWith('.part'))!;
      await writeFile(join(disk, part), (await readFile(join(delivery, name))).subarray(0, 1_000_000));
      await syncDelivery(address, disk);
      assert.equal(await sha256(join(disk, name)), await sha256(join(delivery, name)));
      await rm(join(disk, 'ard'), { recursive: true });
      await rm(join(disk, 'other'));
    });

    it('that fills up on the way keeps whole files only, says so, and takes the rest when there is room', async () => {
      const delivery = await randomDelivery([700_000, 700_000]);
      const address = await bucket.put(delivery);
      const other = join(disk, 'other');
      let filled: Promise<void> | undefined; // once: written again it would give room for a moment, and find none itself
      const filling: Middleware = async (context, next) => {
        if (isGet(context)) await (filled ??= writeFile(other, randomBytes(1_500_000)));
        return next();
      };
      await assert.rejects(
        syncThrough(address, filling, { concurrency: 2 }, disk),
        /cannot write .*-visual\.tif: the disk is full: free some space, or set IMAGESIM_DATA/,
      );
      assert.deepEqual((await filesUnder(disk)).filter((file) => file.endsWith('.part')), []); // prettier-ignore
      await rm(other);
      assert.deepEqual((await syncThrough(address, undefined, {}, disk)).content, await contentOf(delivery));
    });
  });

  it('reads an object again that has changed between two looks, at the listing’s word only', async () => {
    const delivery = await randomDelivery([1000]);
    const address = await bucket.put(delivery);
    const changed: Middleware = (context, next) => {
      if (!isGet(context)) return next();
      context.status = context.get('if-match') ? 412 : 200;
      context.type = 'application/xml';
      context.body = '<Error><Code>PreconditionFailed</Code><Message>It differs.</Message></Error>';
      return undefined;
    };
    await assert.rejects(syncThrough(address, changed), /-visual\.tif: it has changed since it was listed: run again/);
  });

  it('second run asks for no object, whatever was touched in between', async () => {
    const delivery = await sampleDelivery();
    const address = await bucket.put(delivery);
    const data = await emptyFolder();
    await syncDelivery(address, data);
    for (const file of await filesUnder(data)) await utimes(join(data, file), new Date(), new Date());
    let asked = 0;
    const { plan } = await (async () => {
      bucket.between((context, next) => {
        if (isGet(context)) asked++;
        return next();
      });
      return syncDelivery(address, data);
    })();
    assert.deepEqual([plan.missing, asked], [0, 0]);
    const item = (await filesUnder(data)).find((file) => file.endsWith('-visual.tif'))!;
    const bytes = await readFile(join(data, item));
    bytes[bytes.length - 1] ^= 1; // same size, other content
    await writeFile(join(data, item), bytes);
    assert.equal((await syncDelivery(address, data)).moved, 1);
    assert.equal(await sha256(join(data, item)), await sha256(join(delivery, item)));
  });
});

/** Runs a sync in a process of its own, slowed down, and kills it while one file is half there. */
async function killedIn(address: string, data: string, file: string, bucket: Bucket): Promise<void> {
  bucket.between(async (context, next) => {
    await next();
    if (!isGet(context)) return;
    const body = await bytesOf(context);
    context.set('Content-Length', String(body.length));
    context.body = Readable.from((async function* () {
      for (let at = 0; at < 200_000; at += 50_000) {
          yield body.subarray(at, at + 50_000);
          await pause(150);
        }
      await pause(20_000, undefined, { ref: false });
    })()); // prettier-ignore
  });
  const child = spawn(process.execPath, [cli, 'sync', address], { env: { ...process.env, ...bucket.env, IMAGESIM_DATA: data }, stdio: 'ignore' }); // prettier-ignore
  const folder = join(data, file, '..');
  const half = (): boolean =>
    existsSync(folder) &&
    readdirSync(folder).some((name) => name.endsWith('.part') && statSize(join(folder, name)) > 0);
  for (let waited = 0; !half() && waited < 200; waited++) await pause(50);
  child.kill('SIGKILL');
  await once(child, 'exit');
  bucket.between(undefined);
}

function statSize(path: string): number {
  try {
    return Number(execFileSync('stat', ['-c', '%s', path], { stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return 0;
  }
}

describe('a sync killed at a random moment and started again', function () {
  this.timeout(proof ? 1_800_000 : 120_000);
  const rounds = proof ? 100 : 3;
  let bucket: Bucket;
  before(async () => {
    bucket = await openBucket();
  });
  after(() => bucket.close());

  /** Kills a run after so many milliseconds, where it has not ended. @returns whether it was killed */
  const kill = async (address: string, data: string, ms: number): Promise<boolean> => {
    const child = spawn(process.execPath, [cli, 'sync', address], { env: { ...process.env, ...bucket.env, IMAGESIM_DATA: data }, stdio: 'ignore' }); // prettier-ignore
    const timer = setTimeout(() => child.kill('SIGKILL'), ms);
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
    clearTimeout(timer);
    return signal === 'SIGKILL';
  };

  it(`ends byte for byte as one that was not, with no temporary file, ${rounds} times`, async () => {
    const delivery = await randomDelivery([300_000, 5_000, 800_000, 20, 400_000, 90_000]);
    const address = await bucket.put(delivery);
    const expected = await contentOf(delivery);
    const random = seedrandom.alea('kill');
    bucket.between(dripping(40_000, 12));
    let [killed, halves] = [0, 0];
    for (let round = 0; round < rounds; round++) {
      const data = await emptyFolder();
      for (let times = 0; times < 3 && (await kill(address, data, 250 + 500 * random())); times++) {
        killed++;
        halves += (await filesUnder(data)).filter((file) => file.endsWith('.part')).length;
      }
      await syncDelivery(address, data);
      assert.deepEqual(await contentOf(data), expected, `round ${round}`);
      await rm(data, { recursive: true });
    }
    console.log(`      ${killed} kills, ${halves} half-written files found after them`);
    assert.ok(killed >= rounds / 2, `${killed} kills`);
  });

  it('brings the sample whole, and Joplin where it is there', async () => {
    for (const delivery of [await sampleDelivery(), ...(existsSync(joplin) ? [joplin] : [])]) {
      bucket.between(undefined);
      const address = await bucket.put(delivery);
      const data = await emptyFolder();
      await kill(address, data, 600);
      await syncDelivery(address, data);
      for (const [file, sum] of Object.entries(await contentOf(join(data, 'ard')))) {
        assert.equal(sum, await sha256(join(delivery, 'ard', file)), file);
      }
      assert.equal((await syncDelivery(address, data)).moved, 0);
    }
  });

  it('is not disturbed by another that runs at the same time, even over what a third left', async () => {
    const delivery = await randomDelivery(Array.from({ length: 8 }, () => 400_000));
    const address = await bucket.put(delivery);
    const expected = await contentOf(delivery);
    bucket.between(dripping(40_000, 25));
    for (let round = 0; round < (proof ? 20 : 1); round++) {
      const data = await emptyFolder();
      await kill(address, data, 900);
      const run = (): Promise<number | null> => {
        const child = spawn(process.execPath, [cli, 'sync', address, '--concurrency', '2'], { env: { ...process.env, ...bucket.env, IMAGESIM_DATA: data }, stdio: 'inherit' }); // prettier-ignore
        return once(child, 'exit').then(([code]) => code as number | null);
      };
      assert.deepEqual(await Promise.all([run(), pause(150).then(run)]), [0, 0]);
      assert.deepEqual(await contentOf(data), expected);
    }
  });

  it('takes a folder as it takes a bucket', async () => {
    const delivery = await sampleDelivery();
    const data = await emptyFolder();
    await kill(delivery, data, 300);
    await syncDelivery(delivery, data);
    const again = await syncDelivery(delivery, data);
    assert.equal(again.moved, 0);
    for (const file of await filesUnder(join(data, 'ard')))
      assert.equal(await sha256(join(data, 'ard', file)), await sha256(join(delivery, 'ard', file)), file);
    assert.ok((await filesUnder(data)).every((file) => !file.endsWith('.part')));
    assert.equal((await openSource(data).top()).folders.includes('ard'), true);
  });
});
