import assert from 'node:assert/strict';
import type { DatasetRow, LabelValue, Split } from 'imagesim/datasets';
import { type ReportCard, reportCard } from 'imagesim/similarity';
import seedrandom from 'seedrandom';
import { near } from '../training/near.ts';
import { randomVectors, rowAt, vectorsOf } from './rows.ts';

/**
 * The embeddings of test/training/retrieval.test.ts. NumPy: e = sin(1.9 arange(80)).reshape(20, 4), each row over its length;
 * y = cos(.9 arange(60)).reshape(20, 3) > .2, the second unknown of rows 4, 10 and 16; place = i // 2 for i < 8, else its own.
 */
const vectors = vectorsOf(Array.from({ length: 20 }, (_, row) => Array.from({ length: 4 }, (__, k) => Math.sin(1.9 * (4 * row + k))))); // prettier-ignore
const labels = ['a', 'b', 'c'];
const rows = Array.from({ length: 20 }, (_, i): DatasetRow => {
  const value = (l: number): LabelValue => (l === 1 && i % 6 === 4 ? null : Math.cos(0.9 * (3 * i + l)) > 0.2 ? 1 : 0);
  const own = { labels: { a: value(0), b: value(1), c: value(2) }, date: `2022-06-0${1 + (i % 2)}` };
  return rowAt(i < 8 ? i >> 1 : 100 + i, { ...own, ...(i < 15 && { gsd: i < 8 ? 0.34 : 0.52, offNadir: 3 * i }) });
});
const options = { rarity: Float32Array.of(1, 2, 4), k: 5, recallK: 6, draws: 200 };
const own = (card: ReportCard): ReportCard['embeddings'][number] => card.embeddings[0];

describe('reportCard', () => {
  const card = reportCard(vectors, rows, labels, options);

  it('has scikit-learn’s figures, one’s own ground and unknown labels left out', () => {
    // scikit-learn 1.2.1, for each i: may = place != place[i]; order = argsort(−(e @ e.T).astype('float32')[i][may], kind='stable');
    // w = [1, 2, 4]; grades of answers a: sum(w[l] a[l]) / sum(w[l]) over the labels l that i has and that are known of a
    // wMAP: acg = cumsum(g) / arange(1, n + 1); acg[g > 0].mean(). nDCG: ndcg_score([g], [similarity], k=5). Means over i with a label.
    near([own(card).sharedTagMAP.value, own(card).gain.value], [0.5096312564162137, 0.6398174364008724], 1e-9);
    // recall at 6 and votes of 5 nearest of which the label is known: accuracy_score, balanced_accuracy_score; means over labels
    near([own(card).recall.value, own(card).accuracy.value, own(card).balancedAccuracy.value], [0.4166666666666667, 0.7656862745098039, 0.7529641654641654], 1e-9); // prettier-ignore
    near(card.labels.map(({ recall }) => recall.value), [0.4166666666666667, 0.40476190476190477, 0.42857142857142855], 1e-9); // prettier-ignore
    near(card.labels.map(({ balancedAccuracy }) => balancedAccuracy.value), [0.8535353535353536, 0.5928571428571429, 0.8125], 1e-9); // prettier-ignore
    // of test/training/retrieval.test.ts
    near([own(card).mAP.value, own(card).rarityWeightedMAP.value, own(card).precisionAtTen.value], [0.5343674681053053, 0.530954275945529, 0.3222222222222222], 1e-9); // prettier-ignore
  });

  it('is about chance, in every figure, for an embedding that knows nothing', () => {
    const random = seedrandom('card');
    const many = Array.from({ length: 600 }, (_, k) => rowAt(k, { labels: { a: random() < 0.3 ? 1 : 0, b: random() < 0.1 ? 1 : 0, c: random() < 0.05 ? null : random() < 0.5 ? 1 : 0 } })); // prettier-ignore
    const { name: _, ...figures } = own(reportCard(randomVectors(600, 16, 'card'), many, labels, { draws: 50, rarity: Float32Array.of(1, 2, 1) })); // prettier-ignore
    for (const [figure, { value, chance }] of Object.entries(figures)) {
      const room = figure === 'accuracy' ? 0.08 : 0.03; // voters who know nothing do not always say the commoner
      assert.ok(Math.abs(value - chance) < room, `${figure} ${value}, chance ${chance}`);
    }
  });

  it('counts the chance of the first ten among the answers of each question: a place of several dates is none of its own', () => {
    const dated = Array.from({ length: 200 }, (_, k) => rowAt(Math.floor(k / 5), { catid: `C${k % 5}`, labels: { a: k < 20 ? 1 : 0 } })); // prettier-ignore
    const { precisionAtTen } = own(reportCard(randomVectors(200, 16, 'dated'), dated, ['a'], { draws: 2 }));
    near([precisionAtTen.chance], [15 / 195], 1e-9); // three other places of five dates, of 39
  });

  it('is 1 in every figure that can reach it, where likeness is the label itself', () => {
    const two = Array.from({ length: 40 }, (_, k) => rowAt(k, { labels: { a: k % 4 === 0 ? 1 : 0 } }));
    const perfect = vectorsOf(two.map((_, k) => [k % 4 === 0 ? 1 : 0, k % 4 === 0 ? 0 : 1]));
    const { name: _, recall, precisionAtTen, ...figures } = own(reportCard(perfect, two, ['a'], { k: 5, recallK: 9, draws: 20 })); // prettier-ignore
    for (const [figure, { value, low, high }] of Object.entries(figures)) assert.deepEqual([value, low, high], [1, 1, 1], figure); // prettier-ignore
    near([recall.value, precisionAtTen.value], [1, 0.9], 1e-9); // nine others have it: of ten answers one must be wrong
  });

  it('says by how much the model is ahead, surer than two intervals side by side', () => {
    const random = seedrandom('ahead');
    const many = Array.from({ length: 200 }, (_, k) => rowAt(k, { labels: { a: random() < 0.4 ? 1 : 0 } }));
    const good = vectorsOf(many.map(({ labels: { a } }) => [a === 1 ? 0.5 : -0.5, random() - 0.5, random() - 0.5]));
    const poor = vectorsOf(many.map(({ labels: { a } }) => [a === 1 ? 0.35 : -0.35, random() - 0.5, random() - 0.5]));
    const { ahead, embeddings } = reportCard(good, many, ['a'], { name: 'roofs', beside: { poor, same: good } });
    assert.deepEqual(embeddings.map(({ name }) => name), ['roofs', 'poor', 'same']); // prettier-ignore
    near([ahead[0].by.value], [embeddings[0].mAP.value - embeddings[1].mAP.value], 1e-9);
    assert.ok(ahead[0].by.low > 0 && ahead[0].by.low < ahead[0].by.value);
    assert.deepEqual([ahead[1].by.value, ahead[1].by.low, ahead[1].by.high], [0, 0, 0]);
    const alone = (at: number): number => embeddings[at].mAP.high - embeddings[at].mAP.low;
    assert.ok(ahead[0].by.high - ahead[0].by.low < alone(0) + alone(1));
  });

  it('divides the questions by cell, date, resolution and angle', () => {
    const [cells, dates, resolutions, angles] = card.groups;
    assert.deepEqual([cells.rows.length, cells.note], [1, 'There is one cell only (Z33-031133012203): nothing can be compared.']); // prettier-ignore
    assert.deepEqual(dates.rows.map(({ name, chips }) => [name, chips]), [['2022-06-01', 10], ['2022-06-02', 10]]); // prettier-ignore
    assert.deepEqual(resolutions.rows.map(({ name, chips, places }) => [name, chips, places]), [['0.3–0.4 m', 8, 4], ['0.5–0.6 m', 7, 7], ['not known', 5, 5]]); // prettier-ignore
    assert.match(resolutions.note!, /^Of 5 chips it is not known\.$/);
    assert.deepEqual(angles.rows.map(({ name, chips }) => [name, chips]), [['0–10°', 4], ['10–20°', 3], ['20–30°', 3], ['30–40°', 4], ['40–50°', 1], ['not known', 5]]); // prettier-ignore
    // the mean over all questions of a label is that of the two dates, each by its number of questions
    const one = reportCard(vectors, rows, ['a'], { ...options, rarity: undefined });
    const asked = one.groups[1].rows.map(({ name }) => rows.filter(({ date, labels: { a } }) => date === name && a === 1).length); // prettier-ignore
    const total = one.groups[1].rows.reduce((sum, { mAP }, at) => sum + mAP.value * asked[at], 0);
    near([total / (asked[0] + asked[1])], [one.labels[0].mAP[0].value], 1e-9);
  });

  it('has no interval where one place alone asks, and the same one for the same seed', () => {
    const lonely = rows.map((row, k) => ({ ...row, date: k === 19 ? '2023-01-01' : row.date, labels: { ...row.labels, a: k === 19 ? (1 as const) : row.labels['a'] } })); // prettier-ignore
    const { mAP } = reportCard(vectors, lonely, ['a'], { ...options, rarity: undefined }).groups[1].rows.find(({ name }) => name === '2023-01-01')!; // prettier-ignore
    assert.deepEqual([Number.isFinite(mAP.value), mAP.low, mAP.high], [true, Number.NaN, Number.NaN]);
    assert.deepEqual(reportCard(vectors, rows, labels, options), card);
    assert.notDeepEqual(own(reportCard(vectors, rows, labels, { ...options, seed: 2 })).mAP, own(card).mAP);
  });

  describe('says what cannot be scored', () => {
    const notes = (some: DatasetRow[], names = labels): string => reportCard(vectors, some, names, { ...options, rarity: undefined }).notes.join('\n'); // prettier-ignore
    const split = (side: Split): DatasetRow[] => rows.map((row) => ({ ...row, split: side }));

    it('where no chip is test ground', () => {
      const empty = reportCard(vectors, split('train'), labels, { ...options, recallK: undefined });
      assert.match(empty.notes.join(), /^No chip of the dataset is in its test split, so nothing can be said/);
      assert.deepEqual([empty.chips, empty.places, empty.labels, own(empty).mAP.value], [0, 0, [], Number.NaN]);
      assert.equal(empty.undefinedLabels.length, 3);
      assert.ok(empty.groups.every(({ note }) => note === 'There is no chip.'));
    });

    it('where there is one label, one cell, one date, or few places', () => {
      assert.match(notes(rows, ['a']), /There is one label, a: the figures say how well chips with it are told/);
      assert.match(notes(rows), /All chips lie in one cell/);
      assert.match(notes(rows), /There are 16 places only/);
      assert.doesNotMatch(notes(rows), /of one date|one label/);
      assert.match(notes(rows.map((row) => ({ ...row, date: '2022-06-01' }))), /All chips are of one date/);
      assert.match(notes(rows), /Fewer than ten places ask for a, b, c: read those figures as a hint/);
    });

    it('where a label is had by all, by none, or by one place', () => {
      const odd = rows.map((row, k) => ({ ...row, labels: { ...row.labels, all: 1 as const, none: 0 as const, one: k < 2 ? (1 as const) : (0 as const) } })); // prettier-ignore
      const { undefinedLabels, labels: scored, embeddings } = reportCard(vectors, odd, ['all', 'none', 'one', 'a', 'b', 'c'], { ...options, rarity: undefined }); // prettier-ignore
      assert.deepEqual(undefinedLabels.map(({ label }) => label), ['all', 'none', 'one']); // prettier-ignore
      assert.match(undefinedLabels[0].reason, /every chip whose label is known has it/);
      assert.match(undefinedLabels[2].reason, /1 place with it/);
      assert.deepEqual(scored.map(({ label }) => label), labels); // prettier-ignore
      near([embeddings[0].mAP.value], [own(card).mAP.value], 1e-12);
      const nothing = reportCard(vectors, odd, ['all', 'none'], { ...options, rarity: undefined });
      assert.match(nothing.notes[0], /^No label can be scored/);
      assert.deepEqual([nothing.labels, own(nothing).mAP.value, own(nothing).accuracy.value], [[], Number.NaN, Number.NaN]); // prettier-ignore
    });
  });

  it('refuses vectors that are not one for each row, and a k that is none', () => {
    assert.throws(() => reportCard(vectors, rows, ['a'], options), /a rarity of 3 labels, there are 1: one each/);
    assert.throws(() => reportCard(vectors, rows.slice(1), labels), /RangeError: reportCard got 19 rows and 20 vectors of model: one each/); // prettier-ignore
    assert.throws(() => reportCard(vectors, rows, labels, { beside: { 'colour histogram': randomVectors(3, 4, 'x') } }), /20 rows and 3 vectors of colour histogram/); // prettier-ignore
    assert.throws(() => reportCard(vectors, rows, labels, { k: 0 }), /RangeError: reportCard requires a positive whole k, got 0/); // prettier-ignore
    assert.throws(() => reportCard(vectors, rows, labels, { recallK: 1.5 }), /positive whole recallK, got 1\.5/);
  });
});
