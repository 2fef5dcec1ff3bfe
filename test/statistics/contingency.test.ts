import assert from 'node:assert/strict';
import seedrandom from 'seedrandom';
import {
  adjustP,
  associations,
  associationTests,
  chiSquaredTest,
  companions,
  cooccurrence,
  fisherExact,
} from 'imagesim/statistics';
import { near } from './near.ts';

describe('chiSquaredTest', () => {
  const tables = [[[12, 5, 7], [3, 9, 20], [8, 8, 1]], [[300, 200], [500, 3096]]]; // prettier-ignore

  it('is R’s chisq.test without continuity correction', () => {
    // R 4.2.2: r <- chisq.test(matrix(t, byrow = TRUE, …), correct = FALSE); c(r$statistic, r$parameter, r$p.value, min(r$expected))
    const expected = [
      [21.2981198655351, 4, 2.76352191797752e-4, 5.12328767123288],
      [593.461507392248, 1, 4.42574208272474e-131, 97.65625],
    ];
    for (const [at, table] of tables.entries()) {
      const { chiSquared, degreesOfFreedom, p, leastExpected } = chiSquaredTest(table);
      [chiSquared, degreesOfFreedom, p, leastExpected].forEach((found, k) => near(found, expected[at][k], 1e-11));
    }
  });

  it('has scipy’s Cramér’s V, and Bergsma’s without its bias', () => {
    // scipy 1.10.1: scipy.stats.contingency.association(t)
    near(chiSquaredTest(tables[0]).cramersV, 0.3819391749029984);
    near(chiSquaredTest(tables[1]).cramersV, 0.38064164686511326);
    // R 4.2.2: n <- sum(t); x <- chisq.test(t, correct = FALSE)$statistic; r <- nrow(t); k <- ncol(t)
    // sqrt(max(0, x/n - (r-1)*(k-1)/(n-1)) / (min(r - (r-1)^2/(n-1), k - (k-1)^2/(n-1)) - 1))
    near(chiSquaredTest(tables[0]).correctedV, 0.348531252942606);
    near(chiSquaredTest(tables[1]).correctedV, 0.380367182835792);
    assert.equal(chiSquaredTest([[10, 10], [10, 11]]).correctedV, 0); // prettier-ignore
  });

  it('leaves out rows and columns without counts, and is undefined for one row or column', () => {
    const [full, holed] = [chiSquaredTest([[5, 9], [7, 2]]), chiSquaredTest([[5, 0, 9], [0, 0, 0], [7, 0, 2]])]; // prettier-ignore
    assert.deepEqual(holed, full);
    for (const table of [
      [[3, 4]],
      [[3], [4]],
      [
        [0, 0],
        [3, 4],
      ],
      [],
    ])
      assert.ok(Number.isNaN(chiSquaredTest(table).p));
  });

  it('refuses counts that are none', () => {
    assert.throws(() => chiSquaredTest([[1, -1], [2, 2]]), /RangeError: .* numbers from 0 on, got -1/); // prettier-ignore
    assert.throws(() => chiSquaredTest([[1, 2], [2]]), /RangeError: .* rows of one length/); // prettier-ignore
  });
});

describe('fisherExact', () => {
  it('is R’s fisher.test, two-sided', () => {
    // R 4.2.2: fisher.test(matrix(c(a, b, c, d), 2, byrow = TRUE))$p.value
    const expected: [number, number, number, number, number][] = [
      [3, 1, 1, 3, 0.485714285714286], [0, 5, 9, 2, 0.00480769230769231], [10, 2, 3, 15, 0.000536724119143436],
      [0, 0, 3, 4, 1], [2, 40, 7, 4047, 0.00353096604256025], [8, 14, 1, 3, 1], [1, 9, 11, 3, 0.00275945618522008],
    ]; // prettier-ignore
    for (const [a, b, c, d, p] of expected) near(fisherExact([[a, b], [c, d]]), p, 1e-10); // prettier-ignore
  });

  it('refuses what is no 2 × 2 table of whole counts', () => {
    for (const table of [[[1, 2, 3], [1, 2, 3]], [[1, 2]], [[1, 2.5], [1, 2]]]) assert.throws(() => fisherExact(table), /RangeError: fisherExact requires 2 × 2 whole counts/); // prettier-ignore
  });
});

describe('adjustP', () => {
  const p = [0.01, 0.02, 0.03, 0.04, 0.05, 0.9, 0.0001, 0.02];

  it('is R’s p.adjust, ties and ones included', () => {
    // R 4.2.2: p.adjust(p, 'holm'); p.adjust(p, 'BH')
    const holm = [0.07, 0.12, 0.12, 0.12, 0.12, 0.9, 0.0008, 0.12];
    const bh = [0.04, 0.04, 0.048, 0.05333333333333333, 0.05714285714285714, 0.9, 0.0008, 0.04];
    adjustP(p, 'holm').forEach((found, at) => near(found, holm[at]));
    adjustP(p, 'benjamini-hochberg').forEach((found, at) => near(found, bh[at]));
    assert.deepEqual(adjustP([0.6, 0.7], 'holm'), [1, 1]);
  });

  it('does not count what is undefined as a test, and refuses what is no probability', () => {
    const [first, none, last] = adjustP([0.01, NaN, 0.03], 'holm');
    assert.deepEqual([first, last], [0.02, 0.03]);
    assert.ok(Number.isNaN(none));
    assert.throws(() => adjustP([0.5, 1.1], 'holm'), /RangeError: adjustP requires p values of 0–1, got 1.1/);
  });
});

describe('tags that keep company', () => {
  const random = seedrandom('company');
  const chips = Array.from({ length: 60 }, (_, at) => `chip ${at}`);
  const tags = ['a=1', 'b=1', 'rare=1', 'c=1'];
  const rows = chips.flatMap((chip, at) =>
    tags.filter((_, tag) => [at % 2 === 0, random() < (at % 2 === 0 ? 0.8 : 0.2), at % 30 === 0, random() < 0.5][tag]).map((tag) => ({ chip, tag })),
  ); // prettier-ignore
  const has = (chip: string, tag: string): boolean => rows.some((row) => row.chip === chip && row.tag === tag);

  it('are counted as a loop over all chips counts them, a tag asked for twice in a chip once', () => {
    const counts = cooccurrence([...rows, rows[0], { chip: 'chip 0', tag: 'other=1' }], tags);
    for (const [a, first] of tags.entries()) {
      for (const [b, second] of tags.entries()) {
        assert.equal(counts[a][b], chips.filter((chip) => has(chip, first) && has(chip, second)).length);
      }
    }
    const shares = companions(counts);
    assert.equal(shares[0][1], counts[0][1] / counts[0][0]);
    assert.deepEqual(shares.map((row, at) => row[at]), [1, 1, 1, 1]); // prettier-ignore
    assert.ok(companions([[0, 0], [0, 3]])[0].every(Number.isNaN)); // prettier-ignore
  });

  it('are tested by χ², or exactly where less than 5 are expected, and corrected over all pairs', () => {
    const tested = associationTests(rows, tags, chips.length);
    const plain = associations(rows, tags, chips.length);
    assert.deepEqual(tested.map(({ first, second, cramersV }) => [first, second, cramersV]), plain.map(({ first, second, cramersV }) => [first, second, cramersV])); // prettier-ignore
    for (const { first, second, both, test, p } of tested) {
      const [a, b] = [first, second].map((tag) => chips.filter((chip) => has(chip, tag)).length);
      const table = [[both, a - both], [b - both, chips.length - a - b + both]]; // prettier-ignore
      assert.equal(test, first === 'rare=1' || second === 'rare=1' ? 'fisher' : 'chi-squared');
      assert.equal(p, test === 'fisher' ? fisherExact(table) : chiSquaredTest(table).p);
    }
    assert.deepEqual(tested.map(({ holm }) => holm), adjustP(tested.map(({ p }) => p), 'holm')); // prettier-ignore
    assert.ok(tested.every(({ p, holm, falseDiscovery }) => p <= falseDiscovery && falseDiscovery <= holm));
    assert.deepEqual([tested[0].first, tested[0].second], ['a=1', 'b=1']);
    assert.ok(tested[0].holm < 0.001);
  });

  it('are none where there is one tag', () => {
    assert.deepEqual(associationTests(rows, ['a=1'], chips.length), []);
  });
});
