import assert from 'node:assert/strict';
import { type GridPlace, drawnTogether } from 'imagesim/similarity';
import seedrandom from 'seedrandom';

const SIDE = 16;
const places = Array.from({ length: SIDE ** 2 }, (_, at): GridPlace => [at % SIDE, Math.floor(at / SIDE)]);
const random = seedrandom('neighbours');
const noise = Float64Array.from(places, () => 2 * random() - 1);
const error = (found: Float64Array, truth: (place: GridPlace) => number): number =>
  Math.sqrt(places.reduce((sum, place, at) => sum + (found[at] - truth(place)) ** 2, 0) / places.length);

describe('drawnTogether', () => {
  const patch = ([column]: GridPlace): number => (column < 6 ? 1.5 : 0);

  it('comes nearer to a patch than the numbers that show it with noise', () => {
    const numbers = noise.map((value, at) => value + patch(places[at]));
    assert.ok(error(drawnTogether(numbers, places), patch) < 0.7 * error(numbers, patch));
  });

  it('leaves numbers alone that have nothing in common with their neighbours', () => {
    assert.deepEqual(drawnTogether(noise, places), noise);
  });

  it('leaves a lone high number the highest', () => {
    const lone = places.map((_, at) => (at === 100 ? 8 : 0.5 * noise[at]));
    const found = drawnTogether(Float64Array.from(lone), places);
    assert.equal(found.indexOf(Math.max(...found)), 100);
  });

  it('keeps the mean, and equal numbers as they are, also with gaps between', () => {
    const some = places.filter(([column, row]) => (column + row) % 5 > 0);
    const same = new Float64Array(some.length).fill(0.25);
    assert.deepEqual(drawnTogether(same, some), same);
    const alone = drawnTogether(Float64Array.of(1, 5), [[0, 0], [9, 9]]); // prettier-ignore
    assert.deepEqual([...alone], [1, 5]);
  });

  it('leaves three in a row alone that rise evenly: at one square they are not correlated', () => {
    // by hand: (−1 · 0 + 0 · 1) / 2 pairs = 0
    assert.deepEqual([...drawnTogether(Float64Array.of(1, 2, 3), [[0, 0], [1, 0], [2, 0]])], [1, 2, 3]); // prettier-ignore
  });
});
