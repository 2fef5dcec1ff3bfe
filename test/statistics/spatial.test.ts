import assert from 'node:assert/strict';
import seedrandom from 'seedrandom';
import { chipIdAt, parseCell } from 'imagesim/ard';
import {
  type JoinCounts,
  chipNeighbours,
  clustering,
  effectiveSize,
  joinCounts,
  moransI,
  wilsonInterval,
} from 'imagesim/statistics';
import { near } from './near.ts';

const cell = parseCell('Z33-031133012203');
const chip = (row: number, column: number): string => chipIdAt(cell, row, column);
/** Chips of a rectangle, row by row. */
const block = (rows: number, columns: number): string[] =>
  Array.from({ length: rows * columns }, (_, at) => chip(Math.floor(at / columns), at % columns));

// Five rows of four, as spdep's cell2nb(5, 4) lays them out.
const grid = block(5, 4);
const values = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4];

describe('chipNeighbours', () => {
  it('are those that share a side, or a corner too', () => {
    assert.deepEqual(chipNeighbours(grid, 'rook')[1], [0, 2, 5]);
    assert.deepEqual(chipNeighbours(grid, 'queen')[6], [1, 2, 3, 5, 7, 9, 10, 11]);
  });

  it('go on across the border of a cell', () => {
    const east = parseCell('Z33-031133012212');
    assert.equal(east.cellBounds[0], cell.cellBounds[2]);
    assert.deepEqual(chipNeighbours([chip(7, 63), chipIdAt(east, 7, 0), chipIdAt(east, 7, 1)], 'rook'), [[1], [0, 2], [1]]); // prettier-ignore
  });

  it('refuses a chip twice, and what is no chip', () => {
    assert.throws(() => chipNeighbours(['Z33-031133012203']), /RangeError: unknown chip id "Z33-031133012203"/);
    assert.throws(() => chipNeighbours([chip(0, 0), chip(0, 0)]), /RangeError: .*got 1 again/);
  });
});

describe('moransI', () => {
  it('is spdep’s, for queen and rook, shared and binary weights', () => {
    // R 4.2.2, spdep 1.2-7: moran.test(x, nb2listw(cell2nb(5, 4, type), style = c('W', 'B')), randomisation = TRUE,
    // alternative = 'two.sided'): estimate, variance, statistic, p.value
    const expected = [
      ['queen', 'row', -0.1180921448333935, 0.0146263306068966, -0.5412676388925137, 0.58832312238732],
      ['rook', 'row', -0.1083844580777096, 0.0298356342919151, -0.3227748307560925, 0.746865775744741],
      ['queen', 'binary', -0.1201076080181096, 0.0125097084424909, -0.6032897167471508, 0.5463159726537117],
      ['rook', 'binary', -0.1229438539714322, 0.0280977726211385, -0.4194644920009834, 0.6748766998402562],
    ] as const;
    for (const [kind, style, ...numbers] of expected) {
      const { value, variance, z, p, expected: mean } = moransI(values, chipNeighbours(grid, kind), style);
      [value, variance, z, p].forEach((found, k) => near(found, numbers[k]));
      near(mean, -1 / 19);
    }
  });

  it('is spdep’s where chips are missing, and where one has no neighbour', () => {
    // as above, with subset(nb, …) and zero.policy = TRUE, adjust.n = FALSE
    const expected: [number[], 'row' | 'binary', number, number, number][] = [
      [[0, 1, 5, 6, 7], 'row', -0.00747250119560019, 0.05647383618357765, 0.2691275302236803],
      [[0, 1, 5, 6, 7], 'binary', -0.0360945405119686, 0.0435926191159946, 0.1692336429511785],
      [[1, 4], 'row', -0.1656920337045799, 0.0367100697667139, -0.5577725358123492],
      [[1, 4], 'binary', -0.144979665612291, 0.0341140669068281, -0.4664654323864811],
    ];
    for (const [missing, style, value, variance, z] of expected) {
      const left = [...grid.keys()].filter((at) => !missing.includes(at));
      const neighbours = chipNeighbours(left.map((at) => grid[at]), 'rook'); // prettier-ignore
      const found = moransI(left.map((at) => values[at]), neighbours, style); // prettier-ignore
      [found.value, found.variance, found.z].forEach((number, k) => near(number, [value, variance, z][k]));
    }
  });

  it('is undefined for equal values, without neighbours, and for three chips', () => {
    for (const [numbers, chips] of [[[5, 5, 5, 5], block(2, 2)], [[1, 2, 3, 4], [0, 2, 4, 6].map((column) => chip(0, column))], [[1, 2, 4], block(1, 3)]] as const) {
      const { value, z, p } = moransI(numbers, chipNeighbours(chips));
      assert.ok([value, z, p].every(Number.isNaN));
    } // prettier-ignore
    assert.throws(() => moransI([1, 2], []), /RangeError: moransI requires neighbours for each value, got 0 for 2/);
  });
});

describe('joinCounts', () => {
  it('are spdep’s', () => {
    // R 4.2.2, spdep 1.2-7: joincount.multi(factor(as.integer(x > 4)), nb2listw(cell2nb(5, 4, type), style = 'B')): rows
    // 1:1, 0:0 and 1:0, with variances to all digits from joincount.test for the first two
    const expected: ['queen' | 'rook', number[][]][] = [
      ['queen', [[16, 13.02631578947368, 6.74698549780021], [9, 13.02631578947368, 6.74698549780021], [30, 28.947368421053, 9.882678833306]]],
      ['rook', [[9, 7.34210526315789, 2.41392374124165], [6, 7.34210526315789, 2.41392374124165], [16, 16.315789473684, 7.076747596546]]],
    ]; // prettier-ignore
    for (const [kind, rows] of expected) {
      const { bothHave, neitherHas, oneHas } = joinCounts(values.map((value) => value > 4), chipNeighbours(grid, kind)); // prettier-ignore
      for (const [at, found] of [bothHave, neitherHas, oneHas].entries()) {
        [found.value, found.expected, found.variance].forEach((number, k) => near(number, rows[at][k], 1e-11));
      }
    }
  });

  it('have the mean and variance of all ways to lay the labels out', () => {
    const chips = [...block(3, 3), chip(0, 3), chip(10, 10)]; // one beside the square, one on its own
    const neighbours = chipNeighbours(chips);
    const layouts = Array.from({ length: 2 ** chips.length }, (_, bits) => chips.map((_name, at) => ((bits >> at) & 1) === 1)).filter((has) => has.filter(Boolean).length === 4); // prettier-ignore
    const all = layouts.map((has) => joinCounts(has, neighbours));
    for (const kind of ['bothHave', 'neitherHas', 'oneHas'] satisfies (keyof JoinCounts)[]) {
      const counts = all.map((each) => each[kind].value);
      const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
      near(all[0][kind].expected, mean);
      near(all[0][kind].variance, counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length);
    }
  });

  it('have no score where all chips have the label, and refuse fewer than four chips', () => {
    const { bothHave, neitherHas } = joinCounts([true, true, true, true], chipNeighbours(block(2, 2)));
    assert.deepEqual([bothHave.value, neitherHas.value], [6, 0]);
    assert.ok(Number.isNaN(bothHave.z) && Number.isNaN(neitherHas.p));
    assert.throws(() => joinCounts([true], [[]]), /RangeError: joinCounts requires four or more chips/);
  });
});

describe('effectiveSize', () => {
  it('is what numpy makes of all pairs of chips', () => {
    // numpy 1.24.2: v[r, c] = sin(r / 2) + cos(c / 3), 10 × 12; z = v − mean; lag = rint(hypot(Δr, Δc)) of all ordered pairs
    // rho[k] = outer(z, z)[lag == k].mean() / (z @ z / n); n / (1 + sum over k before the first rho ≤ 0 of (lag == k).sum() * rho[k] / n)
    const smooth = Array.from({ length: 120 }, (_, at) => Math.sin(Math.floor(at / 12) / 2) + Math.cos((at % 12) / 3));
    const found = effectiveSize(block(10, 12), smooth);
    const correlogram = [0.89179748, 0.7295236, 0.5377258, 0.27357682, 0.04837385, -0.16712096];
    found.correlogram.forEach((rho, k) => assert.ok(Math.abs(rho - correlogram[k]) < 1e-8));
    near(found.effective, 4.740231004427354);
    near(found.designEffect, 120 / 4.740231004427354);
    assert.deepEqual([found.range, found.cutOff, found.correlogram.length], [5, false, 6]);
  });

  it('is near all chips for noise, and near the patches for patches', () => {
    const random = seedrandom('patches');
    const chips = block(48, 48);
    const noise = effectiveSize(chips, chips.map(() => Number(random() < 0.3))); // prettier-ignore
    assert.ok(noise.designEffect < 1.5, `${noise.designEffect}`);
    const patch = Array.from({ length: 144 }, () => random()); // of 4 × 4 chips
    const patches = effectiveSize(chips, chips.map((_, at) => patch[Math.floor(at / 48 / 4) * 12 + Math.floor((at % 48) / 4)])); // prettier-ignore
    assert.ok(patches.effective > 144 / 1.6 && patches.effective < 144 * 1.6, `${patches.effective}`);
  });

  it('says where the chips were still alike at the last distance looked at', () => {
    const slope = block(20, 20).map((_, at) => at);
    const { cutOff, range } = effectiveSize(block(20, 20), slope, { maxLag: 3 });
    assert.deepEqual([cutOff, range], [true, 3]);
  });

  it('is undefined where all are equal, and all chips where they lie apart', () => {
    assert.ok(Number.isNaN(effectiveSize(block(2, 2), [1, 1, 1, 1]).effective));
    const apart = [0, 20, 40].map((column) => chip(0, column));
    near(effectiveSize(apart, [1, 0, 1]).effective, 3);
    assert.throws(
      () => effectiveSize([], []),
      /RangeError: effectiveSize requires one value a chip, got 0 for 0 chips/,
    );
  });
});

describe('clustering', () => {
  const chips = block(12, 12);
  const rows = chips.flatMap((name, at) => [...(at % 12 < 5 ? [{ chip: name, tag: 'half=1' }] : []), { chip: name, tag: 'all=1' }]); // prettier-ignore

  it('puts a label’s clustering together, with an interval of the effective number of chips', () => {
    const [half] = clustering(rows, ['half=1'], chips);
    const has = chips.map((_, at) => at % 12 < 5);
    const { effective } = effectiveSize(chips, has.map(Number));
    assert.deepEqual([half.chips, half.effective, half.moran], [60, effective, moransI(has.map(Number), chipNeighbours(chips)).value]); // prettier-ignore
    assert.deepEqual([half.low, half.high], wilsonInterval((60 / 144) * effective, effective));
    assert.ok(half.joins > 2 * half.joinsExpected && half.designEffect > 5 && half.low < half.share);
  });

  it('is undefined for a label of all chips or of none, its share apart', () => {
    for (const { moran, effective, share, low, high } of clustering(rows, ['all=1', 'none=1'], chips)) {
      assert.ok(Number.isNaN(moran) && Number.isNaN(effective));
      assert.ok(low <= share && share <= high);
    }
  });
});
