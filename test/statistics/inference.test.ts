import assert from 'node:assert/strict';
import { association, associations, chipsNeeded, wilsonInterval } from 'imagesim/statistics';
import seedrandom from 'seedrandom';

const near = (found: number, expected: number, tolerance = 1e-9): void =>
  assert.ok(Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${found} is not ${expected}`);

describe('wilsonInterval', () => {
  it('is that of R and scipy', () => {
    // R 4.2.2: prop.test(x, n, correct = FALSE, conf.level = c)$conf.int
    // scipy 1.10.1: binomtest(x, n).proportion_ci(c, 'wilson'); the two agree to 15 digits
    const expected = [
      [0, 10, 0.95, 0, 0.27753279986288926],
      [3, 10, 0.95, 0.10779126740630102, 0.6032218525388546],
      [10, 10, 0.95, 0.7224672001371109, 1],
      [41, 500, 0.95, 0.06101908946846893, 0.10935485915738874],
      [1, 100_000, 0.95, 1.765247730378316e-6, 5.664709659040965e-5],
      [3, 10, 0.99, 0.07956631652306578, 0.6799753207988974],
      [3, 10, 0.5, 0.2127148628403787, 0.40469074938748906],
      [30, 1000, 0.999999, 0.012687263908423726, 0.06927955071994166],
    ];
    for (const [x, n, confidence, low, high] of expected) {
      const found = wilsonInterval(x, n, confidence);
      near(found[0], low);
      near(found[1], high);
    }
  });

  it('holds the share itself, none and all included, for every n to 2,000', () => {
    for (let n = 1; n <= 2000; n++) {
      for (const x of new Set([0, 1, n >> 1, n - 1, n])) {
        const [low, high] = wilsonInterval(x, n);
        assert.ok(0 <= low && low <= x / n && x / n <= high && high <= 1, `${x} of ${n}: ${low}, ${high}`);
      }
    }
  });

  it('refuses counts that are none, and a confidence that is no probability', () => {
    for (const [x, n] of [
      [1, 0],
      [-1, 5],
      [6, 5],
      [Number.NaN, 5],
    ])
      // prettier-ignore
      assert.throws(() => wilsonInterval(x, n), {
        name: 'RangeError',
        message: `wilsonInterval requires 0 ≤ successes ≤ n and n > 0, got ${x} of ${n}`,
      });
    for (const confidence of [0, 1, 1.5, Number.NaN])
      assert.throws(() => wilsonInterval(3, 10, confidence), /RangeError: .*confidence above 0 and below 1/);
  });
});

describe('association', () => {
  it('is χ² and Cramér’s V of R and scipy', () => {
    // R 4.2.2: chisq.test(matrix(t, 2), correct = FALSE)$statistic; scipy 1.10.1: chi2_contingency(t, correction=False)[0]
    // and scipy.stats.contingency.association(t), with t = [[both, first − both], [second − both, neither]]
    const expected = [
      [12, 17, 20, 100, 32.76045357902196, 0.5723674831698772],
      [1, 10, 10, 20, 12.8, 0.8],
      [0, 30, 20, 100, 10.714285714285714, 0.32732683535398854],
      [300, 500, 800, 3096 + 1000, 593.4615073922481, 0.38064164686511326],
    ];
    for (const [both, first, second, n, chiSquared, cramersV] of expected) {
      const found = association(both, first, second, n);
      near(found.chiSquared, chiSquared, 1e-12);
      near(found.cramersV, cramersV, 1e-12);
      near(found.lift, both / n / ((first / n) * (second / n)), 1e-12);
    }
  });

  it('is 0 for independent tags, 1 for tags that always or never meet, undefined for a tag of all or no chips', () => {
    assert.deepEqual(association(10, 50, 20, 100), { chiSquared: 0, cramersV: 0, lift: 1 });
    assert.deepEqual(association(20, 20, 20, 100), { chiSquared: 100, cramersV: 1, lift: 5 });
    assert.deepEqual(association(0, 40, 60, 100), { chiSquared: 100, cramersV: 1, lift: 0 });
    for (const first of [0, 100]) assert.ok(Number.isNaN(association(first && 30, first, 30, 100).cramersV));
  });

  it('refuses counts that contradict each other', () => {
    for (const [both, first, second, n] of [
      [5, 4, 9, 100],
      [1, 60, 60, 100],
      [-1, 4, 4, 100],
    ])
      // prettier-ignore
      assert.throws(
        () => association(both, first, second, n),
        new RegExp(`RangeError: .*both ${both}, first ${first}, second ${second}, of ${n}`),
      );
  });
});

describe('associations', () => {
  it('counts every pair as a loop over all chips does, the strongest first', () => {
    const random = seedrandom('pairs');
    const tags = ['a=1', 'b=2', 'c=3', 'd=4'];
    const chips = Array.from({ length: 200 }, (_, chip) => `chip ${chip}`);
    const rows = chips.flatMap((chip, index) =>
      tags.filter((_, tag) => random() < [0.5, index % 3 === 0 ? 0.9 : 0.1, 0.3, index % 3 === 0 ? 0.8 : 0.2][tag]).map((tag) => ({ chip, tag })),
    ); // prettier-ignore
    const has = (chip: string, tag: string): boolean => rows.some((row) => row.chip === chip && row.tag === tag);
    const found = associations([...rows, { chip: 'chip 0', tag: 'not asked for' }], tags, chips.length);
    assert.equal(found.length, 6);
    assert.deepEqual([found[0].first, found[0].second], ['b=2', 'd=4']);
    for (const [at, { first, second, both, ...strength }] of found.entries()) {
      assert.equal(both, chips.filter((chip) => has(chip, first) && has(chip, second)).length); // prettier-ignore
      const [withFirst, withSecond] = [first, second].map((tag) => chips.filter((chip) => has(chip, tag)).length);
      assert.deepEqual(strength, association(both, withFirst, withSecond, chips.length));
      assert.ok(at === 0 || strength.cramersV <= found[at - 1].cramersV);
    }
  });

  it('leaves pairs out for which it is undefined', () => {
    const rows = [
      { chip: '1', tag: 'all' },
      { chip: '2', tag: 'all' },
      { chip: '1', tag: 'some' },
    ];
    assert.deepEqual(associations(rows, ['all', 'some', 'none'], 2), []);
  });
});

describe('chipsNeeded', () => {
  it('is z² p (1 − p) / e², rounded up', () => {
    // R 4.2.2: ceiling(qnorm(.975)^2 * p * (1 - p) / e^2)
    assert.deepEqual(
      [chipsNeeded(0.5, 0.02), chipsNeeded(0.05, 0.02), chipsNeeded(0.5, 0.05), chipsNeeded(0, 0.02)],
      [2401, 457, 385, 0],
    );
  });

  it('refuses a share or a width that is none', () => {
    for (const [share, halfWidth] of [
      [-0.1, 0.1],
      [1.1, 0.1],
      [0.5, 0],
      [Number.NaN, 0.1],
    ])
      // prettier-ignore
      assert.throws(() => chipsNeeded(share, halfWidth), new RegExp(`RangeError: .* got ${share}, ${halfWidth}`));
  });
});
