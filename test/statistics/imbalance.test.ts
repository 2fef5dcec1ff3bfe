import assert from 'node:assert/strict';
import seedrandom from 'seedrandom';
import { type ChipTag, amounts, bootstrap, chiSquaredTest, chipsForClass, chipsNeeded, imbalance, imbalanceWithIntervals, kolmogorovSmirnov, labelDrift } from 'imagesim/statistics'; // prettier-ignore
import { near } from './near.ts';

describe('imbalance', () => {
  it('is vegan’s evenness and effective number of classes, a class without chips included', () => {
    // R 4.2.2, vegan 2.6-4: c(diversity(y) / log(length(y)), exp(diversity(y)), max(y) / min(y))
    const found = imbalance([120, 60, 13, 7]);
    near(found.evenness, 0.694434324887935, 1e-12);
    near(found.effectiveClasses, 2.61873241272243, 1e-12);
    near(found.ratio, 120 / 7);
    const gap = imbalance([5, 0, 5]);
    near(gap.evenness, 0.630929753571457, 1e-12);
    assert.deepEqual([gap.effectiveClasses, gap.ratio], [2, Infinity]);
  });

  it('is undefined for one class, and for classes without chips', () => {
    assert.ok(Number.isNaN(imbalance([7]).evenness));
    assert.deepEqual([imbalance([7]).ratio, imbalance([7]).effectiveClasses], [1, 1]);
    assert.ok(Object.values(imbalance([0, 0])).every(Number.isNaN));
  });

  it('has intervals that hold what was found, the same for the same seed, wider for blocks of like chips', () => {
    const random = seedrandom('units');
    const chips = Array.from({ length: 400 }, () => (random() < 0.8 ? [1, 0] : [0, 1]));
    const blocks = Array.from({ length: 40 }, () => (random() < 0.8 ? [10, 0] : [0, 10]));
    const [single, again, wide] = [chips, chips, blocks].map((units) => imbalanceWithIntervals(units, { seed: 5 }));
    assert.deepEqual(again, single);
    assert.notDeepEqual(imbalanceWithIntervals(chips, { seed: 6 }).low, single.low);
    for (const { found, low, high } of [single, wide])
      assert.ok(low.evenness < found.evenness && found.evenness < high.evenness);
    const width = ({ low, high }: typeof single): number => high.evenness - low.evenness;
    assert.ok(width(wide) > 2 * width(single)); // √10 of independent chips
  });

  it('has a ratio’s interval around what was found, for many classes too', () => {
    const random = seedrandom('classes');
    const units = Array.from({ length: 30 }, () => Array.from({ length: 20 }, () => Math.floor(random() * 12)));
    const { found, low, high } = imbalanceWithIntervals(units);
    assert.ok(low.ratio < found.ratio && found.ratio < high.ratio, `${low.ratio} ${found.ratio} ${high.ratio}`);
  });

  it('refuses no unit, and has no interval of one', () => {
    assert.throws(() => imbalanceWithIntervals([]), /RangeError: .*at least one unit, got none/);
    assert.ok(Number.isNaN(imbalanceWithIntervals([[3, 4]]).low.ratio));
  });
});

describe('bootstrap', () => {
  it('has the quantiles of the binomial distribution for the sum of zeros and ones', () => {
    // R 4.2.2: qbinom(c(.025, .975), 200, .3): 47, 73
    const units = Array.from({ length: 200 }, (_, at) => Number(at < 60));
    const { sum } = bootstrap(units, (drawn) => ({ sum: drawn.reduce((a, b) => a + b, 0) }), { samples: 4000 });
    assert.ok(Math.abs(sum[0] - 47) <= 1 && Math.abs(sum[1] - 73) <= 1, sum.join());
  });

  it('keeps infinite bounds, and leaves undefined draws out', () => {
    const { ratio } = bootstrap([[1, 0], [9, 0], [0, 1]], (drawn) => ({ ratio: imbalance(drawn.reduce(([a, b], [c, d]) => [a + c, b + d])).ratio })); // prettier-ignore
    assert.equal(ratio[1], Infinity);
    const { odd } = bootstrap([1, 2, 3], ([first]) => ({ odd: first === 2 ? NaN : first }));
    assert.deepEqual(odd, [1, 3]);
  });

  it('refuses no samples and a confidence that is none', () => {
    assert.throws(() => bootstrap([1], () => ({ a: 1 }), { samples: 0 }), /RangeError: .*positive number of samples, got 0/); // prettier-ignore
    assert.throws(() => bootstrap([1], () => ({ a: 1 }), { confidence: 1 }), /RangeError: .*confidence above 0 and below 1, got 1/); // prettier-ignore
  });
});

describe('kolmogorovSmirnov', () => {
  const a = [0.61, 0.29, 0.06, 0.59, -1.73, -0.74, 0.51, -0.56, 0.39, 1.64, 0.05, -0.06, 0.64, -0.82, 0.37, 1.77, 1.09, -1.28, 2.36, 1.31, 1.05, -0.32, -0.4, 1.06, -2.47]; // prettier-ignore
  const b = [1.2, 0.4, 2.2, 0.9, 3.1, 0.15, 0.77, 1.9, 2.5, -0.3, 0.51, 1.31];

  it('is R’s asymptotic test, ties included', () => {
    // R 4.2.2: ks.test(a, b, exact = FALSE)
    const { d, p } = kolmogorovSmirnov(a, b);
    near(d, 0.393333333333333, 1e-12);
    near(p, 0.162639299151969);
    const run = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, k) => from + k);
    const far = kolmogorovSmirnov(run(1, 50), [...run(3, 40), ...run(90, 120)]);
    near(far.d, 0.449275362318841, 1e-12);
    near(far.p, 1.65245272797376e-5);
  });

  it('finds no difference of a sample and itself, whatever its order, and none to test without values', () => {
    assert.deepEqual(kolmogorovSmirnov(a, a.toReversed()), { d: 0, p: 1 });
    assert.ok(Number.isNaN(kolmogorovSmirnov(a, []).p));
    assert.throws(() => kolmogorovSmirnov(a, [1, NaN]), /RangeError: kolmogorovSmirnov requires numbers, got NaN/);
  });
});

describe('labelDrift', () => {
  const chips = Array.from({ length: 90 }, (_, at) => `chip ${at}`);
  const groupOf = (chip: string): string => ['a', 'b', 'c'][Number(chip.slice(5)) % 3];
  const rowsOf = (tag: string, has: (at: number) => boolean): { chip: string; tag: string }[] =>
    chips.filter((_, at) => has(at)).map((chip) => ({ chip, tag }));
  const rows = [
    ...rowsOf('even=1', (at) => at < 45),
    ...rowsOf('uneven=1', (at) => (at % 3 === 1 ? at < 60 : at < 15)),
    { chip: 'chip elsewhere', tag: 'even=1' },
  ];

  it('tests each label’s shares by χ², corrected for the number of labels, the largest difference first', () => {
    const [uneven, even] = labelDrift(rows, ['even=1', 'uneven=1'], chips, groupOf);
    const { chiSquared, p, cramersV } = chiSquaredTest([[5, 25], [20, 10], [5, 25]]); // prettier-ignore
    assert.deepEqual(uneven, { tag: 'uneven=1', groups: 3, rarest: 'a', least: 5 / 30, commonest: 'b', most: 20 / 30, chiSquared, p, holm: 2 * p, cramersV }); // prettier-ignore
    assert.deepEqual([even.chiSquared, even.p, even.holm], [0, 1, 1]);
  });

  it('divides χ² by the design effect of a label', () => {
    const [{ chiSquared }] = labelDrift(rows, ['uneven=1'], chips, groupOf, { designEffect: () => 4 });
    assert.equal(chiSquared, chiSquaredTest([[5, 25], [20, 10], [5, 25]]).chiSquared / 4); // prettier-ignore
  });

  it('is undefined for one group', () => {
    const [{ groups, p, holm, cramersV }] = labelDrift(rows, ['even=1'], chips, () => 'one');
    assert.equal(groups, 1);
    assert.ok([p, holm, cramersV].every(Number.isNaN));
  });
});

describe('amounts', () => {
  it('are those of the tag, 0 where a chip has none', () => {
    const row = { chip: 'b', tag: 'x=1', elements: 1, area: 0.5, length: 0, points: 2 } satisfies ChipTag;
    const rows = [row, { ...row, tag: 'y=1', chip: 'a' }];
    assert.deepEqual(amounts(rows, 'x=1', { chips: ['a', 'b'], measure: 'area' }), [0, 0.5]);
    assert.deepEqual(amounts(rows, 'x=1', { chips: ['a', 'b'], measure: 'points' }), [0, 2]);
  });
});

describe('chips needed', () => {
  it('grow with the design effect and the confidence, as R reckons', () => {
    // R 4.2.2: ceiling(qnorm(.975)^2 * .1 * .9 * 3.7 / .02^2); ceiling(ceiling(qnorm(.95)^2 * .25 * 2 / .05^2) / .03)
    assert.equal(chipsNeeded(0.1, 0.02, { designEffect: 3.7 }), 3199);
    assert.equal(chipsForClass(0.03, 0.05, { designEffect: 2, confidence: 0.9 }), 18067);
  });

  it('refuse a design effect below 1 and a class that no chip has', () => {
    assert.throws(() => chipsNeeded(0.1, 0.02, { designEffect: NaN }), /RangeError: .*design effect from 1 on, got NaN/); // prettier-ignore
    assert.throws(() => chipsForClass(0, 0.05), /RangeError: .*prevalence above 0, to 1, got 0/);
  });
});
