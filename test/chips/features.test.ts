import assert from 'node:assert/strict';
import { join } from 'node:path';
import { FEATURES, chipFeatures } from 'imagesim/chips';
import sharp from 'sharp';
import { emptyFolder } from '../delivery.ts';

/** A picture of 256 px by a colour for each place. */
async function picture(colour: (row: number, column: number) => [number, number, number]): Promise<string> {
  const path = join(await emptyFolder(), 'chip.png');
  const pixels = Uint8Array.from({ length: 256 * 256 * 3 }, (_, at) => colour(Math.floor(at / 768), Math.floor(at / 3) % 256)[at % 3]); // prettier-ignore
  await sharp(pixels, { raw: { width: 256, height: 256, channels: 3 } })
    .png()
    .toFile(path);
  return path;
}

describe('chipFeatures', () => {
  it('has of one colour its mean, no spread, one bin and no edge', async () => {
    const found = [...(await chipFeatures([await picture(() => [255, 64, 0])]))];
    assert.equal(found.length, FEATURES);
    assert.deepEqual(found.slice(0, 6).map((value) => Math.round(value * 1000) / 1000), [1, 0.251, 0, 0, 0, 0]); // prettier-ignore
    const bins = found.slice(6, 70);
    assert.deepEqual([bins.indexOf(1), bins.filter((value) => value > 0).length], [(3 * 4 + 1) * 4, 1]);
    assert.ok(found.slice(70).every((value) => value < 1e-6));
  });

  it('tells the direction of edges, not their sign, and turns with the picture', async () => {
    const stripes = (along: (row: number, column: number) => number) =>
      picture((row, column) => (Math.floor(along(row, column) / 32) % 2 ? [200, 200, 200] : [40, 40, 40]));
    const features = await chipFeatures([await stripes((row) => row), await stripes((_, column) => column)]);
    const edges = (chip: number): number[] => [...features.subarray(chip * FEATURES + 70, chip * FEATURES + 78)];
    const strongest = [0, 1].map((chip) => edges(chip).indexOf(Math.max(...edges(chip))));
    assert.equal((strongest[0] + 4) % 8, strongest[1], 'a quarter turn is half of the eight directions');
    assert.ok(edges(0).filter((value) => value > 0.01).length === 1);
  });

  it('gives the same for many as for one, and names a file that is none', async () => {
    const paths = await Promise.all([10, 90, 170].map((level) => picture((row) => [level, row, 255 - level])));
    const many = await chipFeatures([...Array.from({ length: 255 }, () => paths[0]), ...paths]);
    for (const [at, path] of paths.entries())
      assert.deepEqual(many.slice((255 + at) * FEATURES, (256 + at) * FEATURES), await chipFeatures([path]));
    await assert.rejects(chipFeatures(['/no/chip.jpg']), /cannot read the image \/no\/chip\.jpg/);
  });
});
