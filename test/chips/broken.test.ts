import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { constants, deflateSync, gzipSync } from 'node:zlib';
import { parseCell } from 'imagesim/ard';
import { readNodataIndex } from 'imagesim/chips';
import seedrandom from 'seedrandom';
import { emptyFolder } from '../delivery.ts';
import { runChip, writeSmallTile } from './small.ts';

const proof = process.env.IMAGESIM_PROOF !== undefined;
const cell = parseCell('Z33-031133012203');
const WHOLE_TILE = '2020-01-01';

/** An entry of a TIFF's directory, and where in the file it lies. */
interface Entry {
  directory: number;
  tag: number;
  type: number;
  count: number;
  at: number;
}

/** Every entry of a little-endian TIFF's directories, and the places of the links between them. */
function entriesOf(tiff: Buffer): { entries: Entry[]; links: number[] } {
  const entries: Entry[] = [];
  const links = [4];
  for (let at = tiff.readUInt32LE(4); at !== 0; at = tiff.readUInt32LE(links.at(-1))) {
    const count = tiff.readUInt16LE(at);
    for (let index = 0; index < count; index++) {
      const place = at + 2 + 12 * index;
      const [tag, type] = [tiff.readUInt16LE(place), tiff.readUInt16LE(place + 2)];
      entries.push({ directory: links.length - 1, tag, type, count: tiff.readUInt32LE(place + 4), at: place });
    }
    links.push(at + 2 + 12 * count);
  }
  return { entries, links };
}

/** The first full block of a directory: where in the file its offset and its byte count stand. */
function firstBlock(tiff: Buffer, directory: number): { offset: number; bytes: number } {
  const { entries } = entriesOf(tiff);
  const [offsets, counts] = [324, 325].map((tag) => entries.find((entry) => entry.directory === directory && entry.tag === tag)!); // prettier-ignore
  const [offset, bytes] = [offsets, counts].map(({ at }) => tiff.readUInt32LE(at + 8));
  const index = Array.from({ length: offsets.count }, (_, block) => tiff.readUInt32LE(bytes + 4 * block)).findIndex((length) => length > 0); // prettier-ignore
  return { offset: offset + 4 * index, bytes: bytes + 4 * index };
}

type Spoil = (tiff: Buffer) => Buffer;

/** Overwrites the value or the count of a tag. */
function withTag(tag: number, value: number, { directory = 0, count = false } = {}): Spoil {
  return (tiff) => {
    const entry = entriesOf(tiff).entries.find((one) => one.directory === directory && one.tag === tag)!;
    if (!count) tiff.writeUInt16LE(4, entry.at + 2); // of 32 bits
    tiff.writeUInt32LE(value, entry.at + (count ? 4 : 8));
    return tiff;
  };
}

/** Puts other bytes in place of the first full block of a directory, at the end of the file. */
function withBlock(directory: number, block: (old: Buffer) => Buffer): Spoil {
  return (tiff) => {
    const { offset, bytes } = firstBlock(tiff, directory);
    const start = tiff.readUInt32LE(offset);
    const other = block(tiff.subarray(start, start + tiff.readUInt32LE(bytes)));
    tiff.writeUInt32LE(tiff.length, offset);
    tiff.writeUInt32LE(other.length, bytes);
    return Buffer.concat([tiff, other]);
  };
}

/** Sets the size that a JPEG's frame claims. */
function claiming(side: number): (jpeg: Buffer) => Buffer {
  return (jpeg) => {
    const frame = Buffer.from(jpeg);
    const at = frame.indexOf(Buffer.from([0xff, 0xc0]));
    frame.writeUInt16BE(side, at + 5);
    frame.writeUInt16BE(side, at + 7);
    return frame;
  };
}

const FULL_MASK = 1;

/** Thirty files that no chip may come of. */
function brokenFiles(): Record<string, Spoil> {
  const random = seedrandom('broken files');
  const cut = (tiff: Buffer): Buffer => tiff.subarray(0, Math.floor(random() * tiff.length));
  const linked = (to: (tiff: Buffer) => number, link = 1): Spoil => (tiff) => (tiff.writeUInt32LE(to(tiff), entriesOf(tiff).links[link]), tiff); // prettier-ignore
  const cuts = Array.from({ length: 8 }, (_, index) => [`cut short, ${index + 1}`, cut] as const);
  return {
    ...Object.fromEntries(cuts),
    empty: () => Buffer.alloc(0),
    'eight bytes': (tiff) => tiff.subarray(0, 8),
    'a web page': () => Buffer.from('<html><body>\nno such key\n</body></html>'),
    'packed by gzip': (tiff) => gzipSync(tiff),
    'all zeros': (tiff) => tiff.fill(0),
    noise: (tiff) => tiff.map(() => random() * 256) as Buffer,
    '2^31 px wide': withTag(256, 2 ** 31),
    '2^31 px high': withTag(257, 2 ** 31),
    'blocks of 2^31 px': withTag(322, 2 ** 31),
    'blocks of no pixel': withTag(322, 0),
    '2^28 blocks': withTag(324, 2 ** 28, { count: true }),
    '2^32 - 1 blocks': withTag(325, 2 ** 32 - 1, { count: true }),
    'a compression that nobody knows': withTag(259, 99),
    'a mask 2^31 px wide': withTag(256, 2 ** 31, { directory: FULL_MASK }),
    'a mask in blocks of 2^31 px': withTag(323, 2 ** 31, { directory: FULL_MASK }),
    'a mask of 2^28 blocks': withTag(325, 2 ** 28, { directory: FULL_MASK, count: true }),
    'a mask that inflates to 2 GB': withBlock(FULL_MASK, noughts),
    'a mask that inflates to 60 MB out of 60 kB': withBlock(FULL_MASK, () => deflateSync(Buffer.alloc(6e7))),
    'a JPEG block of 65,500 px': withBlock(0, claiming(65_500)),
    'a JPEG block of noise': withBlock(0, (old) => old.map(() => random() * 256) as Buffer),
    'directories in a circle': linked((tiff) => tiff.readUInt32LE(4), 3),
    'a directory beyond the end': linked((tiff) => tiff.length + 4096),
  };
}

/** 2 GB of zeros, packed: the blocks of 16 MB of them, over and over. */
function noughts(): Buffer {
  const packed = deflateSync(Buffer.alloc(2 ** 24), { finishFlush: constants.Z_FULL_FLUSH });
  return Buffer.concat([packed, ...Array.from({ length: 127 }, () => packed.subarray(2))]); // 2 bytes of header
}

/** Puts a file into the cell as an acquisition of its own. @returns the path */
async function put(data: string, index: number, bytes: Buffer): Promise<string> {
  const path = pathOf(data, index);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return path;
}

function pathOf(data: string, index: number): string {
  const day = new Date(Date.UTC(2020, 0, 1 + index)).toISOString().slice(0, 10);
  const catid = `103001${index.toString(16).padStart(10, '0').toUpperCase()}`;
  return join(data, 'ard/33', cell.quadkey, day, `${catid}-visual.tif`);
}

describe('chips of broken files', () => {
  let whole: Buffer;
  before(async () => {
    whole = await readFile(await writeSmallTile(join(await emptyFolder(), 'whole.tif'), cell));
  });

  it('are none: thirty files end in a line each that names them, and the whole one beside them is cut', async () => {
    const data = await emptyFolder();
    await put(data, 0, whole);
    const files = brokenFiles();
    assert.equal(Object.keys(files).length, 30);
    const paths = new Map<string, string>();
    for (const [name, spoil] of Object.entries(files)) paths.set(name, await put(data, paths.size + 1, spoil(Buffer.from(whole)))); // prettier-ignore
    const { code, stdout, stderr, peakBytes, seconds } = await runChip(data, ['--chip-dir', join(data, 'chips/33')]);
    const lines = stderr.trimEnd().split('\n');
    for (const [name, path] of paths) {
      const about = lines.filter((line) => line.includes(path));
      assert.equal(about.length, 1, `${name}: ${about.join(' | ')}`);
      assert.match(about[0], /^imagesim: /, name);
    }
    assert.equal(lines.length, 30, stderr);
    assert.equal(code, 1);
    assert.match(stdout, /^15 chips, 15 cut now/m);
    const { chips } = await readNodataIndex(join(data, 'nodata-index.json'));
    assert.equal(Object.values(chips).flat().length, 15);
    assert.match(stdout, new RegExp(`${WHOLE_TILE} +1030010000000000 +15 `));
    assert.ok(peakBytes < 500e6, `${peakBytes} bytes`);
    assert.ok(seconds < 60, `${seconds} s`);
    if (proof) console.log(`      ${seconds.toFixed(1)} s, ${(peakBytes / 1e6).toFixed(0)} MB`);
  });

  it('are none where a folder or a link to nothing stands in place of the file, which its STAC item misses', async () => {
    const data = await emptyFolder();
    await put(data, 0, whole);
    for (const index of [1, 2]) {
      await mkdir(dirname(pathOf(data, index)), { recursive: true });
      await writeFile(pathOf(data, index).replace('-visual.tif', '.json'), '{"properties":{}}');
    }
    await mkdir(pathOf(data, 1));
    await symlink('/no/such.tif', pathOf(data, 2));
    const { stdout, stderr } = await runChip(data, ['--chip-dir', join(data, 'chips/33')]);
    assert.match(stdout, /^15 chips, 15 cut now/m);
    const line = (index: number): string => `left out: ${cell.id} 2020-01-0${index + 1} 103001000000000${index}: it has no visual raster\n`; // prettier-ignore
    assert.equal(stderr, line(1) + line(2));
  });

  const spoilt = proof ? 1000 : 60;
  it(`neither crash nor hang it: of ${spoilt} with bytes of their directories overwritten each is used or named`, async () => {
    const data = await emptyFolder();
    const random = seedrandom('directories');
    const { entries } = entriesOf(whole);
    const head = Math.max(...entries.map(({ at }) => at + 16));
    for (let index = 0; index < spoilt; index++) {
      const tiff = Buffer.from(whole);
      for (let times = 1 + random() * 4; times > 0; times--) {
        const { at } = entries[Math.floor(random() * entries.length)];
        if (random() < 0.7) tiff[at + Math.floor(random() * 12)] = random() * 256;
        else tiff[Math.floor(random() * head)] = random() * 256;
      }
      await put(data, index, tiff);
    }
    const { code, stdout, stderr, peakBytes, seconds } = await runChip(data, ['--chip-dir', join(data, 'chips/33')]);
    const lines = stderr.trimEnd().split('\n');
    const used = stdout.split('\n').filter((line) => line.startsWith(cell.id)).length;
    for (const line of lines) assert.match(line, new RegExp(`^(imagesim|left out): .*${data}`));
    assert.equal(used + lines.length, spoilt);
    assert.ok(used > 0 && lines.length > spoilt / 4, `${used} used`);
    assert.equal(code, 1);
    assert.ok(peakBytes < 500e6, `${peakBytes} bytes`);
    assert.ok(seconds < 10 * spoilt);
    if (proof) console.log(`      ${used} used, ${lines.length} named; ${seconds.toFixed(1)} s, ${(peakBytes / 1e6).toFixed(0)} MB`); // prettier-ignore
  });
});
