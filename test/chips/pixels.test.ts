import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeImage, readPixels } from 'imagesim/chips';
import sharp, { type Sharp } from 'sharp';

const SIDE = 32;

/** A picture of waves, other ones in each band. */
function waves(bands: 1 | 3 = 3): Sharp {
  const pixels = Uint8Array.from(
    { length: SIDE * SIDE * bands },
    (_, at) => 128 + 90 * Math.sin(at / 9 + (at % bands)),
  );
  return sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: bands } });
}

function furthest(a: Uint8Array, b: Uint8Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0);
}

describe('pixels of images', () => {
  it('are means of squares where an image is a multiple of the size', async () => {
    const pixels = Uint8Array.from({ length: 4 * 4 * 3 }, (_, at) => (at * 37) % 256);
    const png = await sharp(pixels, { raw: { width: 4, height: 4, channels: 3 } })
      .png()
      .toBuffer();
    const at = (row: number, column: number, band: number): number => pixels[(row * 4 + column) * 3 + band];
    const mean = (row: number, column: number, band: number): number =>
      Math.round((at(row, column, band) + at(row, column + 1, band) + at(row + 1, column, band) + at(row + 1, column + 1, band)) / 4); // prettier-ignore
    const expected = [0, 2].flatMap((row) =>
      [0, 2].flatMap((column) => [0, 1, 2].map((band) => mean(row, column, band))),
    );
    assert.deepEqual([...(await decodeImage(png, 2))], expected);
    assert.deepEqual([...(await decodeImage(png, 4))], [...pixels]);
  });

  for (const [name, encode] of [
    ['in colour', () => waves().jpeg({ quality: 95 }).toBuffer()],
    ['in grey', () => waves(1).jpeg({ quality: 95 }).toBuffer()],
    ['progressive', () => waves().jpeg({ quality: 95, progressive: true }).toBuffer()],
    ['with a profile', () => waves().jpeg({ quality: 95 }).withIccProfile('p3').toBuffer()],
  ] as const) {
    it(`are those of sharp's own decoding, of a JPEG ${name}`, async () => {
      const jpeg = await encode();
      const whole = await sharp(jpeg).toColourspace('srgb').png().toBuffer();
      for (const size of [8, 16]) {
        const [found, expected] = [await decodeImage(jpeg, size), await decodeImage(whole, size)];
        assert.equal(found.length, size * size * 3);
        const most = furthest(found, expected); // jpeg-turbo takes a quicker transform
        assert.ok(most <= 4, `${most} grey levels at ${size} pixels`);
      }
    });
  }

  it('name a file that is cut short', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'imagesim-pixels-'));
    const path = join(folder, 'short.jpg');
    await writeFile(path, (await waves().jpeg().toBuffer()).subarray(0, -100));
    try {
      await assert.rejects(readPixels([path], 8), /cannot read the image .*short\.jpg: .*; cut it again/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
