import assert from 'node:assert/strict';
import type { DatasetRow, LabelValue, Split } from 'imagesim/datasets';
import { averagePrecision, labelAgreement, labelsOfRow, sampleQuestions } from 'imagesim/similarity';
import { rowAt } from './rows.ts';

const near = (found: number, expected: number, tolerance = 1e-12): void =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);

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
