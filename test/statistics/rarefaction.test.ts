import assert from 'node:assert/strict';
import { countsBySquare, incidences, rarefaction, squareOf } from 'imagesim/statistics';
import { near } from './near.ts';

describe('rarefaction', () => {
  const some = [1, 1, 1, 2, 2, 3, 4, 5, 5, 6]; // tags in so many of six cells
  const noTwice = [1, 1, 1, 1, 3, 3, 6];

  it('is vegan’s exact curve and Chao2', () => {
    // R 4.2.2, vegan 2.6-4: m <- sapply(y, function(k) c(rep(1, k), rep(0, 6 - k))); specaccum(m, 'exact')$richness; specpool(m)$chao
    const curves = [
      [5, 6.93333333333333, 8.05, 8.86666666666667, 9.5, 10],
      [2.66666666666667, 3.93333333333333, 4.9, 5.66666666666667, 6.33333333333333, 7],
    ];
    for (const [at, y] of [some, noTwice].entries()) {
      const { curve, chao2, observed } = rarefaction(y, 6);
      curve.forEach(({ cells, expected }, k) => {
        assert.equal(cells, k + 1);
        near(expected, curves[at][k], 1e-12);
      });
      near(chao2, [11.875, 12][at]);
      assert.equal(observed, y.length);
    }
  });

  it('has the unconditional interval of Colwell, Mao and Chang, and the cells of Colwell et al. 2012', () => {
    // Python 3.11: a = [comb(6 - j, k) / comb(6, k) for j in y]; s = sum(1 - x for x in a)
    // sqrt(sum((1 - x) ** 2 for x in a) - s * s / chao)
    const sigma = [
      [1.132972078647198, 1.214679944850104, 1.2565617248750867],
      [1.009216784699164, 1.3431927138972524, 1.7078251276599332],
    ];
    for (const [at, y] of [some, noTwice].entries()) {
      const { curve } = rarefaction(y, 6);
      for (const [k, cells] of [1, 3, 6].entries()) {
        const { expected, low, high } = curve[cells - 1];
        near((high - expected) / 1.959963984540054, sigma[at][k], 1e-10);
        near(expected - low, high - expected, 1e-10);
      }
    }
    // t = 6; while S + Q0 * (1 - (1 - Q1 / (Q1 + 6 * Q0)) ** (t - 6)) < .95 * chao: t += 1
    assert.deepEqual([some, noTwice].map((y) => rarefaction(y, 6).cellsNeeded), [11, 23]); // prettier-ignore
  });

  it('needs no more cells than it saw where all tags are seen again and again', () => {
    const { chao2, cellsNeeded, curve } = rarefaction([6, 6, 5, 4, 6], 6);
    assert.equal(chao2, 5);
    assert.equal(cellsNeeded, curve.find(({ expected }) => expected >= 0.95 * 5)!.cells);
    assert.ok(cellsNeeded < 6);
  });

  it('has a first point but no end for one cell', () => {
    const { curve, chao2, cellsNeeded, observed } = rarefaction([1, 1, 1], 1);
    assert.deepEqual([curve.length, curve[0].expected, observed], [1, 3, 3]);
    assert.ok([chao2, cellsNeeded, curve[0].low, curve[0].high].every(Number.isNaN));
  });

  it('refuses a tag in more cells than there are, or in none, and no cells', () => {
    for (const count of [0, 4, 1.5]) assert.throws(() => rarefaction([count], 3), new RegExp(`RangeError: .*1 to 3 cells, got one in ${count}`)); // prettier-ignore
    assert.throws(() => rarefaction([], 0), /RangeError: rarefaction requires one or more cells, got 0/);
    assert.throws(() => rarefaction([1], 2, { share: 1 }), /RangeError: .* share above 0 and below 1, got 1/);
  });
});

describe('squares', () => {
  const rows = [
    { chip: 'Z33-031133012203000000', tag: 'a=1' },
    { chip: 'Z33-031133012203000001', tag: 'a=1' },
    { chip: 'Z33-031133012203300000', tag: 'a=1' },
    { chip: 'Z33-031133012212000000', tag: 'b=1' },
    { chip: 'Z33-031133012203000000', tag: 'b=1' },
  ];

  it('hold a tag each once, at any zoom', () => {
    assert.deepEqual([...incidences(rows)], [['a=1', 1], ['b=1', 2]]); // prettier-ignore
    assert.deepEqual([...incidences(rows, 14)], [['a=1', 2], ['b=1', 2]]); // prettier-ignore
    assert.deepEqual([...incidences(rows, 18)], [['a=1', 3], ['b=1', 2]]); // prettier-ignore
  });

  it('count the chips of each label, in the order asked for', () => {
    const squares = ['Z33-031133012212', 'Z33-031133012203'];
    assert.deepEqual(countsBySquare(rows, ['b=1', 'a=1'], squares, (chip) => squareOf(chip, 12)), [[1, 0], [1, 3]]); // prettier-ignore
    assert.deepEqual(
      countsBySquare(rows, ['a=1'], ['x'], () => 'y'),
      [[0]],
    );
  });
});
