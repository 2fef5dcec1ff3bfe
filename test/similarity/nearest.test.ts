import assert from 'node:assert/strict';
import { cosine, nearest, rowsOf, vectorAt } from 'imagesim/similarity';
import { colourHistograms } from 'imagesim/training';
import seedrandom from 'seedrandom';
import { randomVectors, vectorsOf } from './rows.ts';

const near = (found: number, expected: number, tolerance = 1e-6): void =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);

describe('nearest', () => {
  const vectors = randomVectors(500, 24, 'nearest');
  const query = vectorAt(vectors, 17);
  const brute = Array.from({ length: 500 }, (_, index) => ({
    index,
    similarity: [...vectorAt(vectors, index)].reduce((sum, value, k) => sum + value * query[k], 0),
  })).toSorted((a, b) => b.similarity - a.similarity);

  it('orders as a full sort of all cosines does, itself first', () => {
    const found = nearest(vectors, query);
    assert.deepEqual(found.map(({ index }) => index), brute.map(({ index }) => index)); // prettier-ignore
    found.forEach(({ similarity }, k) => near(similarity, brute[k].similarity));
    assert.equal(found[0].index, 17);
    near(found[0].similarity, 1);
  });

  it('gives the first k of those admitted', () => {
    const odd = brute.filter(({ index }) => index % 2 === 1).slice(0, 9);
    const found = nearest(vectors, query, { k: 9, admit: (index) => index % 2 === 1 });
    assert.deepEqual(found.map(({ index }) => index), odd.map(({ index }) => index)); // prettier-ignore
    assert.deepEqual(nearest(vectors, query, { admit: () => false }), []);
  });

  it('keeps equal ones in the order of their rows', () => {
    const same = vectorsOf([[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]]); // prettier-ignore
    assert.deepEqual(nearest(same, Float32Array.of(1, 0)).map(({ index }) => index), [1, 2, 4, 0, 3]); // prettier-ignore
  });

  it('goes from 1 over 0 to −1: the cosine', () => {
    const cross = vectorsOf([[-1, 0], [0, 3], [2, 0], [1, 1]]); // prettier-ignore
    const found = nearest(cross, Float32Array.of(1, 0));
    assert.deepEqual(found.map(({ index }) => index), [2, 3, 1, 0]); // prettier-ignore
    [1, Math.SQRT1_2, 0, -1].forEach((expected, k) => near(found[k].similarity, expected));
  });

  it('rowsOf copies the rows asked for, in that order', () => {
    const some = rowsOf(vectors, [4, 2, 4]);
    assert.deepEqual([4, 2, 4].map((index) => vectorAt(vectors, index)), [0, 1, 2].map((index) => vectorAt(some, index))); // prettier-ignore
    some.values.fill(0);
    assert.notEqual(vectorAt(vectors, 4)[0], 0);
  });
});

describe('colourHistograms', () => {
  const random = seedrandom('colours');
  const images = Uint8Array.from({ length: 3 * 8 * 8 * 3 }, () => 256 * random());
  images.copyWithin(2 * 192, 0, 192); // the third is the first
  const histograms = colourHistograms(images, 8);

  it('have length 1, whatever the picture', () => {
    assert.equal(histograms.values.length, 3 * 64);
    for (const index of [0, 1, 2]) near(cosine(vectorAt(histograms, index), vectorAt(histograms, index)), 1);
  });

  it('are equal for pictures of the same colours in other places, and have cosine 1', () => {
    near(cosine(vectorAt(histograms, 0), vectorAt(histograms, 2)), 1);
    const turned = images.slice(0, 192).map((_, at, all) => all[((63 - Math.floor(at / 3)) * 3) + (at % 3)]); // prettier-ignore
    assert.deepEqual(colourHistograms(turned, 8).values, vectorAt(histograms, 0));
  });

  it('have cosine 0 where no colour is shared, and the Bhattacharyya coefficient between', () => {
    const plain = (...colours: number[][]): Float32Array => colourHistograms(Uint8Array.from(colours.flat()), 2).values;
    const [black, red, white] = [[0, 0, 0], [255, 0, 0], [255, 255, 255]]; // prettier-ignore
    assert.equal(cosine(plain(black, black, black, black), plain(white, white, red, red)), 0);
    // shares ¾ and ¼ against ¼ and ¾: 2 √(3/16)
    near(cosine(plain(black, black, black, red), plain(black, red, red, red)), Math.sqrt(3) / 2);
  });

  it('tell colours apart at 64, 128 and 192 of each band, and not between', () => {
    const bin = (colour: number[]): number => colourHistograms(Uint8Array.from(colour), 1).values.indexOf(1);
    assert.deepEqual([0, 63, 64, 127, 128, 191, 192, 255].map((value) => bin([value, 0, 0])), [0, 0, 16, 16, 32, 32, 48, 48]); // prettier-ignore
    assert.deepEqual([bin([0, 64, 0]), bin([0, 0, 64]), bin([255, 255, 255])], [4, 1, 63]);
  });
});
