import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { writeWhole } from '../ard/index.ts';
import { type Ranges, UNVARIED } from './augment.ts';
import { type Backend, readyBackend } from './backend.ts';
import { type RunState, freshState, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { type Feed, feedOf, gathered } from './feed.ts';
import { type FeatureScale, type Inputs, featureInputs, featuresOf, imageInputs, scaleOf } from './inputs.ts';
import { backboneOf, foldScale, hasLearnt, layersOf, markLearnt, projector, unfoldScale } from './layers.ts';
import { binaryCrossEntropy, knownLabels } from './losses.ts';
import type { Network } from './network.ts';
import { fitNetwork } from './projection.ts';
import { joined, setWeightValues, weightValues } from './replica.ts';
import { retrieval } from './retrieval.ts';
import { evenly, shuffled, randomFor } from './sampler.ts';
import {
  type EpochLog, type Settings, type TrainOptions, type TrainingSet, checkClasses, checkSet, learnsLabels, settingsOf,
} from './settings.ts'; // prettier-ignore
import { type Seat, seatsOf } from './seats.ts';
import { type Batch, trainStep } from './step.ts';
import { type Team, openTeam } from './team.ts';

/** Validation images that are scored after each epoch, at most: a thousand tell a difference of two points of mAP. */
const SCORED = 1000;
/** Images that a member passes through the network at once. */
const AT_ONCE = 32;

/** A network in training. */
interface Run {
  network: Network;
  options: TrainOptions;
  settings: Settings;
  team: Team;
  feed: Feed;
  /** Inputs of the validation set. */
  watched: Inputs | undefined;
  state: RunState;
  /** 1 for each trained weight that decays. */
  decays: Uint8Array;
  /** Describes the run in its checkpoint. */
  description: string;
}

/**
 * Trains a network, in place, by Adam, the rate falling along a cosine, on the losses asked for.
 *
 * Each batch is cut into shards that members compute side by side: a thread a core, or a process a GPU. The result depends on
 * the number of shards, not on that of members. Ended, the network has the weights of the epoch with the best validation mAP,
 * or of the last one where there is no validation set.
 *
 * Aborted or failed, it is left as it was before; with `checkpointPath` an abort writes the state first, and a second run goes on
 * from there to the result of a run without a break. It does so only with the same network, weights, data and options: a checkpoint
 * of another run is replaced after the first epoch, and `onProgress` says so.
 *
 * @returns one entry an epoch, those of an earlier run included
 * @throws {RangeError} when shapes do not fit the network, a class has no example, or the loss is no longer a number
 * @throws {Error} naming the checkpoint, when it is damaged or cannot be written; the one before it is there still
 */
export async function train(network: Network, set: TrainingSet, options: TrainOptions = {}): Promise<EpochLog[]> {
  const settings = settingsOf(network, options);
  checkSet(network, set, 'the training set');
  checkClasses(network, set, settings);
  if (options.validation) checkSet(network, options.validation, 'the validation set');
  const layers = layersOf(network);
  const backend = await readyBackend();
  const before = await weightValues(layers);
  try {
    return await learn(network, before, set, options, settings, backend);
  } catch (error) {
    setWeightValues(layers, before);
    throw error;
  }
}

async function learn(
  network: Network,
  before: Float32Array,
  set: TrainingSet,
  options: TrainOptions,
  settings: Settings,
  backend: Backend,
): Promise<EpochLog[]> {
  const description = describeRun(network, before, set, options.validation, settings);
  const resumed = await resumedState(description, options, settings);
  const { inputs, watched, scale } = await inputsOf(network, set, options, settings);
  if (scale) unfoldScale(network, scale);
  if (!resumed && fitsFirst(network, settings)) await fitNetwork(network, set, inputs, settings, true);
  const model = trainedModel(network, settings);
  const decays = decaysOf(model);
  const state = resumed ?? freshState(await weightValues(model), decays.length);
  const feed = feedOf(network, set, inputs, settings);
  try {
    if (goesOn(state.log, settings))
      await withTeam(await seatsFor(backend, options, settings), model, (team) =>
        runEpochs({ network, options, settings, team, feed, watched, state, decays, description }),
      );
    setWeightValues(model, options.validation ? state.best : state.weights);
  } finally {
    for (const layer of model.layers) if (layer.name.startsWith('projector')) layer.dispose();
  }
  if (settings.fit && !learnsLabels(settings)) await fitNetwork(network, set, inputs, settings, false);
  if (scale) foldScale(network, scale);
  markLearnt(network);
  return state.log;
}

async function withTeam(
  seats: readonly Seat[],
  model: tfl.LayersModel,
  work: (team: Team) => Promise<void>,
): Promise<void> {
  const team = await openTeam(seats, JSON.stringify(model.toJSON(null, false)));
  try {
    await work(team);
  } finally {
    await team.close();
  }
}

/** Whether training begins from a fit: a head without a hidden layer, which has not learnt yet. */
function fitsFirst(network: Network, settings: Settings): boolean {
  const { body } = network;
  return settings.fit && body.kind === 'frozen' && body.hidden === 0 && learnsLabels(settings) && !hasLearnt(network);
}

async function seatsFor(backend: Backend, { members }: TrainOptions, { shards }: Settings): Promise<Seat[]> {
  return (await seatsOf(backend)).slice(0, Math.min(members ?? shards, shards));
}

/** What goes into the network of both sets: pixels, or features, scaled as those of the training set are. */
async function inputsOf(
  network: Network,
  set: TrainingSet,
  options: TrainOptions,
  settings: Settings,
): Promise<{ inputs: Inputs; watched: Inputs | undefined; scale?: FeatureScale }> {
  const { validation } = options;
  if (network.body.kind !== 'frozen')
    return { inputs: imageInputs(network, set, settings.ranges), watched: validation && imageInputs(network, validation, false) }; // prettier-ignore
  const { signal, onProgress } = options;
  const backbone = backboneOf(network);
  const shared = { views: settings.featureViews, seed: settings.seed, signal, onProgress };
  const features = await featuresOf(backbone, network, set, {
    ...shared,
    ranges: settings.epochs === 0 ? turned(settings) : settings.ranges,
  });
  const seen = validation && (await featuresOf(backbone, network, validation, { ...shared, ranges: false }));
  const scale = scaleOf(features);
  return { inputs: featureInputs(features, scale), watched: seen && featureInputs(seen, scale), scale };
}

/** What a mere fit sees: the ground turned and mirrored, nothing else. A validation ground of the city sample gains 0.026 of mAP by it. */
function turned({ ranges }: Settings): Ranges | false {
  return ranges && ranges.symmetries && { ...UNVARIED, symmetries: true };
}

/** The layers up to what the losses take: views are compared through two more layers, which the network does not keep. */
function trainedModel(network: Network, { losses, seed }: Settings): tfl.LayersModel {
  const layers = layersOf(network);
  const outputs = ['embedding', 'logits'].map((name) => layers.getLayer(name).output as tfl.SymbolicTensor);
  if ('simclr' in losses || 'vicreg' in losses) outputs.push(projector(outputs[0], seed));
  return tfl.model({ inputs: layers.inputs, outputs });
}

/** 1 for filters and matrices, 0 for biases and scales, one a trained weight. */
function decaysOf(model: tfl.LayersModel): Uint8Array {
  const parts = model.trainableWeights.map(({ shape }) =>
    new Uint8Array(tf.util.sizeFromShape(shape as number[])).fill(shape.length > 1 ? 1 : 0),
  );
  return Buffer.concat(parts);
}

/** Where an earlier run stopped, if there was one. */
async function resumedState(
  description: string,
  { checkpointPath, onProgress }: TrainOptions,
  { epochs }: Settings,
): Promise<RunState | undefined> {
  if (checkpointPath === undefined) return undefined;
  const { state, ofAnotherRun } = await readCheckpoint(checkpointPath, description);
  if (ofAnotherRun)
    onProgress?.({ done: 0, total: epochs, unit: 'epochs', note: 'starts anew: the checkpoint is of another run' });
  return state;
}

async function runEpochs(run: Run): Promise<void> {
  const { state, settings, options } = run;
  const { logPath, checkpointPath, onProgress } = options;
  while (goesOn(state.log, settings)) {
    const entry = await runEpoch(run);
    state.log.push(entry);
    if (isBest(state.log)) state.best = state.weights.slice();
    if (logPath !== undefined) await writeWhole(logPath, state.log.map((line) => `${JSON.stringify(line)}\n`).join('')); // prettier-ignore
    if (checkpointPath !== undefined) await writeCheckpoint(checkpointPath, run.description, state);
    onProgress?.({ done: entry.epoch, total: settings.epochs, unit: 'epochs', note: noteOf(state.log, settings) });
  }
}

function noteOf(log: readonly EpochLog[], { epochs }: Settings): string {
  const { loss, validationMap, imagesPerSecond, dollars } = log[log.length - 1];
  const found = validationMap === undefined ? '' : `, validation mAP ${validationMap.toFixed(3)}`;
  const spent = log.reduce((sum, entry) => sum + (entry.dollars ?? 0), 0);
  const toCome = (spent / log.length) * (epochs - log.length);
  const cost = dollars === undefined ? '' : `, $${spent.toFixed(2)} so far, $${toCome.toFixed(2)} to come`;
  return `loss ${loss.toFixed(3)}${found}, ${imagesPerSecond.toFixed(0)} images/s${cost}`;
}

/** Whether there is another epoch to run. */
function goesOn(log: readonly EpochLog[], settings: Settings): boolean {
  return log.length < settings.epochs && !isStale(log, settings);
}

/** Whether the last epoch is better than all before it. */
function isBest(log: readonly EpochLog[]): boolean {
  const scores = log.map(({ validationMap = Number.NaN }) => validationMap);
  return scores.slice(0, -1).every((score) => !(score >= scores[scores.length - 1]));
}

/** Whether validation has seen nothing better for as many epochs as patience lasts. */
function isStale(log: readonly EpochLog[], { patience }: Settings): boolean {
  const scores = log.map(({ validationMap = Number.NaN }) => validationMap);
  if (patience === 0 || scores.some(Number.isNaN)) return false;
  return scores.length - 1 - scores.indexOf(Math.max(...scores)) >= patience;
}

/** The epoch under way, from the step on that the state has reached. */
async function runEpoch(run: Run): Promise<EpochLog> {
  const { settings, state, feed, options } = run;
  const epoch = state.log.length + 1;
  const batches = feed.batchesOf(epoch);
  const began = performance.now();
  const total = settings.epochs;
  let next = state.step < batches.length ? feed.batch(batches[state.step], epoch, state.step) : undefined;
  while (next) {
    await stopHere(run, next);
    const batch = await next;
    const step = state.step;
    next = step + 1 < batches.length ? ahead(feed.batch(batches[step + 1], epoch, step + 1)) : undefined;
    const start = performance.now();
    const loss = await trainStep(run.team, state, batch, settings, { learningRate: rateAt(run, epoch, step / batches.length), decays: run.decays, fresh: isFresh(run) }); // prettier-ignore
    requireFinite(loss, run, epoch, step);
    state.seconds += (performance.now() - start) / 1000;
    state.lossSum += loss * batch.targets.n;
    state.images += batch.targets.n;
    state.step++;
    options.onProgress?.({ done: epoch - 1, total, unit: 'epochs', note: `epoch ${epoch}, batch ${step + 1} of ${batches.length}, loss ${loss.toFixed(3)}` }); // prettier-ignore
  }
  const { lossSum, images, seconds } = state;
  const entry = {
    epoch,
    loss: lossSum / images,
    ...(await validated(run)),
    seconds,
    imagesPerSecond: images / seconds,
  };
  Object.assign(state, { step: 0, lossSum: 0, images: 0, seconds: 0 });
  const { dollarsPerHour } = options;
  return dollarsPerHour === undefined
    ? entry
    : { ...entry, dollars: (dollarsPerHour * (performance.now() - began)) / 3_600_000 };
}

/** Whether no batch has been seen yet by layers that were drawn anew. */
function isFresh({ network, state }: Run): boolean {
  return network.body.kind === 'convolutions' && state.adam.steps === 0 && !hasLearnt(network);
}

/** A promise that is awaited later: it may fail before. */
function ahead<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}

/** Ends an aborted run, its state written first. */
async function stopHere({ options, state, description }: Run, next: Promise<Batch>): Promise<void> {
  if (!options.signal?.aborted) return;
  await next.catch(() => undefined);
  if (options.checkpointPath !== undefined) await writeCheckpoint(options.checkpointPath, description, state);
  options.signal.throwIfAborted();
}

function rateAt({ settings }: Run, epoch: number, done: number): number {
  return (settings.learningRate * (1 + Math.cos((Math.PI * (epoch - 1 + done)) / settings.epochs))) / 2;
}

function requireFinite(loss: number, { settings, options }: Run, epoch: number, step: number): void {
  if (Number.isFinite(loss)) return;
  const kept = options.checkpointPath === undefined ? '' : `; ${options.checkpointPath} holds the last good epoch`;
  throw new RangeError(
    `the loss is ${loss} at epoch ${epoch}, batch ${step + 1}, at a learning rate of ${settings.learningRate.toPrecision(3)}: train at a tenth of that${kept}`,
  );
}

/** Scores of the validation set: the same images each time. */
async function validated(run: Run): Promise<Pick<EpochLog, 'validationLoss' | 'validationMap'>> {
  const { network, settings, options, watched } = run;
  const set = options.validation;
  if (!set || !watched) return {};
  const classes = network.classes.length;
  const n = set.labels.length / classes;
  const rows = shuffled(n, randomFor(settings.seed, 'validation')).slice(0, SCORED).sort();
  const [embeddings, logits] = await plainOutputs(run, watched, rows);
  const labels = gathered(set.labels, rows, classes);
  const places = set.places && Array.from(rows, (row) => set.places![row]);
  const scores = retrieval({ embeddings, width: network.embeddingWidth, labels, classes: network.classes, places });
  const means = scores.filter(({ reason }) => reason === undefined).map(({ averagePrecision }) => meanOf(averagePrecision)); // prettier-ignore
  const found = means.length === 0 ? {} : { validationMap: meanOf(means) };
  if (!('entropy' in settings.losses)) return found;
  const weights = Float32Array.from(rows, (row) => set.weights?.[row] ?? 1);
  return {
    ...found,
    validationLoss: await entropyOf(logits, { labels, weights, classWeights: settings.classWeights }),
  };
}

/** What the network gives for some rows as they are. */
async function plainOutputs({ team, state }: Run, inputs: Inputs, rows: Uint32Array): Promise<Float32Array[]> {
  await team.setWeights(state.weights);
  const parts = evenly(rows, Math.ceil(rows.length / AT_ONCE), 1);
  const outputs: Float32Array[][] = [];
  for (let at = 0; at < parts.length; at += team.size) {
    const round = parts.slice(at, at + team.size);
    const shards = await Promise.all(round.map((part) => inputs.plain(part)));
    outputs.push(...(await team.outputs(shards, false)));
  }
  return outputs[0].map((_, output) => joined(outputs.map((part) => part[output])));
}

async function entropyOf(
  logits: Float32Array,
  { labels, weights, classWeights }: { labels: Float32Array; weights: Float32Array; classWeights: Float32Array },
): Promise<number> {
  const { present, counts } = knownLabels(labels, weights, classWeights);
  const value = tf.tidy(() =>
    binaryCrossEntropy(tf.tensor2d(logits, [weights.length, classWeights.length]), present, counts),
  );
  const [loss] = await value.data();
  value.dispose();
  return loss;
}

function meanOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

/** What must agree for a checkpoint to be of this run: the data by its digests, for other pixels may come under the same names. */
function describeRun(
  { inputSize, classes, embeddingWidth, body, seed }: Network,
  before: Float32Array,
  set: TrainingSet,
  validation: TrainingSet | undefined,
  settings: Settings,
): string {
  return JSON.stringify({
    network: { inputSize, classes, embeddingWidth, body, seed, weights: sha256(before) },
    set: digestsOf(set),
    validation: validation && digestsOf(validation), // its scores are in the log, and choose the epoch
    ...settings,
    classWeights: [...settings.classWeights],
  });
}

function digestsOf({ images, labels, weights, places }: TrainingSet): (string | undefined)[] {
  const ground = places && createHash('sha256').update(places.join('\n')).digest('hex');
  const pictures = images instanceof Uint8Array ? sha256(images) : images.identity;
  return [pictures, sha256(labels), weights && sha256(weights), ground];
}

/** In pieces, for node:crypto takes no more than 2 GiB at once. */
function sha256({ buffer, byteOffset, byteLength }: Uint8Array | Float32Array): string {
  const hash = createHash('sha256');
  const piece = 2 ** 28;
  for (let at = 0; at < byteLength; at += piece)
    hash.update(new Uint8Array(buffer, byteOffset + at, Math.min(piece, byteLength - at)));
  return hash.digest('hex');
}
