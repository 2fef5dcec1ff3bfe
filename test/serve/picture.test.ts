import assert from 'node:assert/strict';
import { encode } from 'imagesim/serve';
import seedrandom from 'seedrandom';
import sharp from 'sharp';

const SIZE = 256;
const random = seedrandom('picture');
/** A slope with noise; what is to the right of a column is not painted. */
function canvasTo(column: number): Parameters<typeof encode>[0] {
  const pixels = new Uint8Array(SIZE * SIZE * 3);
  const filled = new Uint8Array(SIZE * SIZE);
  for (let pixel = 0; pixel < filled.length; pixel++) {
    if (pixel % SIZE >= column) continue;
    filled[pixel] = 255;
    for (let band = 0; band < 3; band++) pixels[3 * pixel + band] = (pixel % SIZE) / 2 + 40 * band + 30 * random();
  }
  return { size: SIZE, pixels, filled, left: filled.filter((value) => value === 0).length };
}

describe('a picture as PNG', () => {
  for (const [what, column, channels] of [['all painted', SIZE, 3], ['painted in part', 100, 4], ['with nothing on it', 0, 4]] as const)
    it(`is read as it was painted: ${what}`, async () => {
      const canvas = canvasTo(column);
      const bytes = await encode(canvas, 'png', [255, 255, 255]);
      const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
      assert.deepEqual([info.width, info.height, info.channels], [SIZE, SIZE, channels]);
      const wrong = canvas.filled.findIndex((value, pixel) =>
        channels === 4 && data[4 * pixel + 3] !== value || [0, 1, 2].some((band) => data[channels * pixel + band] !== canvas.pixels[3 * pixel + band]));
      assert.equal(wrong, -1);
    }); // prettier-ignore

  it('is small where nothing is painted', async () => {
    assert.ok((await encode(canvasTo(0), 'png', [255, 255, 255])).length < 1000);
  });
});
