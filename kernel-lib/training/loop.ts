import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { writeWhole } from '../ard/index.ts';
import { readyBackend } from './backend.ts';
import { batchesOf, gathered, imagesOf, randomFor, shuffled } from './batches.ts';
import { nothingDone, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { layersOf } from './layers.ts';
import { binaryCrossEntropy, supervisedContrastive, targetsOf } from './losses.ts';
import type { Network } from './network.ts';
import { checkSet, settingsOf, type EpochLog, type Settings, type TrainingSet, type TrainOptions } from './settings.ts';

type Batch = { set: TrainingSet; rows: Uint32Array; images: Float32Array };

const startsAnew = 'starts anew: the checkpoint is of another run';

/** A network in training: its layers up to the logits, and the optimiser. */
interface Trainee {
  network: Network;
  model: tfl.LayersModel;
  optimiser: tf.AdamOptimizer;
  settings: Settings;
}

/**
 * Trains a network, in place: Adam, the rate falling along a cosine, on binary cross-entropy of the known labels plus a contrastive loss on shared labels.
 *
 * Aborted, the network stays as the last finished batch left it. With `checkpointPath`, a second run goes on after the last finished epoch.
 * It does so only with the same network, data and options, more epochs being another run, as the rate falls more slowly: a checkpoint of another run is
 * replaced after the first epoch, and `onProgress` says so.
 *
 * @returns one entry an epoch, those of an earlier run included
 * @throws {RangeError} when shapes do not fit the network, no label is known, or the loss is no longer a number (a learning rate too large)
 * @throws {Error} naming the checkpoint, when it is damaged
 */
export async function train(network: Network, set: TrainingSet, options: TrainOptions = {}): Promise<EpochLog[]> {
  const { validation, logPath, checkpointPath, signal, onProgress } = options;
  const settings = settingsOf(network, options);
  checkSet(network, set, 'the training set');
  if (validation) checkSet(network, validation, 'the validation set');
  await readyBackend();
  const trainee = traineeOf(network, settings);
  try {
    const { epochs } = settings;
    const run = checkpointPath === undefined ? '' : describeRun(network, set, validation, settings);
    const { log, ofAnotherRun } =
      checkpointPath === undefined ? nothingDone() : await readCheckpoint(checkpointPath, run, trainee);
    if (ofAnotherRun) onProgress?.({ done: 0, total: epochs, unit: 'epochs', note: startsAnew });
    for (let epoch = log.length + 1; epoch <= epochs; epoch++) {
      const progress = (note: string): void => onProgress?.({ done: epoch - 1, total: epochs, unit: 'epochs', note });
      log.push(await runEpoch(trainee, set, validation, epoch, signal, progress));
      if (logPath !== undefined) await writeWhole(logPath, log.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      if (checkpointPath !== undefined) await writeCheckpoint(checkpointPath, run, trainee, log);
      onProgress?.({ done: epoch, total: epochs, unit: 'epochs', note: `loss ${log[epoch - 1].loss.toFixed(3)}` });
    }
    return log;
  } finally {
    trainee.optimiser.dispose();
  }
}

/** What must agree for a checkpoint to be of this run: the data by its digests, for other pixels may come under the same names. */
function describeRun(
  { inputSize, classes, embeddingWidth, widths, seed }: Network,
  set: TrainingSet,
  validation: TrainingSet | undefined,
  settings: Settings,
): string {
  return JSON.stringify({
    network: { inputSize, classes, embeddingWidth, widths, seed },
    set: digestsOf(set),
    validation: validation && digestsOf(validation), // its losses are in the log
    ...settings,
    classWeights: [...settings.classWeights],
  });
}

function digestsOf({ images, labels, weights }: TrainingSet): (string | undefined)[] {
  return [images, labels, weights].map((values) => values && sha256(values));
}

/** In pieces, for node:crypto takes no more than 2 GiB at once. */
function sha256({ buffer, byteOffset, byteLength }: Uint8Array | Float32Array): string {
  const hash = createHash('sha256');
  const piece = 2 ** 28;
  for (let at = 0; at < byteLength; at += piece)
    hash.update(new Uint8Array(buffer, byteOffset + at, Math.min(piece, byteLength - at)));
  return hash.digest('hex');
}

function traineeOf(network: Network, settings: Settings): Trainee {
  const layers = layersOf(network);
  const outputs = ['embedding', 'logits'].map((name) => layers.getLayer(name).output as tfl.SymbolicTensor);
  const model = tfl.model({ inputs: layers.inputs, outputs }); // shares its layers and weights with the network
  return { network, model, optimiser: tf.train.adam(settings.learningRate), settings };
}

async function runEpoch(
  trainee: Trainee,
  set: TrainingSet,
  validation: TrainingSet | undefined,
  epoch: number,
  signal: AbortSignal | undefined,
  progress: (note: string) => void,
): Promise<EpochLog> {
  const { epochs, batchSize, seed, augmentation, learningRate } = trainee.settings;
  const random = randomFor(seed, `epoch ${epoch}`);
  const n = set.labels.length / trainee.network.classes.length;
  const batches = batchesOf(shuffled(n, random), batchSize);
  const start = performance.now();
  let sum = 0;
  for (const [i, rows] of batches.entries()) {
    signal?.throwIfAborted();
    const images = imagesOf(set.images, rows, trainee.network.inputSize, augmentation || undefined, random);
    const done = (epoch - 1 + i / batches.length) / epochs;
    const loss = await step(trainee, { set, rows, images }, (learningRate * (1 + Math.cos(Math.PI * done))) / 2);
    sum += loss * rows.length;
    progress(`epoch ${epoch}, batch ${i + 1} of ${batches.length}, loss ${loss.toFixed(3)}`);
    await new Promise(setImmediate); // lets progress show and an abort arrive
  }
  const seconds = (performance.now() - start) / 1000;
  const entry = { epoch, loss: sum / n, seconds, imagesPerSecond: n / seconds };
  return validation ? { ...entry, validationLoss: await meanLoss(trainee, validation, signal) } : entry;
}

/** One step of Adam; the batch's loss before it. */
async function step(trainee: Trainee, batch: Batch, learningRate: number): Promise<number> {
  const { model, optimiser } = trainee;
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  (optimiser as unknown as { learningRate: number }).learningRate = learningRate; // Adam has no setter
  const value = tf.tidy(() => {
    const { value: loss, grads } = tf.variableGrads(() => lossOf(trainee, batch, true), variables);
    optimiser.applyGradients(grads as Record<string, tf.Variable>); // typed for variables, takes gradients
    return loss;
  });
  const [loss] = await value.data();
  value.dispose();
  if (!Number.isFinite(loss)) {
    throw new RangeError(
      `the loss is ${loss} at a learning rate of ${learningRate.toPrecision(3)}: build the network anew and train it at a tenth of that`,
    );
  }
  return loss;
}

function lossOf({ model, network, settings }: Trainee, { set, rows, images }: Batch, training: boolean): tf.Scalar {
  return tf.tidy(() => {
    const { inputSize, classes } = network;
    const weights = set.weights ? gathered(set.weights, rows, 1) : new Float32Array(rows.length).fill(1);
    const targets = targetsOf(gathered(set.labels, rows, classes.length), weights, settings.classWeights);
    const input = tf.tensor4d(images, [rows.length, inputSize, inputSize, 3]);
    const [embeddings, logits] = model.apply(input, { training }) as [tf.Tensor2D, tf.Tensor2D];
    const entropy = binaryCrossEntropy(logits, targets);
    if (settings.contrastiveWeight === 0) return entropy;
    const contrastive = supervisedContrastive(embeddings, targets, settings.temperature);
    return tf.add(entropy, tf.mul(contrastive, settings.contrastiveWeight));
  });
}

/** Mean loss of a set as it is, in batches that are the same each time. */
async function meanLoss(trainee: Trainee, set: TrainingSet, signal: AbortSignal | undefined): Promise<number> {
  const { network, settings } = trainee;
  const n = set.labels.length / network.classes.length;
  let sum = 0;
  for (const rows of batchesOf(shuffled(n, randomFor(settings.seed, 'validation')), settings.batchSize)) {
    signal?.throwIfAborted();
    const loss = lossOf(trainee, { set, rows, images: imagesOf(set.images, rows, network.inputSize) }, false);
    sum += (await loss.data())[0] * rows.length;
    loss.dispose();
    await new Promise(setImmediate);
  }
  return sum / n;
}
