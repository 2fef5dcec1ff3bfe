import assert from 'node:assert/strict';
import {
  balancedRows,
  batchesOf,
  evenly,
  groupsOf,
  pairBatchesOf,
  randomFor,
  shuffled,
  withPartners,
} from '../../kernel-lib/training/sampler.ts';

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sorted = (rows: Uint32Array): number[] => [...rows].sort((a, b) => a - b);

/** 90 rows of the first class, 9 of the second, 1 of both, 20 of none: as many as `n`. */
const labels = Float32Array.from(
  numbers(120).flatMap((row) => (row < 90 ? [1, 0] : row < 99 ? [NaN, 1] : row < 100 ? [1, 1] : [0, NaN])),
);
const groups = groupsOf(labels, 2);

describe('training: batches', () => {
  it('hold every image once an epoch, in sizes that differ by one at most', () => {
    const batches = batchesOf(shuffled(101, randomFor(1, 'epoch 1')), 32);
    assert.deepEqual(batches.map(({ length }) => length), [25, 25, 25, 26]); // prettier-ignore
    assert.deepEqual(sorted(Uint32Array.from(batches.flatMap((batch) => [...batch]))), numbers(101));
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
    const isEven = first.every((count) => Math.abs(count - 1000) < 150); // five standard deviations are 141
    assert.ok(isEven, first.join());
  });

  it('are cut into shards of whole pairs, none of them empty', () => {
    const parts = (n: number, count: number, step: number): number[] =>
      evenly(Uint32Array.from(numbers(n)), count, step).map(({ length }) => length);
    assert.deepEqual(parts(14, 4, 2), [2, 4, 4, 4]);
    assert.deepEqual(parts(3, 4, 1), [1, 1, 1]);
    assert.deepEqual(parts(4, 4, 2), [2, 2]);
  });

  it('of pairs hold no more than the batch size, odd or even', () => {
    for (const [n, size] of [
      [10, 5],
      [64, 16],
      [6, 4],
      [46, 7],
    ]) {
      // prettier-ignore
      const batches = pairBatchesOf(Uint32Array.from(numbers(n)), size);
      assert.ok(
        batches.every(({ length }) => length % 2 === 0 && length > 0 && length <= size),
        `${n} by ${size}`,
      );
      assert.deepEqual(batches.flatMap((batch) => [...batch]), numbers(n)); // prettier-ignore
    }
  });
});

describe('training: balance', () => {
  it('knows the rows of each class, and those of none', () => {
    assert.deepEqual(groups.map(({ length }) => length), [91, 10, 20]); // prettier-ignore
    assert.ok(groups[0].includes(99) && groups[1].includes(99) && !groups[2].includes(99));
  });

  it('of 0 draws each row once', () => {
    assert.deepEqual(sorted(balancedRows(groups, 120, 0, randomFor(1, 'x'))), numbers(120));
  });

  it('of 1 draws each class, and those of none, as often', () => {
    const rows = balancedRows(groups, 30_000, 1, randomFor(1, 'x'));
    const rare = rows.filter((row) => row >= 90 && row < 99).length;
    const none = rows.filter((row) => row >= 100).length;
    // a third of the draws is for the second class, nine of ten of those for rows 90–98; five standard deviations are 400
    assert.ok(Math.abs(rare - 9000) < 400 && Math.abs(none - 10_000) < 400, `${rare}, ${none}`);
  });

  it('of 0.5 draws classes by the square root of their rows, and goes through a class before it repeats', () => {
    const rows = balancedRows(groups, 30_000, 0.5, randomFor(1, 'x'));
    const none = rows.filter((row) => row >= 100);
    const share = Math.sqrt(20) / (Math.sqrt(91) + Math.sqrt(10) + Math.sqrt(20));
    assert.ok(Math.abs(none.length - 30_000 * share) < 400, `${none.length}, expected ${30_000 * share}`);
    assert.deepEqual(sorted(none.slice(0, 20)), numbers(20).map((i) => 100 + i)); // prettier-ignore
    assert.deepEqual(sorted(none.slice(20, 40)), sorted(none.slice(0, 20)));
    assert.notDeepEqual(none.slice(20, 40), none.slice(0, 20), 'in another order');
  });

  it('draws no class that has no row', () => {
    const some = groupsOf(Float32Array.of(1, 0, 0, 1, 0, 0), 3); // two rows of the first class alone
    assert.deepEqual(sorted(balancedRows(some, 4, 1, randomFor(1, 'x'))), [0, 0, 1, 1]);
  });
});

describe('training: pairs', () => {
  it('are of the same ground at another date where there is one, else of the image itself', () => {
    const places = ['a', 'b', 'a', 'c', 'a'];
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const pairs = withPartners(Uint32Array.of(0, 1, 4), places, randomFor(i, 'x'));
      assert.deepEqual([pairs[0], pairs[2], pairs[4]], [0, 1, 4]);
      assert.equal(pairs[3], 1);
      seen.add(`${pairs[1]} ${pairs[5]}`);
    }
    assert.deepEqual([...seen].sort(), ['2 0', '2 2', '4 0', '4 2']);
  });

  it('are of the image itself where nothing is known of places', () => {
    assert.deepEqual([...withPartners(Uint32Array.of(3, 1), undefined, randomFor(1, 'x'))], [3, 3, 1, 1]);
  });
});
