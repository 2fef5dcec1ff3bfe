import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { openRaster, readTiles } from 'imagesim/ard';
import { type CropOptions, cropQuarters } from 'imagesim/chips';
import { fromFile } from 'geotiff';
import seedrandom from 'seedrandom';
import sharp, { type JpegOptions } from 'sharp';
import { joplin, needsShared } from '../delivery.ts';

const proof = process.env.IMAGESIM_PROOF !== undefined;
const NONE = new Uint8Array(0);
const QUARTERS = [0, 1, 2, 3];
const northWest = (quarter: number): [left: number, top: number] => [(quarter & 1) * 256, (quarter >> 1) * 256];

/** Noise, waves and flat ground side by side, `[512, 512, 3]`. */
function ground(seed: string, noise = 60): Buffer {
  const random = seedrandom(seed);
  return Buffer.from(
    Array.from({ length: 512 * 512 * 3 }, (_, index) => {
      const [x, y, band] = [Math.floor(index / 3) % 512, Math.floor(index / 1536), index % 3];
      const wave = 120 + 100 * Math.sin((x * (band + 1)) / 40) * Math.cos(y / (20 + 10 * band));
      return x > 400 ? 90 + band * 40 : Math.max(0, Math.min(255, wave + noise * (random() - 0.5)));
    }),
  );
}

async function encode(pixels: Buffer, options: JpegOptions): Promise<Buffer> {
  const image = sharp(pixels, { raw: { width: 512, height: 512, channels: 3 } });
  return image.jpeg({ optimiseCoding: false, ...options }).toBuffer();
}

/** A grey block. */
async function encodeGrey(pixels: Buffer, options: JpegOptions): Promise<Buffer> {
  const image = sharp(pixels, { raw: { width: 512, height: 512, channels: 3 } });
  return image.toColourspace('b-w').jpeg(options).toBuffer();
}

function crop(block: Uint8Array, tables: Uint8Array = NONE, options: CropOptions = {}): Uint8Array[] {
  const files = cropQuarters(block, tables, options);
  return files.map((file) => file ?? assert.fail('it fell back'));
}

/** Pixels as libjpeg decodes them. */
async function decode(jpeg: Uint8Array): Promise<{ data: Buffer; width: number; bands: number }> {
  const { data, info } = await sharp(jpeg, { failOn: 'warning' }).raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, bands: info.channels };
}

/**
 * A chip's pixels are those of its quarter of the block, byte for byte.
 *
 * @param inset pixels at each edge that are not looked at: where chroma is halved, libjpeg interpolates the outermost from
 *   the next square of the block, which the chip does not have. jpegtran's pixels below settle those.
 */
async function assertSame(whole: Uint8Array, file: Uint8Array, quarter: number, inset: number): Promise<void> {
  const [block, chip] = await Promise.all([decode(whole), decode(file)]);
  assert.deepEqual([block.width, chip.width, chip.bands], [512, 256, block.bands]);
  const [left, top] = northWest(quarter);
  const length = (256 - 2 * inset) * chip.bands;
  for (let row = inset; row < 256 - inset; row++) {
    const ours = (row * 256 + inset) * chip.bands;
    const theirs = ((row + top) * 512 + left + inset) * chip.bands;
    const same = chip.data.subarray(ours, ours + length).equals(block.data.subarray(theirs, theirs + length));
    assert.ok(same, `row ${row} of quarter ${quarter}`);
  }
}

function run(command: string, args: string[], input: Uint8Array): Buffer {
  const { status, stdout, stderr } = spawnSync(command, args, { input, maxBuffer: 1 << 24 });
  assert.equal(status, 0, stderr?.toString());
  return stdout;
}

/**
 * The oracle is jpegtran: `jpegtran -crop 256x256+256+0 block.jpg`. Coefficients are equal where `jpegtran -optimize`
 * makes the same file of both, as that depends on nothing else; pixels where `djpeg` does.
 */
function assertAsJpegtran(whole: Uint8Array, file: Uint8Array, quarter: number): void {
  const [left, top] = northWest(quarter);
  const theirs = run('jpegtran', ['-crop', `256x256+${left}+${top}`], whole);
  const normal = ['-optimize', '-copy', 'none'];
  assert.ok(run('jpegtran', normal, theirs).equals(run('jpegtran', normal, file)), `coefficients of ${quarter}`);
  for (const args of [[], ['-nosmooth']])
    assert.ok(run('djpeg', args, theirs).equals(run('djpeg', args, file)), `pixels of ${quarter}`);
}

/** All quarters of a block in the long form, else two of them, others for the next block. */
function assertQuarters(whole: Uint8Array, files: readonly Uint8Array[], at: number): void {
  for (const [quarter, file] of files.entries())
    if (proof || quarter % 2 === at % 2) assertAsJpegtran(whole, file, quarter);
}

const needsJpegtran: Mocha.Func = function () {
  if (spawnSync('jpegtran', ['-version']).status === 0) return;
  console.log('      skipped: jpegtran is not there (apt-get install libjpeg-turbo-progs)');
  this.skip();
};

/** A copy with some bytes set; `at` counts from the header of a marker, its length included. */
function patched(jpeg: Uint8Array, marker: number, at: number, ...values: number[]): Uint8Array {
  const copy = Uint8Array.from(jpeg);
  copy.set(values, copy.findIndex((byte, index) => byte === 0xff && copy[index + 1] === marker) + 2 + at); // prettier-ignore
  return copy;
}

const kinds: { name: string; options: JpegOptions; noise?: number; inset: number }[] = [
  { name: '4:2:0', options: { quality: 85 }, inset: 1 },
  { name: '4:2:0 with Huffman tables of its own', options: { quality: 85, optimiseCoding: true }, inset: 1 },
  { name: '4:2:0 of low quality', options: { quality: 5, optimiseCoding: true }, inset: 1 },
  { name: '4:2:0 full of noise', options: { quality: 98 }, noise: 900, inset: 1 },
  { name: '4:4:4', options: { quality: 90, chromaSubsampling: '4:4:4' }, inset: 0 },
  { name: '4:4:4 full of noise', options: { quality: 100, chromaSubsampling: '4:4:4' }, noise: 900, inset: 0 },
];

describe('chips cut out of JPEG blocks without decoding', () => {
  for (const { name, options, noise, inset } of kinds) {
    it(`have the pixels of a block of ${name}`, async () => {
      const whole = await encode(ground(name, noise), options);
      for (const [quarter, file] of crop(whole).entries()) await assertSame(whole, file, quarter, inset);
    });
  }

  it('have the pixels of a grey block and of a flat one', async () => {
    const grey = await encodeGrey(ground('grey'), { quality: 80 });
    for (const [quarter, file] of crop(grey, NONE, { photometric: 'grey' }).entries())
      await assertSame(grey, file, quarter, 0);
    const flat = await encode(Buffer.alloc(512 * 512 * 3, 77), { optimiseCoding: true });
    for (const [quarter, file] of crop(flat).entries()) await assertSame(flat, file, quarter, 0);
  });

  it('take shared tables with their marks or without, and the block’s own before them', async () => {
    const [coarse, fine] = await Promise.all([10, 95].map(async (quality) => encode(ground('tables'), { quality })));
    const tables = [0xdb, 0xc4].flatMap((marker) => segmentsOf(fine, marker));
    const bare = Buffer.concat([Buffer.of(0xff, 0xd8), ...[0xc0, 0xda].flatMap((marker) => segmentsOf(fine, marker)), fine.subarray(dataAt(fine))]); // prettier-ignore
    const expected = crop(fine);
    assert.deepEqual(crop(bare, Buffer.concat(tables)), expected);
    assert.deepEqual(crop(bare, Buffer.concat([Buffer.of(0xff, 0xd8), ...tables, Buffer.of(0xff, 0xd9)])), expected);
    assert.deepEqual(crop(fine, coarse), expected);
    assert.throws(() => cropQuarters(bare, NONE), /^Error: damaged JPEG: it lacks a table that it names$/);
  });

  it('take each block’s own tables before shared ones that were used before, and shared ones with gaps', async () => {
    const [coarse, fine] = await Promise.all([10, 95].map(async (quality) => encode(ground('tables'), { quality, optimiseCoding: true }))); // prettier-ignore
    const tables = Buffer.concat(segmentsOf(fine, 0xc4));
    const expected = [crop(fine), crop(coarse)];
    assert.deepEqual([crop(fine, tables), crop(coarse, tables), crop(fine, tables)], [expected[0], expected[1], expected[0]]); // prettier-ignore
    const bare = Buffer.concat([Buffer.of(0xff, 0xd8), ...[0xdb, 0xc0, 0xda].flatMap((marker) => segmentsOf(fine, marker)), fine.subarray(dataAt(fine))]); // prettier-ignore
    const others = Buffer.concat(segmentsOf(fine, 0xc4).filter((segment) => (segment[4] & 15) === 1)); // none of number 0
    for (const round of ['first', 'second'])
      assert.throws(() => cropQuarters(bare, others), /^Error: damaged JPEG: it lacks a table that it names$/, round);
    assert.deepEqual(crop(bare, tables), expected[0]);
  });

  it('stay as they are when others are cut', async () => {
    const [one, other] = await Promise.all(['one', 'other'].map(async (seed) => encode(ground(seed), { quality: 85 })));
    const files = crop(one);
    const before = files.map((file) => Buffer.from(file));
    crop(other);
    assert.deepEqual(files.map((file) => Buffer.from(file)), before); // prettier-ignore
  });

  describe('with differences that the block’s own table lacks', () => {
    let whole: Buffer;
    before(async () => {
      const ramp = Buffer.from(
        Array.from({ length: 512 * 512 * 3 }, (_, at) => 128 + ((Math.floor(at / 3) % 512) >> 2)),
      );
      whole = await encode(ramp, { quality: 90, optimiseCoding: true });
    });

    it('bring codes for them', async () => {
      const files = crop(whole);
      assert.ok(segmentsOf(files[0], 0xc4)[0].length > segmentsOf(whole, 0xc4)[0].length);
      for (const [quarter, file] of files.entries()) await assertSame(whole, file, quarter, 0);
    });

    it('fall back where the table has no room for more codes', async () => {
      const [table] = segmentsOf(whole, 0xc4);
      const counts = table.subarray(5, 21);
      const longest = counts.findLastIndex((count) => count > 0) + 1;
      const filled = Buffer.concat([table, Buffer.alloc(16 - longest, 15)]); // no square uses them
      filled.set([filled.length - 2], 3);
      filled.fill(1, 5 + longest, 21);
      const at = whole.indexOf(table);
      const block = Buffer.concat([whole.subarray(0, at), filled, whole.subarray(at + table.length)]);
      assert.deepEqual((await decode(block)).data, (await decode(whole)).data);
      assert.deepEqual(cropQuarters(block, NONE), QUARTERS.map(() => undefined)); // prettier-ignore
    });
  });

  it('are RGB where the TIFF says so, whatever decoders guess', async () => {
    const whole = await encode(ground('rgb'), { quality: 95, chromaSubsampling: '4:4:4' });
    const [file] = crop(whole, NONE, { photometric: 'rgb', quarters: [3] });
    const [inColour] = crop(whole, NONE, { quarters: [3] });
    const [{ data: raw }, { data: colour }] = await Promise.all([decode(file), decode(inColour)]);
    for (let at = 0; at < raw.length; at += 3) {
      const [y, cr] = [raw[at], raw[at + 2]];
      const red = Math.max(0, Math.min(255, y + 1.402 * (cr - 128))); // ITU-T T.871, 7
      assert.ok(Math.abs(red - colour[at]) <= 1, `pixel ${at / 3}: ${red}, ${colour[at]}`);
    }
  });

  it('are made for the quarters that are asked for, in that order, and leave the block as it is', async () => {
    const whole = await encode(ground('order'), { quality: 80, optimiseCoding: true });
    const before = Buffer.from(whole);
    const all = crop(whole);
    assert.ok(whole.equals(before));
    assert.deepEqual(crop(whole, NONE, { quarters: [2, 0] }), [all[2], all[0]]);
    assert.deepEqual(crop(whole, NONE, { quarters: [] }), []);
    assert.throws(() => cropQuarters(whole, NONE, { quarters: [4] }), /^RangeError: cropQuarters requires quarters of 0–3, got 4$/); // prettier-ignore
  });

  it('fall back where the coding is another one', async () => {
    const whole = await encode(ground('fallback'), {});
    const grey = await encodeGrey(ground('fallback'), {});
    const others = {
      progressive: await encode(ground('fallback'), { progressive: true }),
      arithmetic: patched(whole, 0xc0, -1, 0xc9),
      twelveBits: patched(whole, 0xc0, 2, 12),
      mcuOf24Pixels: patched(whole, 0xc0, 9, 0x31),
      severalScans: patched(patched(whole, 0xda, 0, 0, 8), 0xda, 2, 1),
      oneComponent: grey,
    };
    for (const [name, block] of Object.entries(others))
      assert.deepEqual(cropQuarters(block, NONE), QUARTERS.map(() => undefined), name); // prettier-ignore
    assert.deepEqual(cropQuarters(whole, NONE, { photometric: 'grey', quarters: [1] }), [undefined]);
  });

  it('name what is damaged in a block', async () => {
    const whole = await encode(ground('damage'), {});
    const data = dataAt(whole);
    const marked = Uint8Array.from(whole);
    marked.set([0xff, 0xd0], data + 1000);
    const damages: [Uint8Array, RegExp][] = [
      [NONE, /does not begin as one/],
      [whole.subarray(0, 2), /holds no data/],
      [whole.subarray(0, 100), /header at byte \d+ is cut short/],
      [whole.subarray(0, data), /is cut short/],
      [whole.subarray(0, whole.length - 2), /is cut short/],
      [Buffer.concat([whole.subarray(0, whole.length >> 1), Buffer.of(0xff, 0xd9)]), /data end before its pixels do/],
      [Buffer.concat([whole.subarray(0, -2), Buffer.alloc(9), whole.subarray(-2)]), /data hold more than its pixels/],
      [marked, /restarts/],
      [patched(whole, 0xc0, 3, 0xff, 0xff), /it is 512 × 65535 px: expected 512 square/],
      [patched(whole, 0xc0, 9, 0x44), /its MCU has 18 squares/],
      [patched(whole, 0xc0, 9, 0), /frame makes no sense/],
      [patched(whole, 0xc4, 0, 0xff), /is cut short or none/],
      [patched(whole, 0xc4, 3, 3), /Huffman table/],
      [patched(whole, 0xdb, 2, 0x44), /quantisation table is cut short or none/],
      [patched(whole, 0xda, 3, 9), /scan names a component/],
      [patched(whole, 0xda, 4, 0x33), /lacks a table/],
    ];
    for (const [block, message] of damages) assert.throws(() => cropQuarters(block, NONE), message);
  });

  it('come whole or not at all from 300 blocks with random damage', async () => {
    const random = seedrandom('corruption');
    const blocks = [
      await encode(ground('a'), { quality: 60 }),
      await encode(ground('b', 10), { optimiseCoding: true }),
    ];
    let refused = 0;
    for (let trial = 0; trial < 300; trial++) {
      const block = Buffer.from(blocks[trial & 1]);
      const reach = trial % 3 ? block.length : dataAt(block); // a third of them in the headers
      for (let count = 1 + Math.floor(random() * 4); count > 0; count--)
        block[Math.floor(random() * reach)] = Math.floor(random() * 256);
      const cut = trial % 10 ? block : block.subarray(0, Math.floor(random() * block.length));
      try {
        for (const file of cropQuarters(cut, NONE)) if (file) assert.equal((await decode(file)).width, 256);
      } catch (error) {
        assert.match(String(error), /^Error: damaged JPEG: [^\n]+$/, `trial ${trial}`);
        refused++;
      }
    }
    assert.ok(refused > 100 && refused < 290, `${refused} refused`);
  });

  describe('as jpegtran cuts them', () => {
    before(needsJpegtran);

    for (const [at, { name, options, noise }] of kinds.entries()) {
      it(`from a block of ${name}`, async () => {
        const whole = await encode(ground(name, noise), options);
        assertQuarters(whole, crop(whole), at);
      });
    }

    const codings = [
      ['-sample', '2x1'],
      ['-sample', '1x2'],
      ['-sample', '4x2'],
      ['-restart', '1'],
      ['-restart', '7B'],
      ['-restart', '1B', '-optimize'],
      ['-restart', '100B', '-sample', '1x1'],
      ['-quality', '3'],
      ['-rgb'],
      ['-grayscale', '-restart', '13B'],
    ];
    for (const [at, args] of codings.entries()) {
      it(`from a block of cjpeg ${args.join(' ')}`, () => {
        const whole = run('cjpeg', args, Buffer.concat([Buffer.from('P6 512 512 255\n'), ground(args.join())]));
        const photometric = args.includes('-rgb') ? 'rgb' : args.includes('-grayscale') ? 'grey' : 'ycbcr';
        const files = crop(whole, NONE, { photometric });
        assertQuarters(whole, files, at);
      });
    }
  });

  describe('on real imagery', () => {
    before(needsShared);

    it('have the pixels of Joplin’s blocks', async () => {
      for (const { whole, block, tables } of await realBlocks(8)) {
        for (const [quarter, file] of crop(block, tables).entries()) await assertSame(whole, file, quarter, 1);
      }
    });

    it('are as jpegtran cuts them', async function () {
      needsJpegtran.call(this, () => undefined);
      for (const [at, { whole, block, tables }] of (await realBlocks(proof ? 8 : 2)).entries())
        assertQuarters(whole, crop(block, tables), at);
    });
  });
});

/** Some blocks of each tile of Joplin, spread over it. */
async function realBlocks(count: number): Promise<{ whole: Buffer; block: Buffer; tables: Uint8Array }[]> {
  const found: { whole: Buffer; block: Buffer; tables: Uint8Array }[] = [];
  for (const { files } of await readTiles(joplin)) {
    const raster = await openRaster(files.visual);
    const tiff = await fromFile(files.visual);
    const value = await (await tiff.getImage()).fileDirectory.loadValue('JPEGTables');
    const tables = Uint8Array.from(value as unknown as ArrayLike<number>);
    const [level] = raster.levels;
    const places = [...Array.from(level.byteCounts).keys()].filter((place) => level.byteCounts[place] > 0);
    for (let index = 0; index < count; index++) {
      const place = places[Math.floor((index * places.length) / count)];
      const block = await raster.readBytes(level, place % level.blocksAcross, Math.floor(place / level.blocksAcross));
      found.push({ whole: Buffer.concat([block.subarray(0, 2), tables.subarray(2, -2), block.subarray(2)]), block, tables }); // prettier-ignore
    }
    await raster.close();
    await tiff.close();
  }
  return found;
}

/** Headers of one kind, each with its marker. */
function segmentsOf(jpeg: Uint8Array, marker: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 2; at < dataAt(jpeg);) {
    const end = at + 2 + ((jpeg[at + 2] << 8) | jpeg[at + 3]);
    if (jpeg[at + 1] === marker) found.push(jpeg.subarray(at, end));
    at = end;
  }
  return found;
}

/** Where the code stream begins. */
function dataAt(jpeg: Uint8Array): number {
  let at = 2;
  for (let marker = 0; marker !== 0xda; at += 2 + ((jpeg[at + 2] << 8) | jpeg[at + 3])) marker = jpeg[at + 1];
  return at;
}
