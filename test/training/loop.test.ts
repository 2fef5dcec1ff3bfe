import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  type EpochLog,
  LOSSES,
  type LossName,
  type Network,
  type TrainOptions,
  type TrainingSet,
  type Weights,
  buildNetwork,
  classify,
  colourHistograms,
  encode,
  retrieval,
  retrievalScores,
  train,
  trainingBackend,
  weightsOf,
} from 'imagesim/training';
import { cosine, meanAveragePrecision, textureCount, texturedScenes } from './scenes.ts';

const size = 32;
const classes = Array.from({ length: textureCount }, (_, i) => `texture ${i}`);
const small = texturedScenes(32, size, 'small');
const few = texturedScenes(12, size, 'few');
const build = (seed: number | string = 1): Promise<Network> =>
  buildNetwork({ inputSize: size, classes, widths: [8, 16], embeddingWidth: 16, seed });

/** What a run on a new network comes to: its log without the clock's part, and all weights. */
interface Outcome {
  log: Omit<EpochLog, 'seconds' | 'imagesPerSecond'>[];
  weights: Weights[];
}

async function runOf(options: TrainOptions = {}, change: Partial<TrainingSet> = {}): Promise<Outcome> {
  const network = await build();
  try {
    const log = await train(network, { ...small, ...change }, { epochs: 2, batchSize: 16, members: 1, ...options }); // one thread starts sooner
    return {
      log: log.map(({ seconds: _seconds, imagesPerSecond: _rate, ...rest }) => rest),
      weights: await weightsOf(network),
    };
  } finally {
    network.dispose();
  }
}

/** A run that is aborted at its first note of this kind. */
async function aborted(at: string, options: TrainOptions): Promise<void> {
  const controller = new AbortController();
  const onProgress: TrainOptions['onProgress'] = ({ note = '' }) => note.startsWith(at) && controller.abort();
  await assert.rejects(runOf({ ...options, signal: controller.signal, onProgress }), { name: 'AbortError' });
}

describe('training: network', () => {
  before(() => trainingBackend({ name: 'wasm' }));

  it('begins with the same weights for the same seed, and with others for another', async () => {
    const networks = await Promise.all([build(1), build(1), build('other')]);
    const [a, b, c] = await Promise.all(networks.map(weightsOf));
    assert.deepEqual(a, b);
    assert.notDeepEqual(a, c);
    assert.equal(a[0].name, 'convolution1/kernel');
    assert.deepEqual(a[0].shape, [3, 3, 3, 8]);
    const variance = a[0].values.reduce((sum, value) => sum + value * value, 0) / a[0].values.length;
    // 2 / 27 within three standard errors of 216 draws
    assert.ok(Math.abs(variance / (2 / 27) - 1) < 0.35, `variance ${variance}`);
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
    const cases: [object, RegExp][] = [
      [{ inputSize: 8 }, /buildNetwork requires an input size of at least 16 pixels, got 8/],
      [{ classes: [] }, /at least one class, got none/],
      [{ classes: ['a', 'a'] }, /distinct classes, got a twice/],
      [{ widths: [8, 0] }, /positive whole widths, got 0/],
      [{ widths: [] }, /at least one convolution/],
      [{ embeddingWidth: 1 }, /an embedding of at least 2 numbers, got 1/],
    ];
    for (const [change, message] of cases)
      await assert.rejects(buildNetwork({ inputSize: 32, classes, ...change }), { name: 'RangeError', message });
    await assert.rejects(
      buildNetwork({ classes, tune: true }),
      /can train only a backbone further, and was given none/,
    );
  });

  it('refuses bytes that are no images, batches of no image, and use after it is disposed of', async () => {
    const network = await build();
    await assert.rejects(encode(network, new Uint8Array(100)), /100 bytes are no whole number of 32 × 32 × 3 images/);
    await assert.rejects(encode(network, new Uint8Array(3072), { batchSize: 0 }), /a positive whole batchSize is required, got 0/); // prettier-ignore
    network.dispose();
    network.dispose(); // twice does no harm
    await assert.rejects(encode(network, new Uint8Array(3072)), /no network in memory/);
    await assert.rejects(train(network, small), /no network in memory/);
  });
});

const proof = process.env.IMAGESIM_PROOF !== undefined;

describe('training: loop', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'imagesim-training-'))));
  after(() => rm(folder, { recursive: true, force: true }));

  it('makes embeddings that find textures far better than colours do, also on scenes never seen', async () => {
    const network = await buildNetwork({ inputSize: size, classes, widths: [12, 24], embeddingWidth: 32 });
    const [seen, unseen] = [texturedScenes(160, size, 'seen'), texturedScenes(80, size, 'unseen')];
    const log = await train(network, seen, { epochs: 12, batchSize: 16, learningRate: 0.03, validation: unseen });
    const histograms = colourHistograms(unseen.images, size);
    const colour = meanAveragePrecision(unseen.textures, cosine(histograms.values, histograms.width));
    const learnt = meanAveragePrecision(unseen.textures, cosine(await encode(network, unseen.images), 32));
    assert.ok(colour < 0.4, `colour alone: ${colour}`);
    assert.ok(learnt > 0.7 && learnt > 2 * colour, `learnt ${learnt}, colour ${colour}`);
    assert.ok(log.at(-1)!.validationLoss! < log[0].validationLoss!);
    const probabilities = await classify(network, unseen.images);
    const right = unseen.textures.filter((kind, i) =>
      probabilities.subarray(i * 4, i * 4 + 4).every((p, k, row) => k === kind || p < row[kind]),
    ).length;
    assert.ok(right >= 56, `${right} of 80 scenes have their texture as the likeliest`);
  });

  const losses = Object.keys(LOSSES) as LossName[];
  for (const loss of proof ? losses : losses.filter((_, at) => at % 2 === 1)) {
    it(`comes to the same weights and losses, to the last bit, with one member and with two: ${loss}`, async () => {
      const options = { losses: { [loss]: 1 }, epochs: 1, validation: few, shards: 3 };
      const [one, two] = [await runOf({ ...options, members: 1 }), await runOf({ ...options, members: 2 })];
      assert.deepEqual(one, two);
      assert.ok(one.log[0].loss > 0);
      assert.notDeepEqual(one.weights, await build().then(weightsOf), 'it has learnt');
    });
  }

  it('comes to other weights for another seed', async () => {
    const [a, b] = [await runOf({ epochs: 1 }), await runOf({ epochs: 1, seed: 2 })];
    assert.notDeepEqual(a.weights, b.weights);
  });

  it('without labels does not look at them, not even to choose images', async () => {
    const shifted = small.labels.map((_, i) => small.labels[(i + 5) % small.labels.length]);
    const options: TrainOptions = { losses: { simclr: 1 }, epochs: 1 };
    assert.deepEqual(await runOf(options), await runOf(options, { labels: shifted }));
    await runOf(options, { labels: small.labels.map(() => NaN) });
  });

  it('keeps the weights of the epoch with the best validation mAP, and stops after as many without a better one', async () => {
    const network = await build();
    const log = await train(network, small, { epochs: 12, batchSize: 8, validation: few, patience: 2, learningRate: 0.02 }); // prettier-ignore
    const scores = log.map(({ validationMap }) => validationMap!);
    const best = Math.max(...scores);
    assert.equal(log.length, Math.min(12, scores.indexOf(best) + 3), scores.join());
    const embeddings = await encode(network, few.images);
    const { value } = retrievalScores(retrieval({ embeddings, width: 16, labels: few.labels, classes })).meanAveragePrecision; // prettier-ignore
    assert.ok(Math.abs(value - best) < 1e-6, `${value}, best of ${scores.join()}`);
    assert.ok(scores.at(-1)! < best, 'the last epoch was not the best one: else this says nothing');
  });

  it('writes one line an epoch, and reports each with its cost', async () => {
    const logPath = join(folder, 'training-log.jsonl');
    const notes: string[] = [];
    const onProgress: TrainOptions['onProgress'] = ({ done, note }) => notes.push(`${done}: ${note}`);
    await runOf({ logPath, validation: few, onProgress, dollarsPerHour: 360_000 });
    const lines = (await readFile(logPath, 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, number>); // prettier-ignore
    assert.deepEqual(lines.map(({ epoch }) => epoch), [1, 2]); // prettier-ignore
    assert.deepEqual(Object.keys(lines[0]).sort(), ['dollars', 'epoch', 'imagesPerSecond', 'loss', 'seconds', 'validationLoss', 'validationMap']); // prettier-ignore
    assert.ok(lines.every((line) => Object.values(line).every((value) => value > 0)));
    assert.ok(lines[0].dollars >= 100 * lines[0].seconds, 'a hundred dollars a second, of the whole epoch');
    const epochs = notes.filter((note) => /^\d: loss/.test(note));
    assert.match(epochs[0], /^1: loss [\d.]+, validation mAP 0\.\d+, \d+ images\/s, \$([\d.]+) so far, \$\1 to come$/);
    assert.match(epochs[1], /^2: .*, \$[\d.]+ so far, \$0\.00 to come$/);
    assert.ok(notes.includes(notes.find((note) => note.startsWith('0: epoch 1, batch 1 of 2, loss'))!));
  });

  it('learns nothing from unknown labels and images of weight zero', async () => {
    const wrong = small.labels.map((label, i) => (i < 16 * textureCount ? label : 1 - label));
    const weights = Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? 1 : 0));
    const unknown = small.labels.map((label, i) => (i < 16 * textureCount ? label : NaN));
    const options: TrainOptions = { epochs: 1, batchSize: 32, losses: { entropy: 1 }, balance: 0 };
    const [a, b] = [await runOf(options, { labels: wrong, weights }), await runOf(options, { labels: unknown })];
    assert.deepEqual(a, b);
  });

  it('reads images as they are needed, to the same result as from memory', async () => {
    const each = 3 * size * size;
    const asked = new Set<number>();
    const read = async (rows: Uint32Array): Promise<Uint8Array> => {
      for (const row of rows) asked.add(row);
      return Uint8Array.from([...rows].flatMap((row) => [...small.images.subarray(row * each, (row + 1) * each)]));
    };
    assert.deepEqual(await runOf({ balance: 0 }, { images: { identity: 'small', read } }), await runOf({ balance: 0 }));
    assert.equal(asked.size, 32);
  });

  it('names images that cannot be read, or are of another size, and leaves the network as it was', async () => {
    const network = await build();
    const before = await weightsOf(network);
    const failing = async (): Promise<Uint8Array> => Promise.reject(new Error('chip 7 is corrupt'));
    await assert.rejects(train(network, { ...small, images: { identity: 'x', read: failing } }), /chip 7 is corrupt/);
    const short = async (): Promise<Uint8Array> => new Uint8Array(5);
    await assert.rejects(
      train(network, { ...small, images: { identity: 'set 9', read: short } }),
      /set 9: 5 bytes for \d+ images, where the network takes 3072 each: read them at its input size/,
    );
    assert.deepEqual(await weightsOf(network), before);
  });

  it('leaves no tensor behind, whatever the loss', async () => {
    const { engine } = await import('@tensorflow/tfjs-core');
    await runOf({ epochs: 1 });
    const { numTensors } = engine().memory();
    await runOf({
      epochs: 1,
      losses: { entropy: 1, contrastive: 1, triplet: 1, simclr: 1, vicreg: 1 },
      validation: few,
    });
    assert.equal(engine().memory().numTensors, numTensors);
  });

  it('stops when the loss is no longer a number, with the remedy, and leaves network and checkpoint as they were', async () => {
    const checkpointPath = join(folder, 'infinite.bin');
    const network = await build();
    const before = await weightsOf(network);
    const options: TrainOptions = { epochs: 6, batchSize: 16, learningRate: 10, losses: { entropy: 3e38 }, checkpointPath }; // prettier-ignore
    await aborted('epoch 1, batch 1', options);
    const kept = await readFile(checkpointPath);
    await assert.rejects(
      train(network, small, options),
      /^RangeError: the loss is (Infinity|NaN) at epoch \d, batch \d, at a learning rate of 10\.0: train at a tenth of that; .*infinite\.bin holds the last good epoch/,
    );
    assert.deepEqual(await readFile(checkpointPath), kept);
    assert.deepEqual(await weightsOf(network), before);
  });

  it('names a member that dies, and can be run again to the result of a run without a break', async () => {
    const checkpointPath = join(folder, 'died.bin');
    const opened: Worker[] = [];
    const kind = Worker.prototype as { postMessage: (this: Worker, ...words: unknown[]) => void };
    const own = kind.postMessage;
    kind.postMessage = function (...words) {
      if ((words[0] as { request?: { ask: string } }).request?.ask === 'open') opened.push(this);
      own.apply(this, words);
    };
    const onProgress: TrainOptions['onProgress'] = ({ note = '' }) => {
      if (note.startsWith('epoch 2, batch 1')) void opened[1].terminate();
    };
    try {
      await assert.rejects(
        runOf({ members: 2, checkpointPath, onProgress }),
        /^Error: training member 2 of 2 \(wasm, a thread\) ended: exit code 1; give it a smaller batch or fewer members, and run again/,
      );
    } finally {
      kind.postMessage = own;
    }
    assert.deepEqual(await runOf({ checkpointPath }), await runOf());
  });

  it('refuses at its door what does not fit, before any work', async () => {
    const network = await build();
    const { labels, images } = few;
    const cases: [object, object, RegExp][] = [
      [{ labels: new Float32Array(0), images: new Uint8Array(0) }, {}, /the training set is empty: choose splits that hold chips/], // prettier-ignore
      [{ labels: labels.subarray(1) }, {}, /labels of the training set: 47 values are no rows of 4 classes/],
      [
        { images: images.subarray(3) },
        {},
        /36861 bytes, where 12 rows of labels ask for 36864: give 32 × 32 × 3 bytes/,
      ],
      [{ labels: labels.map(() => NaN) }, {}, /the training set has no known label: nothing can be learnt from 12 images/], // prettier-ignore
      [{ labels: labels.map((label, i) => (i % 4 === 2 ? 0 : label)) }, {}, /no example of texture 2: leave the class out/], // prettier-ignore
      [{ labels: labels.map((label) => label / 2) }, {}, /labels of the training set are 1, 0 or NaN for unknown, got 0\.5/], // prettier-ignore
      [{ weights: new Float32Array(7) }, {}, /weights of the training set: 7, where there are 12 images/],
      [{ weights: new Float32Array(12).fill(-1) }, {}, /weights of the training set are zero or more, got -1/],
      [{ places: ['here'] }, {}, /places of the training set: 1, where there are 12 images/],
      [{}, { validation: { ...few, labels: labels.subarray(4) } }, /images of the validation set/],
      [{}, { validation: { ...few, labels: new Float32Array(0) } }, /the validation set is empty/],
      [{}, { epochs: 1.5 }, /a whole number of epochs, 0 or more, got 1\.5/],
      [{}, { epochs: -1 }, /a whole number of epochs, 0 or more, got -1/],
      [{}, { batchSize: 1.5 }, /positive whole batchSize, got 1\.5/],
      [{}, { batchSize: 3, losses: { vicreg: 1 } }, /batchSize of at least 4, got 3/],
      [{}, { shards: 0 }, /positive whole shards, got 0/],
      [{}, { members: 0 }, /positive whole members, got 0/],
      [{}, { featureViews: 0 }, /positive whole featureViews, got 0/],
      [{}, { learningRate: -1 }, /train takes learningRate from 1e-9 to 10, got -1/],
      [{}, { decay: 2 }, /train takes decay from 0 to 1, got 2/],
      [{}, { patience: NaN }, /train takes patience from 0 to Infinity, got NaN/],
      [{}, { balance: 1.1 }, /train takes balance from 0 to 1, got 1\.1/],
      [{}, { margin: 5 }, /train takes margin from 0 to 4, got 5/],
      [{}, { temperature: 0.01 }, /train takes temperature from 0\.03 to 10, got 0\.01/],
      [{}, { losses: { contrastive: -1 } }, /the loss contrastive counts zero or more, got -1/],
      [{}, { losses: { toString: 1 } }, /train knows the losses entropy, contrastive, triplet, simclr, vicreg, got toString/], // prettier-ignore
      [{}, { losses: { entropy: 0 } }, /at least one loss that counts, got none/],
      [{}, { classWeights: new Float32Array(3) }, /4 class weights, got 3/],
      [{}, { classWeights: new Float32Array(4).fill(NaN) }, /class weights of zero or more, got NaN/],
    ];
    for (const [change, options, message] of cases)
      await assert.rejects(train(network, { ...few, ...change }, options), { name: 'RangeError', message });
    network.dispose();
  });
});

describe('training: checkpoint', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'imagesim-checkpoint-'))));
  after(() => rm(folder, { recursive: true, force: true }));

  const kinds: [string, TrainOptions][] = [
    ['entropy and contrastive, with validation', { validation: few, batchSize: 8, epochs: 3 }],
    ['vicreg and triplet', { losses: { vicreg: 1, triplet: 0.1 }, epochs: 3 }],
  ];
  for (const [name, options] of kinds) {
    it(`takes a run on from the middle of an epoch to the last bit of one without a break: ${name}`, async () => {
      const checkpointPath = join(folder, `${name}.bin`);
      const whole = await runOf(options);
      await aborted('epoch 1, batch 1 ', { ...options, checkpointPath });
      await aborted('epoch 2, batch 2 ', { ...options, checkpointPath });
      assert.deepEqual(await runOf({ ...options, checkpointPath }), whole);
      const notes: string[] = [];
      const onProgress: TrainOptions['onProgress'] = ({ note = '' }) => notes.push(note);
      assert.deepEqual(await runOf({ ...options, checkpointPath, onProgress }), whole);
      assert.deepEqual(notes, [], 'a finished run is read, not repeated');
    });
  }

  it('is written by an abort that leaves the network itself as it was', async () => {
    const network = await build();
    const before = await weightsOf(network);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort();
    const checkpointPath = join(folder, 'left.bin');
    await assert.rejects(train(network, small, { checkpointPath, signal: controller.signal, onProgress }), { name: 'AbortError' }); // prettier-ignore
    assert.deepEqual(await weightsOf(network), before);
    assert.ok((await readFile(checkpointPath)).length > 0);
  });

  describe('of another run', () => {
    const note = 'starts anew: the checkpoint is of another run';
    const flipped = Uint8Array.from(small.images, (value, i) => (i === 5 ? value ^ 1 : value));
    const one: TrainOptions = { epochs: 1, batchSize: 32 };
    const changes: [string, Partial<TrainingSet>, TrainOptions][] = [
      ['more epochs', {}, { epochs: 2 }],
      ['another seed', {}, { seed: 2 }],
      ['another loss', {}, { losses: { triplet: 1 } }],
      ['another augmentation', {}, { augmentation: { blur: 2 } }],
      ['one bit of one pixel', { images: flipped }, {}],
      ['one label', { labels: small.labels.map((label, i) => (i === 3 ? NaN : label)) }, {}],
      ['one weight', { weights: Float32Array.from({ length: 32 }, (_, i) => (i === 7 ? 2 : 1)) }, {}],
      ['one place', { places: Array.from({ length: 32 }, (_, i) => `${i >> 1}`) }, {}],
      ['another validation set', {}, { validation: few }],
    ];

    for (const [what, change, options] of proof ? changes : changes.filter((_, at) => at % 2 === 0)) {
      it(`starts anew, says so, and replaces it: ${what}`, async () => {
        const checkpointPath = join(folder, `${what}.bin`);
        const notes: string[] = [];
        const onProgress: TrainOptions['onProgress'] = ({ note: line = '' }) => notes.push(line);
        await runOf({ ...one, checkpointPath, onProgress });
        assert.ok(!notes.includes(note), 'nothing to say where there is no checkpoint');
        const replaced = await runOf({ ...one, ...options, checkpointPath, onProgress }, change);
        assert.ok(notes.includes(note));
        notes.length = 0;
        assert.deepEqual(await runOf({ ...one, ...options, checkpointPath, onProgress }, change), replaced);
        assert.deepEqual(notes, [], 'its own is there now');
      });
    }

    it('starts anew on a network that has other weights, though it is built the same', async () => {
      const checkpointPath = join(folder, 'weights.bin');
      await runOf({ ...one, checkpointPath });
      const network = await build();
      await train(network, small, { ...one, seed: 9 });
      const notes: string[] = [];
      await train(network, small, { ...one, checkpointPath, onProgress: ({ note: line = '' }) => notes.push(line) });
      assert.equal(notes[0], note);
      network.dispose();
    });
  });

  it('that is damaged is named with the remedy, wherever it was cut', async () => {
    const checkpointPath = join(folder, 'cut.bin');
    const options = { epochs: 1, checkpointPath };
    await runOf(options);
    const bytes = await readFile(checkpointPath);
    const remedy = 'delete it, and training begins again';
    for (const missing of [1, 2, 3, 400]) {
      await writeFile(checkpointPath, bytes.subarray(0, bytes.length - missing));
      await assert.rejects(runOf(options), new RegExp(`cut\\.bin is no whole checkpoint \\(\\d+ bytes of values, where it says \\d+\\): ${remedy}`)); // prettier-ignore
    }
    for (const content of ['', 'nothing', bytes.subarray(0, 40)]) {
      await writeFile(checkpointPath, content);
      await assert.rejects(runOf(options), new RegExp(`cut\\.bin is no whole checkpoint.*${remedy}`));
    }
  });

  it('that finds no room leaves the one before it, from which the run goes on', async function () {
    const disk = await mkdtemp(join(tmpdir(), 'imagesim-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      console.log('      skipped: a small disk cannot be mounted by this user');
      this.skip();
    }
    try {
      const checkpointPath = join(disk, 'checkpoint.bin');
      const filler = join(disk, 'filler');
      const fill = (): void => {
        try {
          for (let block = 0; ; block++) writeFileSync(`${filler}${block}`, Buffer.alloc(4096));
        } catch {
          // it is full
        }
      };
      const onProgress: TrainOptions['onProgress'] = ({ note = '' }) => note.startsWith('epoch 2, batch 1') && fill();
      await assert.rejects(runOf({ checkpointPath, onProgress }), new RegExp(`cannot write ${checkpointPath}: the disk is full`)); // prettier-ignore
      execFileSync('bash', ['-c', `rm ${filler}*`]);
      const notes: string[] = [];
      const resumed = await runOf({ checkpointPath, onProgress: ({ note = '' }) => notes.push(note) });
      assert.match(notes[0], /^epoch 2, batch 1/);
      assert.deepEqual(resumed, await runOf());
    } finally {
      execFileSync('umount', [disk], { stdio: 'ignore' });
      await rm(disk, { recursive: true });
    }
  });
});
