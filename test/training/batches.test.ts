import assert from 'node:assert/strict';
import { batchesOf, imagesOf, randomFor, shuffled } from '../../kernel-lib/training/batches.ts';

/** One image in which each pixel's value tells its place: no two pixels are alike. */
function ramp(size: number): Uint8Array {
  return Uint8Array.from({ length: size * size * 3 }, (_, i) => Math.floor(i / 3));
}

const still = { shift: 0, brightness: 0, contrast: 0, colour: 0 };

describe('training: batches', () => {
  it('hold every image once an epoch, in sizes that differ by one at most', () => {
    const order = shuffled(101, randomFor(1, 'epoch 1'));
    const batches = batchesOf(order, 32);
    assert.deepEqual(batches.map(({ length }) => length), [25, 25, 25, 26]); // prettier-ignore
    assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length: 101 }, (_, i) => i)); // prettier-ignore
  });

  it('come in the same order for the same seed, and in another for another epoch', () => {
    const [a, b, c] = ['epoch 1', 'epoch 1', 'epoch 2'].map((use) => shuffled(50, randomFor(7, use)).join());
    assert.equal(a, b);
    assert.notEqual(a, c);
  });

  it('shuffle evenly: each of 5 numbers comes first about as often', () => {
    const random = randomFor(3, 'even');
    const first = [0, 0, 0, 0, 0];
    for (let i = 0; i < 5000; i++) first[shuffled(5, random)[0]]++;
    assert.ok(
      first.every((count) => Math.abs(count - 1000) < 150),
      first.join(),
    ); // five standard deviations are 141
  });

  it('show all eight symmetries of the square and nothing else, when nothing else is asked for', () => {
    const size = 4;
    const random = randomFor(1, 'symmetries');
    const expected = new Set<string>();
    for (const swap of [false, true]) {
      for (const down of [false, true]) {
        for (const across of [false, true]) {
          const place = (row: number, col: number): number =>
            (down ? size - 1 - row : row) * size + (across ? size - 1 - col : col);
          expected.add(
            Array.from({ length: 16 }, (_, i) => (swap ? place(i % size, i >> 2) : place(i >> 2, i % size))).join(),
          );
        }
      }
    }
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const image = imagesOf(ramp(size), Uint32Array.of(0), size, still, random);
      seen.add(Array.from({ length: 16 }, (_, pixel) => image[pixel * 3]).join());
    }
    assert.equal(expected.size, 8);
    assert.deepEqual([...seen].sort(), [...expected].sort());
  });

  it('shift with the edge mirrored: no value comes that was not within reach', () => {
    const size = 8;
    const random = randomFor(1, 'shift');
    for (let i = 0; i < 50; i++) {
      const image = imagesOf(ramp(size), Uint32Array.of(0), size, { ...still, symmetries: false, shift: 0.25 }, random);
      const [row, col] = [Math.floor(image[27 * 3] / size), image[27 * 3] % size]; // the pixel at row 3, col 3
      assert.ok(Math.abs(row - 3) <= 2 && Math.abs(col - 3) <= 2, `${row}, ${col}`);
    }
  });

  it('keep within 0–255 however bright, and change colours by no more than asked for', () => {
    const grey = new Uint8Array(4 * 4 * 3).fill(200);
    const random = randomFor(1, 'colour');
    for (let i = 0; i < 100; i++) {
      const bright = imagesOf(grey, Uint32Array.of(0), 4, { brightness: 1, contrast: 1, colour: 1 }, random);
      assert.ok(bright.every((value) => value >= 0 && value <= 255));
      const tinted = imagesOf(grey, Uint32Array.of(0), 4, { ...still, colour: 0.1 }, random);
      assert.ok(tinted.every((value) => value >= 179.9 && value <= 220.1));
    }
  });

  it('give the bytes as they are without augmentation', () => {
    const images = Uint8Array.from({ length: 2 * 48 }, (_, i) => i);
    assert.deepEqual(
      [...imagesOf(images, Uint32Array.of(1, 0), 4)],
      [...images.subarray(48), ...images.subarray(0, 48)],
    );
  });
});
