import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildNetwork,
  classify,
  encode,
  type Network,
  train,
  type TrainingSet,
  type TrainOptions,
  weightsOf,
} from 'imagesim/training';
import { colourNearness, cosine, meanAveragePrecision, textureCount, texturedScenes } from './scenes.ts';

const size = 32;
const classes = Array.from({ length: textureCount }, (_, i) => `texture ${i}`);
const build = (seed: number | string = 1): Promise<Network> =>
  buildNetwork({ inputSize: size, classes, widths: [8, 16, 32], embeddingWidth: 16, seed });

async function lossesOf(options: TrainOptions): Promise<number[]> {
  const network = await build();
  const log = await train(network, texturedScenes(48, size, 'small'), { epochs: 2, batchSize: 16, ...options });
  network.dispose();
  return log.map(({ loss }) => loss);
}

describe('training: network', () => {
  it('begins with the same weights for the same seed, and with others for another', async () => {
    const [a, b, c] = await Promise.all([build(1), build(1), build('other')]);
    const kernels = [a, b, c].map((network) => weightsOf(network).map(({ values }) => values));
    assert.deepEqual(kernels[0], kernels[1]);
    assert.notDeepEqual(kernels[0], kernels[2]);
    assert.equal(weightsOf(a)[0].name, 'convolution1/kernel');
    assert.deepEqual(weightsOf(a)[0].shape, [3, 3, 3, 8]);
    const variance = kernels[0][0].reduce((sum, value) => sum + value * value, 0) / kernels[0][0].length;
    assert.ok(
      Math.abs(variance / (2 / 27) - 1) < 0.35,
      `variance ${variance}, expected 2 / 27 within three standard errors (216 draws)`,
    );
  });

  it('counts its trained weights', async () => {
    const { parameters } = await build();
    assert.equal(parameters, 27 * 8 + 72 * 16 + 144 * 32 + 2 * (8 + 16 + 32) + 33 * 16 + 17 * 4);
  });

  it('gives embeddings of unit length and probabilities, the same in any batch size', async () => {
    const network = await build();
    const { images } = texturedScenes(7, size, 'seven');
    const [rows, again] = [await encode(network, images), await encode(network, images, { batchSize: 2 })];
    assert.equal(rows.length, 7 * 16);
    for (let i = 0; i < 7; i++) assert.ok(Math.abs(Math.hypot(...rows.subarray(i * 16, (i + 1) * 16)) - 1) < 1e-5);
    assert.ok(rows.every((value, i) => Math.abs(value - again[i]) < 1e-5));
    const probabilities = await classify(network, images);
    assert.equal(probabilities.length, 7 * textureCount);
    assert.ok(probabilities.every((p) => p > 0 && p < 1));
  });

  it('refuses sizes, widths and classes that make no network, in one line', async () => {
    await assert.rejects(
      buildNetwork({ inputSize: 8, classes }),
      /^RangeError: buildNetwork requires an input size of at least 16 pixels, got 8/,
    );
    await assert.rejects(buildNetwork({ inputSize: 32, classes: [] }), /at least one class, got none/);
    await assert.rejects(buildNetwork({ inputSize: 32, classes: ['a', 'a'] }), /distinct classes, got a twice/);
    await assert.rejects(buildNetwork({ inputSize: 32, classes, widths: [8, 0] }), /positive whole widths, got 0/);
    await assert.rejects(buildNetwork({ inputSize: 32, classes, widths: [] }), /at least one convolution/);
  });

  it('refuses bytes that are no images, and use after it is disposed of', async () => {
    const network = await build();
    await assert.rejects(encode(network, new Uint8Array(100)), /100 bytes are no whole number of 32 × 32 × 3 images/);
    network.dispose();
    await assert.rejects(
      encode(network, new Uint8Array(0)).then(() => encode(network, new Uint8Array(3072))),
      /no network in memory/,
    );
  });
});

describe('training: loop', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'imagesim-training-'))));
  after(() => rm(folder, { recursive: true, force: true }));

  it('makes embeddings that find textures far better than colours do, also on scenes never seen', async function () {
    const network = await buildNetwork({ inputSize: size, classes, widths: [16, 32, 64], embeddingWidth: 32 });
    const [seen, unseen] = [texturedScenes(160, size, 'seen'), texturedScenes(80, size, 'unseen')];
    const log = await train(network, seen, { epochs: 15, batchSize: 16, validation: unseen });
    const colour = meanAveragePrecision(unseen.textures, colourNearness(unseen.images, size * size));
    const learnt = meanAveragePrecision(unseen.textures, cosine(await encode(network, unseen.images), 32));
    assert.ok(colour < 0.4, `colour alone: ${colour}`);
    assert.ok(learnt > 0.7 && learnt > 2 * colour, `learnt ${learnt}, colour ${colour}`);
    assert.ok((log[14].validationLoss as number) < (log[0].validationLoss as number));
    const probabilities = await classify(network, unseen.images);
    const right = unseen.textures.filter((kind, i) =>
      probabilities.subarray(i * 4, i * 4 + 4).every((p, k, row) => k === kind || p < row[kind]),
    ).length;
    assert.ok(right >= 64, `${right} of 80 scenes have their texture as the likeliest`);
  });

  it('repeats itself for the same seed, to the last bit, and not for another', async () => {
    const [a, b, c] = [await lossesOf({ seed: 5 }), await lossesOf({ seed: 5 }), await lossesOf({ seed: 6 })];
    assert.deepEqual(a, b);
    assert.notDeepEqual(a, c);
  });

  it('writes one line an epoch, and reports each', async () => {
    const logPath = join(folder, 'training-log.jsonl');
    const done: number[] = [];
    await lossesOf({
      logPath,
      validation: texturedScenes(8, size, 'few'),
      onProgress: (progress) => done.push(progress.done),
    });
    const lines = (await readFile(logPath, 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, number>); // prettier-ignore
    assert.deepEqual(lines.map(({ epoch }) => epoch), [1, 2]); // prettier-ignore
    assert.deepEqual(Object.keys(lines[0]).sort(), ['epoch', 'imagesPerSecond', 'loss', 'seconds', 'validationLoss']);
    assert.equal(done.at(-1), 2);
    assert.ok(lines.every((line) => Object.values(line).every((value) => value > 0)));
  });

  it('stops at an abort between batches, and goes on from its checkpoint as if it had not', async () => {
    const checkpointPath = join(folder, 'checkpoint.bin');
    const whole = await lossesOf({ epochs: 3 });
    const controller = new AbortController();
    const stopped = lossesOf({
      epochs: 3,
      checkpointPath,
      signal: controller.signal,
      onProgress: ({ done }) => done === 2 && controller.abort(),
    });
    await assert.rejects(stopped, { name: 'AbortError' });
    const resumed = await lossesOf({ epochs: 3, checkpointPath });
    assert.deepEqual(resumed.slice(0, 2), whole.slice(0, 2));
    assert.ok(Math.abs(resumed[2] / whole[2] - 1) < 1e-4, `${resumed[2]}, uninterrupted ${whole[2]}`);
    assert.deepEqual(await lossesOf({ epochs: 3, checkpointPath }), resumed, 'a finished run is read, not repeated');
  });

  describe('with a checkpoint of another run', () => {
    const set = texturedScenes(48, size, 'small');
    const few = texturedScenes(8, size, 'few');
    const note = 'starts anew: the checkpoint is of another run';
    const flipped = Uint8Array.from(set.images, (value, i) => (i === 5 ? value ^ 1 : value));
    const changes: [string, Partial<TrainingSet>, TrainOptions][] = [
      ['more epochs', {}, { epochs: 2 }],
      ['another seed', {}, { seed: 2 }],
      ['another learning rate', {}, { learningRate: 0.01 }],
      ['one bit of one pixel', { images: flipped }, {}],
      ['one label', { labels: set.labels.map((label, i) => (i === 3 ? NaN : label)) }, {}],
      ['one weight', { weights: Float32Array.from({ length: 48 }, (_, i) => (i === 7 ? 2 : 1)) }, {}],
      ['another validation set', {}, { validation: few }],
    ];

    /** Losses and notes of a run on a new network. */
    async function runOf(change: Partial<TrainingSet>, options: TrainOptions): Promise<[number[], string[]]> {
      const network = await build();
      const notes: string[] = [];
      const onProgress: TrainOptions['onProgress'] = ({ note: line }) => notes.push(line ?? '');
      const log = await train(network, { ...set, ...change }, { epochs: 1, batchSize: 16, onProgress, ...options });
      network.dispose();
      return [log.map(({ loss }) => loss), notes];
    }

    for (const [what, change, options] of changes) {
      it(`starts anew, says so, and replaces it: ${what}`, async () => {
        const checkpointPath = join(folder, `${what}.bin`);
        const [, first] = await runOf({}, { checkpointPath });
        assert.ok(!first.includes(note), 'nothing to say where there is no checkpoint');
        const [fresh] = await runOf(change, options);
        const [losses, notes] = await runOf(change, { ...options, checkpointPath });
        assert.equal(notes[0], note);
        assert.deepEqual(losses, fresh);
        assert.deepEqual(await runOf(change, { ...options, checkpointPath }), [losses, []], 'its own is there now');
      });
    }
  });

  it('names a damaged checkpoint and the remedy, wherever it was cut', async () => {
    const checkpointPath = join(folder, 'cut.bin');
    await lossesOf({ epochs: 1, checkpointPath });
    const bytes = await readFile(checkpointPath);
    const remedy = 'delete it, and training begins again';
    for (const missing of [1, 2, 3, 400]) {
      await writeFile(checkpointPath, bytes.subarray(0, bytes.length - missing));
      await assert.rejects(
        lossesOf({ epochs: 1, checkpointPath }),
        new RegExp(`cut\\.bin is no whole checkpoint \\(\\d+ bytes of values, where it says \\d+\\): ${remedy}`),
      );
    }
    for (const content of ['', 'nothing', bytes.subarray(0, 40)]) {
      await writeFile(checkpointPath, content);
      await assert.rejects(lossesOf({ epochs: 1, checkpointPath }), new RegExp(`cut\\.bin is no whole checkpoint.*${remedy}`)); // prettier-ignore
    }
  });

  it('learns nothing from unknown labels and images of weight zero', async () => {
    const set = texturedScenes(48, size, 'small');
    const wrong = set.labels.map((label, i) => (i < 24 * textureCount ? label : 1 - label));
    const weights = Float32Array.from({ length: 48 }, (_, i) => (i < 24 ? 1 : 0));
    const unknown = set.labels.map((label, i) => (i < 24 * textureCount ? label : NaN));
    const losses = [];
    for (const variant of [{ labels: wrong, weights }, { labels: unknown }]) {
      const network = await build();
      const log = await train(
        network,
        { images: set.images, ...variant },
        { epochs: 1, batchSize: 48, contrastiveWeight: 0 },
      );
      losses.push(log[0].loss);
    }
    assert.ok(Math.abs(losses[0] - losses[1]) < 1e-6, losses.join());
  });

  it('stops when the loss is no longer a number, naming the learning rate', async () => {
    await assert.rejects(
      lossesOf({ epochs: 4, learningRate: 1e30 }),
      /^RangeError: the loss is \S+ at a learning rate of \S+e\+29: build the network anew/,
    );
  });

  it('leaves no tensor behind', async () => {
    const { engine } = await import('@tensorflow/tfjs-core');
    await lossesOf({ epochs: 1 });
    const { numTensors } = engine().memory();
    await lossesOf({ epochs: 1 });
    assert.equal(engine().memory().numTensors, numTensors);
  });

  it('refuses at its door what does not fit, before any work', async () => {
    const network = await build();
    const set = texturedScenes(8, size, 'few');
    const cases: [object, object, RegExp][] = [
      [{ labels: set.labels.subarray(1) }, {}, /labels of the training set: 31 values are no rows of 4 classes/],
      [{ images: set.images.subarray(3) }, {}, /24573 bytes, where 8 rows of labels ask for 24576/],
      [{ labels: set.labels.map(() => NaN) }, {}, /the training set has no known label/],
      [
        { labels: set.labels.map((label) => label / 2) },
        {},
        /labels of the training set are 1, 0 or NaN for unknown, got 0\.5/,
      ],
      [{ weights: new Float32Array(7) }, {}, /weights of the training set: 7, where there are 8 images/],
      [{ weights: new Float32Array(8).fill(-1) }, {}, /weights of the training set are zero or more, got -1/],
      [{}, { validation: { ...set, labels: set.labels.subarray(4) } }, /images of the validation set/],
      [{}, { epochs: 0 }, /positive whole epochs, got 0/],
      [{}, { batchSize: 1.5 }, /positive whole batchSize, got 1\.5/],
      [{}, { learningRate: -1 }, /positive learningRate, got -1/],
      [{}, { temperature: 0.01 }, /temperature of at least 0\.03, got 0\.01/],
      [{}, { contrastiveWeight: -1 }, /contrastiveWeight of zero or more, got -1/],
      [{}, { classWeights: new Float32Array(3) }, /4 class weights, got 3/],
    ];
    for (const [change, options, message] of cases)
      await assert.rejects(train(network, { ...set, ...change }, options), message);
  });
});
