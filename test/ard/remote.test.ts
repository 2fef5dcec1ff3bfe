import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { type CogOptions, SourceError, maskPng, openDelivery, openRaster, openSource, overviewPng, readTiles, realShare, surveyRasters, tilesOf, writeCog } from 'imagesim/ard'; // prettier-ignore
import { makeSampleTile } from 'imagesim/sample';
import sharp from 'sharp';
import { type Bucket, type Context, type Middleware, openBucket } from '../bucket.ts';
import { emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';

/** The answer of S3 to a request that it refuses. */
const refuse =
  (status: number, code: string): Middleware =>
  (context) => {
    context.status = status;
    context.type = 'application/xml';
    context.body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} it is</Message></Error>`;
  };

describe('ard raster in a bucket', () => {
  let bucket: Bucket;
  let local: string;
  let remote: string;
  let whole: Buffer;
  let ranges: string[];
  const count: Middleware = (context, next) => {
    if (context.method === 'GET') ranges.push(context.get('range'));
    return next();
  };
  /** Puts bytes under a name of their own. @returns the address */
  const put = async (name: string, bytes: Uint8Array | string): Promise<string> => {
    await bucket.upload(`odd/${name}`, bytes);
    return `s3://imagesim-storage/odd/${name}`;
  };

  before(async () => {
    bucket = await openBucket();
    const folder = await emptyFolder();
    const { files } = await makeSampleTile(folder, { scale: 'city' });
    local = join(folder, files[0]);
    whole = await readFile(local);
    remote = await put(basename(local), whole);
  });
  beforeEach(() => {
    ranges = [];
    bucket.between(count);
  });
  after(() => bucket.close());

  /** What a look at a tile takes, and that it shows what the copy on the disk shows. */
  async function sameAsLocal(path: string, address: string): Promise<{ requests: number; bytes: number }> {
    const raster = await openRaster(address);
    assert.ok(Buffer.compare(await overviewPng(raster), await overviewPng(path)) === 0);
    assert.ok(Buffer.compare(await maskPng(raster), await maskPng(path)) === 0);
    assert.equal(await realShare(raster), await realShare(path));
    await raster.close();
    return raster.traffic!;
  }

  it('draws overview and mask as from the local file, to the last byte', async () => {
    await sameAsLocal(local, remote);
    assert.ok(
      Buffer.compare(await overviewPng(remote, { width: 200 }), await overviewPng(local, { width: 200 })) === 0,
    );
    assert.ok(Buffer.compare(await maskPng(remote, { width: 1000 }), await maskPng(local, { width: 1000 })) === 0);
  });

  it('reads a fiftieth of the file at most for both, in four requests, and says so', async () => {
    const { requests, bytes } = await sameAsLocal(local, remote);
    assert.ok(requests <= 4, `${requests} requests`);
    assert.ok(bytes < whole.length / 50, `${bytes} of ${whole.length} bytes`);
    assert.equal(ranges.length, requests);
    assert.equal(ranges[0], 'bytes=0-65535');
    assert.equal(ranges.reduce((sum, range) => sum + bytesIn(range), 0), bytes); // prettier-ignore
  });

  it('knows all levels and masks of the file after one request', async () => {
    const [ours, theirs] = [await openRaster(remote), await openRaster(local)];
    assert.equal(ranges.length, 1);
    const tables = (raster: typeof ours): unknown =>
      raster.levels.map(({ offsets, byteCounts, mask, width }) => [
        width, [...Array.from(offsets), ...Array.from(byteCounts)], Array.from(mask!.offsets),
      ]); // prettier-ignore
    assert.deepEqual(tables(ours), tables(theirs));
    assert.deepEqual([ours.epsg, ours.origin, ours.size], [theirs.epsg, theirs.origin, whole.length]);
    assert.equal(theirs.traffic, undefined);
    await theirs.close();
  });

  it('reads windows of several blocks as from the local file, neighbours by one request', async () => {
    const [ours, theirs] = [await openRaster(remote), await openRaster(local)];
    for (const [level, column, row, width, height] of [[0, 12_000, 8_000, 1500, 900], [1, 6_100, 4_000, 700, 700], [3, 0, 0, 2176, 2176]]) {
      const before = ranges.length;
      const pixels = await ours.readWindow(column, row, width, height, level);
      assert.ok(pixels.some((value) => value > 0), 'the window holds a picture'); // prettier-ignore
      assert.ok(Buffer.compare(pixels, await theirs.readWindow(column, row, width, height, level)) === 0);
      const blockRows = Math.floor((row + height - 1) / 512) - Math.floor(row / 512) + 1;
      assert.ok(ranges.length - before <= blockRows, `${ranges.length - before} requests for ${blockRows} rows of blocks`);
    }
    assert.ok(Buffer.compare((await ours.readMask(1))!, (await theirs.readMask(1))!) === 0);
    await theirs.close();
  }); // prettier-ignore

  it('reads the raw bytes of blocks, and of sparse ones nothing', async () => {
    const [ours, theirs] = [await openRaster(remote), await openRaster(local)];
    const [{ mask }] = theirs.levels;
    for (const [column, row] of [[33, 16], [20, 20], [0, 0]]) {
      assert.deepEqual(await ours.readBytes(mask!, column, row), await theirs.readBytes(mask!, column, row));
    }
    assert.equal((await ours.readBytes(mask!, 0, 0)).length, 0);
    await theirs.close();
  }); // prettier-ignore

  it('reads one band, DEFLATE, as from the local file', async () => {
    const path = join(await emptyFolder(), 'grey.tif');
    const block = (column: number, row: number): { pixels: Uint8Array; mask: Uint8Array } => ({
      pixels: Uint8Array.from({ length: 512 * 512 }, (_, at) => 40 + ((at * (row + 2) + column * 37) % 200)),
      mask: new Uint8Array(512 * 512).fill(1),
    });
    await writeCog(path, { ...GREY, width: 1536, height: 1536, blocks: block });
    await sameAsLocal(path, await put('grey.tif', await readFile(path)));
  });

  it('gives the same picture from a server that fails one request in five, or breaks off', async () => {
    let asked = 0;
    bucket.between(async (context, next) => {
      asked++;
      if (asked % 5 === 1) return refuse(503, 'SlowDown')(context, next);
      if (asked % 5 === 3) return breakOff(context);
      await next();
    });
    const raster = await openRaster(remote);
    const window = [12_000, 8_000, 2000, 1000] as const;
    const pixels = await raster.readWindow(...window);
    const picture = await overviewPng(raster);
    bucket.between(undefined);
    assert.ok(asked > raster.traffic!.requests, 'some requests failed');
    const theirs = await openRaster(local);
    assert.ok(Buffer.compare(pixels, await theirs.readWindow(...window)) === 0);
    assert.ok(Buffer.compare(picture, await overviewPng(local)) === 0);
    await theirs.close();
  });

  it('reads rasters whose directories lie behind their pixels, in a few pages', async () => {
    for (const big of ['NO', 'YES']) {
      const path = join(await emptyFolder(), 'plain.tif');
      execFileSync('/usr/bin/python3', ['-c', PLAIN, path, big]);
      const address = await put('plain.tif', await readFile(path));
      await sameAsLocal(path, address);
      ranges = [];
      await openRaster(address);
      assert.ok(ranges.length <= 8, `${ranges.length} requests`);
    }
  });

  it('surveys tiles whose files are addresses, a request each', async () => {
    const address = await bucket.put(await sampleDelivery());
    const delivery = await openDelivery(address);
    const inside = await tilesOf(delivery);
    const tiles = inside.map((tile) => ({ ...tile, files: { visual: `${address}/${tile.files.visual}` } }));
    ranges = [];
    const surveys = await surveyRasters(tiles);
    assert.equal(ranges.length, tiles.length);
    assert.equal(tiles.length, 4);
    const disk = await surveyRasters(await readTiles(await sampleDelivery()));
    const told = (all: typeof surveys): unknown => all.map(({ placed, masked, overviews }) => [placed, masked, overviews]); // prettier-ignore
    assert.deepEqual(told(surveys), told(disk));
    assert.ok(surveys.every(({ placed, masked, overviews }) => placed && masked && overviews));
  });

  describe('says in one line what is wrong', () => {
    /** Rejects with a line that begins with the address where that is due. */
    const rejects = async (work: Promise<unknown>, line: RegExp): Promise<void> =>
      assert.rejects(work, (error: Error) => {
        assert.match(error.message, line);
        assert.ok(!error.message.includes('\n'), error.message);
        return true;
      });

    it('of an object that is not there, and of an address that names none', async () => {
      const gone = 's3://imagesim-storage/odd/gone.tif';
      await rejects(openRaster(gone), /^cannot read s3:\S+gone\.tif: there is no such file: check bucket, folders and name$/); // prettier-ignore
      await rejects(openRaster('s3://no-such/a/x.tif'), /^cannot read s3:\/\/no-such\/a\/x\.tif: there is no such bucket: check/); // prettier-ignore
      for (const address of ['s3://imagesim-storage', 's3://imagesim-storage/odd/', 's3://'])
        await rejects(openRaster(address), /^s3:\S* names no file: expected s3:\/\/bucket\/…/);
    });

    it('of one that may not be read', async () => {
      bucket.between(refuse(403, 'AccessDenied'));
      await rejects(overviewPng(remote), /^cannot read s3:\S+-visual\.tif: access is denied: ask for .*AWS_PROFILE/);
    });

    it('of what is no TIFF, or is empty', async () => {
      const page = await put('page.tif', '<html>not found</html>');
      await rejects(openRaster(page), /^s3:\S+page\.tif \(22 bytes\) is no TIFF that can be read: .*; put it there again$/);
      bucket.between(refuse(416, 'InvalidRange')); // so S3 answers for an object of no byte
      await rejects(openRaster(remote), /^cannot read s3:\S+-visual\.tif: it is empty: put it there again$/);
    }); // prettier-ignore

    it('of one shorter than its directory says, whether in its pixels or in the directory', async () => {
      const cut = await put('cut.tif', whole.subarray(0, whole.length - 1000));
      await rejects(openRaster(cut), /^s3:\S+cut\.tif is cut short: block \d+ ends at byte \d+, the file at \d+; put it there again$/); // prettier-ignore
      for (const length of [400, 5000, 20_000, 31_000]) {
        const short = await put('short.tif', whole.subarray(0, length));
        await rejects(openRaster(short), /^s3:\S+short\.tif .*put it there again$/);
      }
    });

    it('of one that changes under the reader', async () => {
      const address = await put('changing.tif', whole);
      const raster = await openRaster(address);
      await put('changing.tif', Buffer.concat([whole, Buffer.from('x')]));
      const line = /^cannot read s3:\S+changing\.tif: it has changed since it was opened: open it again$/;
      await rejects(raster.readWindow(12_000, 8_000, 600, 600), line);
      const wanted: string[] = [];
      bucket.between((context, next) => {
        wanted.push(context.get('if-match'));
        return refuse(412, 'PreconditionFailed')(context, next);
      });
      await rejects(overviewPng(raster), line);
      assert.deepEqual(wanted, [`"${createHash('md5').update(whole).digest('hex')}"`]);
      await assert.rejects(overviewPng(raster), SourceError);
    });

    it('of a server that knows no ranges, of whose answer it reads no more than was asked for', async () => {
      const server = await wholeServer(whole.length * 100);
      const line = new RegExp(
        String.raw`^cannot read s3:\S+-visual\.tif: the server was asked for bytes 0-65535 and sends the whole of ${whole.length * 100} bytes: bring the delivery to a disk`,
      );
      await rejects(openRaster(remote, { endpoint: server.endpoint, anonymous: true }), line);
      assert.ok(server.sent() < 20e6, `${server.sent()} bytes left the server`);
      server.close();
      const tiny = await openSource('s3://imagesim-storage/odd').readPart('page.tif', 0, 100);
      assert.equal(tiny.size, 22);
    });

    it('of one that has no mask, or no real pixel', async () => {
      const path = join(await emptyFolder(), 'bare.tif');
      await sharp({ create: { width: 600, height: 600, channels: 3, background: '#345' } }).tiff({ tile: true }).toFile(path); // prettier-ignore
      await rejects(openRaster(await put('bare.tif', await readFile(path))), /bare\.tif names no projection/);
      const empty = join(await emptyFolder(), 'void.tif');
      await writeCog(empty, { ...GREY, width: 1024, height: 1024, blocks: () => undefined });
      const address = await put('void.tif', await readFile(empty));
      await rejects(overviewPng(address), /^s3:\S+void\.tif holds no real pixel: leave it out$/);
      assert.equal(await realShare(address), 0);
    });
  });

  describe('on real tiles', () => {
    before(needsShared);
    it('shows what the file shows, for a tenth of it or so and in two requests', async () => {
      for (const { files, catid } of await readTiles(joplin)) {
        const { requests, bytes } = await sameAsLocal(files.visual, await put(`${catid}.tif`, await readFile(files.visual))); // prettier-ignore
        assert.ok(requests <= 2 && bytes < 600_000, `${requests} requests, ${bytes} bytes`);
      }
    });
  });

  describe('on a full tile', () => {
    before(function () {
      if (!process.env.IMAGESIM_PROOF) this.skip();
    });
    it('takes 0.5 of 87 MB and four requests', async () => {
      const folder = await emptyFolder();
      const { files } = await makeSampleTile(folder, { scale: 'full' });
      const path = join(folder, files[0]);
      const address = await put('full.tif', await readFile(path));
      const { requests, bytes } = await sameAsLocal(path, address);
      assert.ok(requests <= 4 && bytes < 500_000, `${requests} requests, ${bytes} bytes`);
    });
  });
});

/** Bytes that a header `bytes=0-9` asks for. */
function bytesIn(range: string): number {
  const [from, to] = range.slice('bytes='.length).split('-').map(Number);
  return to - from + 1;
}

const GREY: Omit<CogOptions, 'width' | 'height' | 'blocks'> = {
  bands: 1,
  epsg: 32633,
  origin: [269_843.75, 4_910_156.25],
  metresPerPixel: 0.30517578125,
};

/** rasterio writes a raster of noise that is no COG: tiled, its mask and overviews behind it. */
const PLAIN = `
import sys, numpy, rasterio
from rasterio.transform import from_origin
profile = dict(driver='GTiff', width=2048, height=2048, count=1, dtype='uint8', crs='EPSG:32633', transform=from_origin(3e5, 5e6, 1, 1),
               tiled=True, blockxsize=512, blockysize=512, compress='DEFLATE', BIGTIFF=sys.argv[2])
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
    with rasterio.open(sys.argv[1], 'w', **profile) as f:
        f.write(numpy.random.default_rng(33).integers(1, 255, (1, 2048, 2048), 'uint8'))
        f.write_mask(numpy.tri(2048, dtype='uint8') * 255)
    with rasterio.open(sys.argv[1], 'r+') as f: f.build_overviews([2, 4])
`;

/** Sends half of what it was asked for, then nothing more. */
function breakOff(context: Context): void {
  const [from, to] = context.get('range').slice('bytes='.length).split('-').map(Number);
  context.respond = false;
  context.res.writeHead(206, { 'content-length': to - from + 1, 'content-range': `bytes ${from}-${to}/${to + 1}` });
  context.res.write(Buffer.alloc((to - from) >> 1), () => context.res.destroy());
}

/** A server that answers every request with the whole of so many bytes, as long as somebody listens. */
async function wholeServer(size: number): Promise<{ endpoint: string; sent: () => number; close: () => void }> {
  let sent = 0;
  const server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-length': size, 'content-type': 'image/tiff' });
    const more = (): void => {
      for (let room = true; room && !answer.destroyed && sent < size; sent += 1 << 16)
        room = answer.write(Buffer.alloc(1 << 16));
    };
    answer.on('drain', more).on('error', () => undefined);
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, sent: () => sent, close: () => void server.close() };
}
