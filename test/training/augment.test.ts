import assert from 'node:assert/strict';
import { type Augmentation, STRONG, UNVARIED, rangesOf, varyImage } from '../../kernel-lib/training/augment.ts';
import { randomFor } from '../../kernel-lib/training/sampler.ts';
import { buildNetwork, train } from 'imagesim/training';
import { texturedScenes } from './scenes.ts';

/** Many variations of one image, by what is to vary. */
function varied(image: Uint8Array, size: number, change: Augmentation, times = 100): Float32Array[] {
  const random = randomFor(1, 'test');
  return Array.from({ length: times }, () => {
    const out = new Float32Array(image.length);
    varyImage(image, out, size, rangesOf({ ...UNVARIED, ...change }), random);
    return out;
  });
}

/** Red says the row, green the column: each pixel tells where it was. */
const ramp = (size: number): Uint8Array =>
  Uint8Array.from({ length: size * size * 3 }, (_, i) => [Math.floor(i / 3 / size), Math.floor(i / 3) % size, 0][i % 3]); // prettier-ignore

const noise = (size: number): Uint8Array => {
  const random = randomFor(2, 'noise');
  return Uint8Array.from({ length: size * size * 3 }, () => 256 * random());
};

describe('training: augmentation', () => {
  it('leaves each byte as it is where nothing is to vary', () => {
    const image = noise(8);
    assert.deepEqual(varied(image, 8, {}, 1)[0], Float32Array.from(image));
  });

  it('shows the eight symmetries of the square, pixel for pixel, each as often, and nothing else', () => {
    const size = 5;
    const last = size - 1;
    const places: ((row: number, col: number) => [number, number])[] = [
      (r, c) => [r, c], (r, c) => [last - r, c], (r, c) => [r, last - c], (r, c) => [last - r, last - c],
      (r, c) => [c, r], (r, c) => [last - c, r], (r, c) => [c, last - r], (r, c) => [last - c, last - r],
    ]; // prettier-ignore
    const expected = places.map((place) => Array.from({ length: size ** 2 }, (_, i) => place(Math.floor(i / size), i % size)).join(' ')); // prettier-ignore
    const counts = new Map(expected.map((text) => [text, 0]));
    assert.equal(counts.size, 8);
    for (const image of varied(ramp(size), size, { symmetries: true }, 800)) {
      const text = Array.from({ length: size ** 2 }, (_, i) => [image[3 * i], image[3 * i + 1]]).join(' ');
      assert.ok(counts.has(text), text);
      counts.set(text, counts.get(text)! + 1);
    }
    for (const count of counts.values()) assert.ok(Math.abs(count - 100) < 50, `${count}`); // five standard deviations are 47
  });

  it('shifts by whole pixels, up to the part asked for, and mirrors the edge', () => {
    const size = 16;
    const seen = new Set<number>();
    for (const image of varied(ramp(size), size, { shift: 0.25 }, 200)) {
      const middle = image[3 * (8 * size + 8)];
      const by = middle - 8;
      seen.add(by);
      for (let row = 0; row < size; row++) {
        const place = Math.abs(row + by); // beyond the first edge
        assert.equal(image[3 * row * size], place < size ? place : 2 * (size - 1) - place);
      }
    }
    assert.deepEqual([...seen].sort((a, b) => a - b), [-4, -3, -2, -1, 0, 1, 2, 3, 4]); // prettier-ignore
  });

  it('cuts out a square within the image, of the least side and more, and enlarges it evenly', () => {
    const size = 21;
    const sides: number[] = [];
    for (const image of varied(ramp(size), size, { crop: 0.5 })) {
      const [top, left] = [image[0], image[1]];
      const side = (image[3 * (size - 1) * size] - top) / (size - 1);
      assert.ok(side >= 0.499 && side <= 1.001, `${side}`);
      sides.push(side);
      for (let i = 0; i < size; i++) {
        assert.ok(Math.abs(image[3 * i * size] - (top + i * side)) < 1e-4, 'rows');
        assert.ok(Math.abs(image[3 * i + 1] - (left + i * side)) < 1e-4, 'columns, by as much');
      }
    }
    const areas = sides.map((side) => side ** 2);
    const mean = areas.reduce((sum, area) => sum + area, 0) / areas.length;
    assert.ok(Math.abs(mean - 0.625) < 0.1, `areas are even between 0.25 and 1, their mean is ${mean}`);
  });

  it('shows the image smaller where it is to reach beyond its edge, which it goes on from as a mirror', () => {
    const size = 20;
    for (const image of varied(ramp(size), size, { reach: 1.5 })) {
      const rows = Array.from({ length: size }, (_, row) => image[3 * row * size]);
      const steps = rows.slice(1).map((row, i) => row - rows[i]);
      const side = Math.max(...steps.map(Math.abs));
      assert.ok(side >= 0.999 && side <= 1.501, `${side}`);
      assert.ok(rows.every((row) => row >= 0 && row <= size - 1));
      assert.ok(
        steps.filter((step) => Math.abs(Math.abs(step) - side) > 1e-3).length <= 2,
        'even but where an edge is',
      );
    }
  });

  it('blurs with a Gaussian’s variance along rows and columns, and loses no light', () => {
    const size = 41;
    const point = new Uint8Array(size * size * 3);
    point.fill(255, 3 * (20 * size + 20), 3 * (20 * size + 20) + 3);
    for (const most of [0.9, 3]) {
      const deviations: number[] = [];
      for (const image of varied(point, size, { blur: most }, 30)) {
        let [sum, rows, cols] = [0, 0, 0];
        for (let i = 0; i < size ** 2; i++) {
          sum += image[3 * i];
          rows += image[3 * i] * (Math.floor(i / size) - 20) ** 2;
          cols += image[3 * i] * ((i % size) - 20) ** 2;
        }
        assert.ok(Math.abs(sum - 255) < 0.05, `${sum}`);
        assert.ok(Math.abs(rows - cols) < 0.05 * Math.max(1, rows), 'as much along both');
        deviations.push(Math.sqrt(rows / sum));
      }
      // drawn evenly from 0 to the most: what is below 0.2 is left sharp
      assert.ok(deviations.every((deviation) => deviation <= most + 1e-3 && (deviation < 1e-3 || deviation > 0.199)));
      assert.ok(Math.max(...deviations) > 0.85 * most, `${Math.max(...deviations)}`);
    }
  });

  it('leaves a plain image plain, its edge too, however it is shifted, cut, turned and blurred', () => {
    const plain = new Uint8Array(9 * 9 * 3).fill(77);
    for (const image of varied(plain, 9, { symmetries: true, shift: 0.5, crop: 0.3, reach: 1.9, blur: 8 }))
      assert.ok(image.every((value) => Math.abs(value - 77) < 1e-3));
  });

  it('changes brightness, contrast and colour by no more than asked for', () => {
    const grey = new Uint8Array(4 * 4 * 3).fill(100);
    const bright = varied(grey, 4, { brightness: 0.1 }).map((image) => image[0]);
    assert.ok(bright.every((value) => Math.abs(value - 100) <= 25.51) && Math.max(...bright) > 120 && Math.min(...bright) < 80); // prettier-ignore
    const tinted = varied(grey, 4, { colour: 0.1 });
    assert.ok(tinted.every((image) => image.every((value) => Math.abs(value - 100) <= 10.01)));
    assert.ok(
      tinted.some(([red, green]) => Math.abs(red - green) > 5),
      'bands apart from each other',
    );
    const two = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => (i % 6 < 3 ? 80 : 120));
    for (const image of varied(two, 4, { contrast: 0.2 })) {
      assert.ok(Math.abs(image[0] + image[3] - 200) < 1e-3, 'about the mean');
      assert.ok(image[3] - image[0] >= 31.9 && image[3] - image[0] <= 48.1);
    }
  });

  it('mixes in haze towards a bluish white, up to the share asked for', () => {
    const black = new Uint8Array(3 * 3 * 3);
    const blues = varied(black, 3, { haze: 0.2 }).map(([red, green, blue]) => {
      assert.ok(blue >= green && green >= red, 'the short waves scatter most');
      assert.ok(Math.abs(red / blue - 215 / 240) < 1e-5);
      return blue;
    });
    assert.ok(Math.max(...blues) <= 0.2 * 240 + 1e-3 && Math.max(...blues) > 0.19 * 240 && Math.min(...blues) < 5);
  });

  it('never leaves 0–255, whatever is varied most', () => {
    const most = {
      ...STRONG,
      shift: 0.5,
      crop: 0.1,
      reach: 1.9,
      brightness: 1,
      contrast: 1,
      colour: 1,
      haze: 1,
      blur: 8,
    };
    for (const image of varied(noise(12), 12, most, 200)) assert.ok(image.every((value) => value >= 0 && value <= 255));
  });

  it('refuses what is out of its range, by name, at the door of training', async () => {
    const network = await buildNetwork({ inputSize: 16, classes: ['a', 'b', 'c', 'd'], widths: [4] });
    const set = texturedScenes(8, 16, 'few');
    const wrong: [Augmentation, RegExp][] = [
      [{ shift: 0.6 }, /augmentation takes shift from 0 to 0\.5, got 0\.6/],
      [{ crop: 0 }, /augmentation takes crop above 0 and up to 1, got 0/],
      [{ reach: 2 }, /augmentation takes reach from 1 to 1\.9, got 2/],
      [{ brightness: -1 }, /takes brightness from 0 to 1, got -1/],
      [{ contrast: 2 }, /takes contrast from 0 to 1, got 2/],
      [{ colour: NaN }, /takes colour from 0 to 1, got NaN/],
      [{ haze: 1.5 }, /takes haze from 0 to 1, got 1\.5/],
      [{ blur: 9 }, /takes blur from 0 to 8, got 9/],
    ];
    for (const [augmentation, message] of wrong)
      await assert.rejects(train(network, set, { augmentation }), { name: 'RangeError', message });
    network.dispose();
  });
});
