import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ClassRetrieval,
  buildNetwork,
  chancePrecision,
  colourHistograms,
  encode,
  retrieval,
  retrievalScores,
  train,
} from 'imagesim/training';
import sharp from 'sharp';
import { randomFor } from '../../kernel-lib/training/sampler.ts';
import { near, wave } from './near.ts';
import { cosine, meanAveragePrecision } from './scenes.ts';

/** NumPy: e = sin(1.9 arange(80)).reshape(20, 4), each row over its length. */
const embeddings = wave(80, 1.9);
for (let row = 0; row < 20; row++) {
  const part = embeddings.subarray(4 * row, 4 * row + 4);
  part.set(part.map((value) => value / Math.hypot(...part)));
}
/** cos(.9 arange(60)).reshape(20, 3) > .2; the second unknown of rows 4, 10 and 16. */
const labels = Float32Array.from({ length: 60 }, (_, i) =>
  i % 3 === 1 && Math.floor(i / 3) % 6 === 4 ? NaN : Number(Math.cos(0.9 * i) > 0.2),
);
const places = Array.from({ length: 20 }, (_, i) => (i < 8 ? `${Math.floor(i / 2)}` : `own ${i}`));
const set = { embeddings, width: 4, labels, classes: ['a', 'b', 'c'], places };

/** A class scored by hand. */
const scored = (values: number[]): ClassRetrieval => ({
  label: 'a',
  queries: Uint32Array.from(values.keys()),
  averagePrecision: Float64Array.from(values),
  precisionAtTen: Float64Array.from(values),
  chanceAtTen: new Float64Array(values.length),
  chance: new Float64Array(values.length),
});

describe('training: retrieval', () => {
  it('is scikit-learn’s average precision of each query, one’s own ground and unknown labels left out', () => {
    // scikit-learn 1.2: may = (place != place[i]) & ~isnan(y); average_precision_score(y[may], (e @ e.T)[i][may]) for each i with y[i] == 1;
    // at ten: y[may][argsort(−s[may], kind='stable')[:10]].mean()
    const found = retrieval(set);
    near(found[0].averagePrecision.subarray(0, 3), [0.7016690009337068, 0.5839606676003735, 0.5239292570174923], 1e-9);
    const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    near(found.map(({ averagePrecision }) => mean(averagePrecision)), [0.5749355203834693, 0.4854615622472765, 0.5427053216851702], 1e-9); // prettier-ignore
    near(found.map(({ precisionAtTen }) => mean(precisionAtTen)), [0.36666666666666664, 0.3, 0.3], 1e-9); // prettier-ignore
    assert.deepEqual(found.map(({ queries }) => queries.length), [9, 7, 8]); // prettier-ignore
    const all = retrievalScores(found, { places, rarity: Float32Array.of(1, 2, 4) });
    near([all.meanAveragePrecision.value, all.rarityWeighted.value, all.precisionAtTen.value], [0.5343674681053053, 0.530954275945529, 0.3222222222222222], 1e-9); // prettier-ignore
    assert.equal(all.classes, 3);
  });

  it('of random embeddings is what chance gives, on average', () => {
    const random = randomFor(1, 'chance');
    const many = 300;
    const rows = Float32Array.from({ length: many * 8 }, () => random() - 0.5);
    const tags = Float32Array.from({ length: many }, (_, i) => Number(i % 5 === 0));
    const { meanAveragePrecision: mean, chance } = retrievalScores(retrieval({ embeddings: rows, width: 8, labels: tags, classes: ['a'] })); // prettier-ignore
    assert.ok(Math.abs(mean.value - chance) < 0.02, `${mean.value}, chance ${chance}`);
    near([chance], [chancePrecision(59, 299)], 1e-9); // each of 60 queries has 59 answers among 299
  });

  it('says why a class cannot be scored, and leaves it out of the mean', () => {
    const rows = { ...set, labels: Float32Array.from({ length: 60 }, (_, i) => [Number(i < 6), 1, labels[i]][i % 3]) };
    const [one, all, fine] = retrieval(rows); // the first: of rows 0 and 1, the same ground
    assert.match(one.reason!, /1 place with it among 20 chips: two are needed/);
    assert.match(all.reason!, /every chip whose label is known has it/);
    assert.deepEqual([one.averagePrecision.length, one.precisionAtTen.length, one.chance.length], [0, 0, 0]);
    assert.equal(fine.reason, undefined);
    assert.equal(retrievalScores([one, all, fine]).meanAveragePrecision.value, retrievalScores([fine]).meanAveragePrecision.value); // prettier-ignore
    assert.ok(Number.isNaN(retrievalScores([one]).meanAveragePrecision.value));
  });

  it('has intervals that hold the true mean in 95 of 100 samples', () => {
    const random = randomFor(2, 'coverage');
    let held = 0;
    for (let sample = 0; sample < 300; sample++) {
      const { meanAveragePrecision: mean } = retrievalScores([scored(Array.from({ length: 40 }, random))], { draws: 200, seed: sample }); // prettier-ignore
      if (mean.low <= 0.5 && 0.5 <= mean.high) held++;
    }
    assert.ok(held >= 270 && held <= 297, `${held} of 300`); // 95 %, less what a percentile interval of 40 lacks; four standard errors are 15
  });

  it('draws whole places: four images of each place say no more than one of them', () => {
    const random = randomFor(3, 'places');
    const values = Array.from({ length: 50 }, random);
    const [alone, repeated] = [values, values.flatMap((value) => [value, value, value, value])].map((all) => {
      const ground = all.map((_, i) => `${Math.floor(i / (all.length / 50))}`);
      return retrievalScores([scored(all)], { places: ground }).meanAveragePrecision;
    });
    near([repeated.low, repeated.value, repeated.high], [alone.low, alone.value, alone.high], 1e-9);
  });
});

/** RSSCN7 (Zou et al. 2015), 7 classes × 100 scenes; kept outside the project, for its licence is for research alone. */
const root = join(import.meta.dirname, '../../../shared/data/scenes-rsscn7');
const size = 32;
const pixels = size * size;

interface Scenes {
  images: Uint8Array;
  labels: Float32Array;
  kinds: number[];
}

async function readScenes(paths: string[], kinds: number[], classes: number): Promise<Scenes> {
  const images = new Uint8Array(paths.length * pixels * 3);
  for (const [i, path] of paths.entries()) {
    images.set(await sharp(path).resize(size, size).removeAlpha().raw().toBuffer(), i * pixels * 3);
  }
  return {
    images,
    labels: Float32Array.from({ length: paths.length * classes }, (_, i) =>
      Number(kinds[Math.floor(i / classes)] === i % classes),
    ),
    kinds,
  };
}

/** Every other scene of each class, from the first or from the second on. */
async function halfOf(classes: string[], first: 0 | 1): Promise<Scenes> {
  const [paths, kinds]: [string[], number[]] = [[], []];
  for (const [kind, name] of classes.entries()) {
    const files = (await readdir(join(root, name))).sort().filter((_, i) => i % 2 === first);
    for (const file of files) {
      paths.push(join(root, name, file));
      kinds.push(kind);
    }
  }
  return readScenes(paths, kinds, classes.length);
}

describe('training: real scenes', () => {
  it('finds scenes of a kind better than colours do, among 350 that it never saw (RSSCN7)', async function () {
    if (!existsSync(root)) {
      console.log(`      RSSCN7 is not at ${root}: put its classes there, one folder each, to run this`);
      this.skip();
    }
    const classes = (await readdir(root, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name); // prettier-ignore
    const [seen, unseen] = await Promise.all([halfOf(classes.sort(), 0), halfOf(classes.sort(), 1)]);
    const network = await buildNetwork({ inputSize: size, classes, widths: [16, 32] });
    await train(network, seen, { epochs: 4, learningRate: 0.02 });
    const histograms = colourHistograms(unseen.images, size);
    const colour = meanAveragePrecision(unseen.kinds, cosine(histograms.values, histograms.width));
    const learnt = meanAveragePrecision(
      unseen.kinds,
      cosine(await encode(network, unseen.images), network.embeddingWidth),
    );
    assert.ok(learnt > colour + 0.04, `learnt ${learnt}, colour ${colour}`);
  });
});
