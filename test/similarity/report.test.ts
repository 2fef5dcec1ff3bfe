import assert from 'node:assert/strict';
import type { DatasetRow, LabelValue, Split } from 'imagesim/datasets';
import {
  averagePrecision,
  labelAgreement,
  labelsOfRow,
  retrievalReport,
  rowsOf,
  sampleQuestions,
} from 'imagesim/similarity';
import { chancePrecision } from 'imagesim/training';
import seedrandom from 'seedrandom';
import { randomVectors, rowAt, vectorsOf } from './rows.ts';

const near = (found: number, expected: number, tolerance = 1e-12): void =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);
const labelled = (...values: LabelValue[]): DatasetRow[] => values.map((a, k) => rowAt(k, { labels: { a } }));

describe('averagePrecision', () => {
  it('is that of scikit-learn', () => {
    // scikit-learn 1.2.1: average_precision_score(relevant, -np.arange(len(relevant)))
    near(averagePrecision([1, 0, 1, 0, 0, 1]), 0.7222222222222222);
    near(averagePrecision([0, 0, 1]), 0.3333333333333333);
    near(averagePrecision([1, 1, 0]), 1);
    near(averagePrecision([0, 1, 0, 1, 1, 0, 0, 1, 0, 0]), 0.525);
    near(averagePrecision([1]), 1);
  });

  it('is 0 where nothing is relevant', () => {
    assert.equal(averagePrecision([0, 0]), 0);
    assert.equal(averagePrecision([]), 0);
  });
});

describe('retrievalReport', () => {
  it('is scikit-learn’s mean over all questions, one’s own ground and unknown labels left out', () => {
    // numpy and scikit-learn 1.2.1:
    // i = arange(24); t = 1.5 * sin(1.7 * i) + 0.01 * i; v = c_[cos(t), sin(t)]; s = v @ v.T
    // place = where(i < 12, i // 2, i); a = i % 3 == 0; unknown = i % 7 == 3; may = lambda k: (place != place[k]) & ~unknown
    // mean([average_precision_score(a[may(k)], s[k][may(k)]) for k in i if a[k] and not unknown[k]])
    const rows = Array.from({ length: 24 }, (_, i) =>
      rowAt(i < 12 ? Math.floor(i / 2) : i, {
        date: `2022-01-0${1 + (i % 2)}`,
        labels: { a: i % 7 === 3 ? null : i % 3 === 0 ? 1 : 0 },
      }),
    );
    const angles = rows.map((_, i) => 1.5 * Math.sin(1.7 * i) + 0.01 * i);
    const { labels, meanAveragePrecision, chance } = retrievalReport(
      vectorsOf(angles.map((t) => [Math.cos(t), Math.sin(t)])),
      rows,
      ['a'],
    );
    assert.deepEqual(
      labels.map(({ label, queries }) => [label, queries]),
      [['a', 7]],
    );
    near(meanAveragePrecision, 0.41021293459926805, 1e-9);
    assert.ok(chance > 1 / 3 && chance < 0.45, `${chance}`); // above the share of what is relevant
  });

  it('gives 1 to an embedding that puts equal labels together and others apart', () => {
    const rows = labelled(1, 0, 1, 0, 1, 0, 0);
    const perfect = vectorsOf(rows.map(({ labels }) => (labels['a'] === 1 ? [1, 0] : [0, 1])));
    assert.equal(retrievalReport(perfect, rows, ['a']).meanAveragePrecision, 1);
  });

  it('knows what a random order scores on average: the mean over every order of 5 answers', () => {
    const orders = (left: number[]): number[][] =>
      left.length === 0 ? [[]] : left.flatMap((item, k) => orders(left.toSpliced(k, 1)).map((rest) => [item, ...rest]));
    for (const relevant of [1, 2, 3, 5]) {
      const all = orders([0, 1, 2, 3, 4]).map((order) =>
        averagePrecision(order.map((item) => (item < relevant ? 1 : 0))),
      );
      near(chancePrecision(relevant, 5), all.reduce((sum, one) => sum + one, 0) / all.length, 1e-12);
    }
    assert.deepEqual([chancePrecision(0, 5), chancePrecision(1, 1)], [0, 1]);
  });

  it('gives about chance to an embedding that knows nothing', () => {
    const random = seedrandom('chance');
    const rows = labelled(...Array.from({ length: 600 }, (): LabelValue => (random() < 0.3 ? 1 : 0)));
    const { meanAveragePrecision, chance } = retrievalReport(randomVectors(600, 16, 'chance'), rows, ['a']);
    assert.ok(Math.abs(meanAveragePrecision - chance) < 0.03, `${meanAveragePrecision}, chance ${chance}`);
  });

  it('takes the same ground at another date for no answer', () => {
    const rows = [0, 0, 1, 2].map((place, k) =>
      rowAt(place, { date: `2022-01-0${k + 1}`, labels: { a: place < 2 ? 1 : 0 } }),
    );
    const twins = vectorsOf([[1, 0], [1, 0], [0, 1], [1, 0.2]]); // prettier-ignore
    const [{ queries, meanAveragePrecision }] = retrievalReport(twins, rows, ['a']).labels;
    // of place 0, each date finds place 2 before place 1: ½; place 1 finds place 2, then place 0 twice: (1/2 + 2/3) / 2
    assert.equal(queries, 3);
    near(meanAveragePrecision, (0.5 + 0.5 + (1 / 2 + 2 / 3) / 2) / 3);
  });

  it('lets a chip of unknown label neither ask nor answer', () => {
    const rows = labelled(1, null, 1, 0, null);
    const vectors = vectorsOf([[1, 0], [1, 0.1], [1, 0.4], [0, 1], [1, 0.05]]); // prettier-ignore
    const [score] = retrievalReport(vectors, rows, ['a']).labels;
    assert.deepEqual(score, { label: 'a', queries: 2, meanAveragePrecision: 1, chance: 0.75 }); // one of two answers: (1 + ½) / 2
  });

  it('counts every label the same in the mean, and names those that cannot be scored, with the reason', () => {
    const table: Record<string, LabelValue[]> = {
      good: [1, 1, 0, 0],
      bad: [1, 0, 1, 0],
      none: [0, 0, 0, 0],
      single: [1, 0, 0, 0],
      all: [1, 1, null, 1],
    };
    const rows = [0, 1, 2, 3].map((k) =>
      rowAt(k, { labels: Object.fromEntries(Object.entries(table).map(([label, values]) => [label, values[k]])) }),
    );
    const vectors = vectorsOf([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]); // prettier-ignore
    const report = retrievalReport(vectors, rows, Object.keys(table));
    assert.deepEqual(
      report.labels.map(({ label }) => label),
      ['good', 'bad'],
    );
    near(
      report.meanAveragePrecision,
      (report.labels[0].meanAveragePrecision + report.labels[1].meanAveragePrecision) / 2,
    );
    assert.equal(report.labels[0].meanAveragePrecision, 1);
    assert.deepEqual(report.undefinedLabels, [
      { label: 'none', reason: '0 places with it among 4 chips: two are needed' },
      { label: 'single', reason: '1 place with it among 4 chips: two are needed' },
      { label: 'all', reason: 'every chip whose label is known has it: nothing can be told apart' },
    ]);
  });

  it('is undefined for a label that one place alone has, at two dates', () => {
    const rows = [0, 0, 1].map((place, k) =>
      rowAt(place, { date: `2022-01-0${k + 1}`, labels: { a: place === 0 ? 1 : 0 } }),
    );
    const report = retrievalReport(randomVectors(3, 4, 'one place'), rows, ['a']);
    assert.deepEqual(
      [report.labels, Number.isNaN(report.meanAveragePrecision), report.undefinedLabels.length],
      [[], true, 1],
    );
  });

  it('of one split is that of the rows and vectors picked by hand', () => {
    const random = seedrandom('split');
    const sides: Split[] = ['train', 'validation', 'test', 'buffer'];
    const rows = Array.from({ length: 120 }, (_, k) =>
      rowAt(k >> 1, {
        split: sides[(k >> 1) % 4],
        labels: { a: random() < 0.4 ? 1 : 0, b: random() < 0.2 ? null : random() < 0.3 ? 1 : 0 },
      }),
    );
    const vectors = randomVectors(120, 8, 'split');
    for (const side of sides) {
      const held = [...rows.keys()].filter((index) => rows[index].split === side);
      assert.equal(held.length, 30);
      assert.deepEqual(
        retrievalReport(vectors, rows, ['a', 'b'], side),
        retrievalReport(
          rowsOf(vectors, held),
          held.map((index) => rows[index]),
          ['a', 'b'],
        ),
      );
    }
  });

  it('of a split that has no row scores nothing and says so', () => {
    const report = retrievalReport(randomVectors(3, 4, 'none'), labelled(1, 1, 0), ['a'], 'train');
    assert.deepEqual(report.undefinedLabels, [
      { label: 'a', reason: '0 places with it among 0 chips: two are needed' },
    ]);
  });

  it('refuses vectors that are not one for each row', () => {
    assert.throws(
      () => retrievalReport(randomVectors(4, 2, 'x'), labelled(1, 0, 1), ['a']),
      /RangeError: retrievalReport got 3 rows and 4 vectors: one each/,
    );
  });
});

describe('sampleQuestions', () => {
  const labels = ['often', 'seldom', 'train only', 'one place'];
  const rows = Array.from({ length: 80 }, (_, k) => {
    const split: Split = k % 2 === 0 ? 'train' : 'test';
    const has = [k % 4 < 2, k % 10 < 2, split === 'train', k >> 1 === 5];
    return rowAt(k === 11 ? 11 : k, {
      split,
      labels: Object.fromEntries(labels.map((label, at) => [label, has[at] ? 1 : 0] as const)),
    });
  });

  it('asks from the rarest to the most frequent label, with different chips of the test ground that have it', () => {
    const questions = sampleQuestions(rows, labels, 2);
    assert.deepEqual(
      questions.map(({ label }) => label),
      ['seldom', 'often'],
    );
    for (const { index, label } of questions) {
      assert.equal(rows[index].split, 'test');
      assert.equal(rows[index].labels[label], 1);
    }
    assert.notEqual(questions[0].index, questions[1].index);
  });

  it('asks for no label that two places of training and test ground do not have', () => {
    assert.deepEqual(
      sampleQuestions(rows, labels, 10).map(({ label }) => label),
      ['seldom', 'often'],
    );
    assert.deepEqual(sampleQuestions(rows, labels, 1).length, 1);
    assert.deepEqual(sampleQuestions([], labels, 3), []);
  });
});

describe('labels of a chip', () => {
  const chip = (a: LabelValue, b: LabelValue, c: LabelValue): DatasetRow => rowAt(0, { labels: { a, b, c } });

  it('are those that it has, not those unknown', () => {
    assert.deepEqual(labelsOfRow(chip(1, null, 1)), ['a', 'c']);
  });

  it('agree by their Jaccard index, unknown ones left out', () => {
    assert.equal(labelAgreement(chip(1, 1, 0), chip(1, 0, 0)), 0.5);
    assert.equal(labelAgreement(chip(1, null, 1), chip(1, 1, 0)), 0.5);
    assert.equal(labelAgreement(chip(1, 1, 1), chip(1, 1, null)), 1);
    assert.equal(labelAgreement(chip(1, 0, 0), chip(0, 1, 0)), 0);
    assert.equal(labelAgreement(chip(0, 0, 0), chip(0, 0, 0)), 0);
  });
});
