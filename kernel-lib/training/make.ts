/** From a dataset version to a model version: what notebook 06 and `imagesim train` do. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { dataRoot, writeWhole } from '../ard/index.ts';
import { readManifest } from '../infra/index.ts';
import { type DatasetVersion, type LabelledSource, openImages, parseDataset, readDataset } from '../datasets/index.ts';
import { type Backbone, openBackbone } from './backbone.ts';
import type { PixelScale } from './backboneplan.ts';
import { readyBackend } from './backend.ts';
import type { ModelFacts } from './card.ts';
import { codeLoss } from './codes.ts';
import { encode } from './encode.ts';
import { openEncoder } from './encoder.ts';
import { gathered } from './feed.ts';
import { colourHistograms } from './histogram.ts';
import { type LearnableLabels, columnsOf, learnableLabels } from './learnable.ts';
import { train } from './loop.ts';
import { type Model, loadModel, saveModel } from './model.ts';
import { type Network, buildNetwork } from './network.ts';
import { rarityOf } from './losses.ts';
import { RuntimeMissingError } from './onnx/session.ts';
import { type RetrievalScores, retrieval, retrievalScores } from './retrieval.ts';
import { randomFor, shuffled } from './sampler.ts';
import { type TrainOptions, settingsOf } from './settings.ts';

/** Options of {@link trainModel}: those of training, and of what is built. */
export interface ModelOptions extends Omit<TrainOptions, 'validation' | 'logPath' | 'checkpointPath' | 'classWeights'> {
  /** Name or name@version of the dataset, as `imagesim dataset list` tells them. */
  dataset: string;
  /** Name of the model. Default: the dataset's. */
  name?: string | undefined;
  /** Side of the images, pixels. Default: the backbone's, else 64. */
  size?: number | undefined;
  /** Length of an embedding. Default: 128. */
  embeddingWidth?: number | undefined;
  /** Filters of each convolution, where there is no backbone. Default: 32, 64, 128, 256. */
  widths?: readonly number[] | undefined;
  /** A pretrained network to stand on: its file or folder, or the name of an entry of data-manifest.json. Default: none */
  backbone?: string | undefined;
  /** What the backbone wants of pixels. Default: −1 to 1. */
  pixels?: PixelScale | undefined;
  /** Whether the backbone is trained further; it must be a tfjs layers model. Default: false */
  tune?: boolean | undefined;
}

/** Where a model and the run that makes it lie. */
export interface ModelPlace {
  name: string;
  version: string;
  /** `models/<name>/<version>`, once it is whole. */
  folder: string;
  /** `models/<name>/<version>.run`: checkpoint and log while it is trained. */
  run: string;
}

/** Test chips that are scored, at most: a sample of that many tells two points of mAP. */
const SCORED = 2000;
/** By how much an embedding may differ between the exported encoder and the backend that trained it. */
const AGREEMENT = 1e-4;

/** What decides which version a model is: the dataset version and every setting that changes what is learnt. */
export async function modelPlace(dataPath: string, options: ModelOptions): Promise<ModelPlace> {
  const dataset = await datasetOf(dataPath, options.dataset);
  return placeOf(dataPath, dataset, options);
}

async function datasetOf(dataPath: string, text: string): Promise<DatasetVersion> {
  const { name, version } = parseDataset(text);
  return readDataset(dataPath, name, version);
}

function placeOf(dataPath: string, { manifest }: DatasetVersion, options: ModelOptions): ModelPlace {
  const { name = manifest.name, dataset: _, signal: _signal, onProgress: _progress, members: _members, dollarsPerHour: _dollars, ...what } = options; // prettier-ignore
  const sorted = Object.entries(what).filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)); // prettier-ignore
  const text = JSON.stringify([manifest.name, manifest.version, sorted]);
  const version = createHash('sha256').update(text).digest('hex').slice(0, 12);
  const folder = join(dataRoot(dataPath), 'models', name, version);
  return { name, version, folder, run: `${folder}.run` };
}

/**
 * Trains a model on a dataset version, scores it on the test ground, and saves it as a version: `models/<name>/<version>`.
 *
 * The version is the hash of the dataset version and of what was asked for, known before anything is trained: a model that is
 * there is loaded, a run that was interrupted goes on from its checkpoint in `<version>.run`. Classes of which nothing can be
 * learnt are left out, and named by `onLeft`.
 *
 * @throws {Error} naming a chip that cannot be read, a damaged checkpoint, or a file that cannot be written
 * @throws {RangeError} when the dataset has no training chip, or a setting is out of range
 */
export async function trainModel(
  dataPath: string,
  { onLeft, ...options }: ModelOptions & { onLeft?: ((left: LearnableLabels['left']) => void) | undefined },
): Promise<Model> {
  const dataset = await datasetOf(dataPath, options.dataset);
  const place = placeOf(dataPath, dataset, options);
  const backbone = options.backbone === undefined ? undefined : await openBackbone(await backboneFile(dataPath, options.backbone), { pixels: options.pixels, stages: !options.tune }); // prettier-ignore
  try {
    if (existsSync(join(place.folder, 'card.json'))) return await loadModel(place.folder, frozen(backbone, options));
    return await makeModel(dataPath, dataset, place, backbone, { ...options, onLeft });
  } finally {
    if (options.tune) await backbone?.close(); // else the network goes on using it
  }
}

/**
 * Where a pretrained network lies.
 *
 * @param text its file or folder; or an entry of data-manifest.json, which `imagesim data pull` has brought into the data folder
 * @throws {Error} when it is neither, listing the entries of this stage
 */
async function backboneFile(dataPath: string, text: string): Promise<string> {
  if (existsSync(text)) return text;
  const { files } = await readManifest();
  const entry = files.find(({ name }) => name === text);
  if (!entry || entry.kind === 'service') {
    const names = files.filter(({ stage }) => stage === '06-training').map(({ name }) => name);
    throw new Error(`no backbone ${text}: give a file, or an entry of data-manifest.json${names.length > 0 ? ` (${names.join(', ')})` : ''}`); // prettier-ignore
  }
  const path = join(dataRoot(dataPath), entry.path);
  if (!existsSync(path)) throw new Error(`the backbone ${text} is not in the data folder: imagesim data pull ${text}`);
  return path;
}

function frozen(backbone: Backbone | undefined, { tune = false }: ModelOptions): Backbone | undefined {
  return tune ? undefined : backbone;
}

async function makeModel(
  dataPath: string,
  dataset: DatasetVersion,
  { name, version, folder, run }: ModelPlace,
  backbone: Backbone | undefined,
  options: ModelOptions & { onLeft?: ((left: LearnableLabels['left']) => void) | undefined },
): Promise<Model> {
  const { size = backbone?.inputSize ?? 64, embeddingWidth, widths, tune, seed, onLeft } = options;
  const { manifest } = dataset;
  const open = (split: 'train' | 'validation' | 'test'): LabelledSource =>
    openImages(dataPath, dataset, { splits: [split], size });
  const learn = open('train');
  const { labels: classes, left } = learnableLabels(learn.labels, manifest.labels, learn.places);
  if (left.length > 0) onLeft?.(left);
  const only = (source: LabelledSource): LabelledSource => ({ ...source, labels: columnsOf(source.labels, manifest.labels, classes) }); // prettier-ignore
  const network = await buildNetwork({ classes, inputSize: size, embeddingWidth, widths, backbone, tune, seed });
  await mkdir(run, { recursive: true });
  const logPath = join(run, 'training-log.jsonl');
  const log = await train(network, only(learn), {
    ...options,
    validation: manifest.counts.validation > 0 ? only(open('validation')) : undefined,
    checkpointPath: join(run, 'checkpoint.bin'),
    logPath,
  });
  const { metrics } = await scoredOn(network, only(manifest.counts.test > 0 ? open('test') : open('validation')), only(learn), backbone); // prettier-ignore
  const facts: ModelFacts = {
    name, version, datasetVersion: `${manifest.name}@${manifest.version}`, backend: (await readyBackend()).name,
    settings: settingsText(network, options), metrics, curve: log, licences: manifest.licences,
  }; // prettier-ignore
  const card = await saveModel(folder, network, facts);
  await requireAgreement(folder, network, await learn.images.read(Uint32Array.from({ length: Math.min(8, learn.rows.length) }, (_, i) => i))); // prettier-ignore
  if (existsSync(logPath)) await cp(logPath, join(folder, 'training-log.jsonl'));
  await writeWhole(join(folder, '..', 'latest'), `${version}\n`);
  await rm(join(run, 'checkpoint.bin'), { force: true });
  return { network, card, folder };
}

/** @throws {Error} when the encoder that was saved is not the network that was trained; the model is taken away again */
async function requireAgreement(folder: string, network: Network, images: Uint8Array): Promise<void> {
  const encoder = await openEncoder(join(folder, 'encoder.onnx')).catch((error: unknown) => {
    if (error instanceof RuntimeMissingError) return undefined; // what encodes here is the network itself
    throw error;
  });
  if (!encoder) return;
  const [saved, own] = [await encoder.encode(images), await encode(network, images)];
  await encoder.close();
  const worst = saved.reduce((most, value, i) => Math.max(most, Math.abs(value - own[i])), 0);
  if (worst < AGREEMENT) return;
  await rm(folder, { recursive: true, force: true });
  throw new Error(`${folder}/encoder.onnx differs from the network by ${worst}: train again, and tell us of it`);
}

/** The settings of a run as a card holds them: with their defaults, without what is long. */
function settingsText(network: Network, options: ModelOptions): ModelFacts['settings'] {
  const { classWeights: _, ...settings } = settingsOf(network, options);
  return settings;
}

/** How well a network, a colour histogram and the frozen backbone find chips of a side. */
async function scoredOn(
  network: Network,
  test: LabelledSource,
  learn: LabelledSource,
  backbone: Backbone | undefined,
): Promise<Pick<ModelFacts, 'metrics'>> {
  const chosen = shuffled(test.rows.length, randomFor(1, 'test')).slice(0, SCORED).sort();
  const images = await test.images.read(chosen);
  const { classes } = network;
  const labels = gathered(test.labels, chosen, classes.length);
  const places = Array.from(chosen, (row) => test.places[row]);
  const rarity = rarityOf(learn.labels, classes.length);
  const score = (embeddings: Float32Array, width: number): RetrievalScores =>
    retrievalScores(retrieval({ embeddings, width, labels, classes, places }), { rarity, places });
  const embeddings = await encode(network, images);
  const width = network.embeddingWidth;
  const own = score(embeddings, width);
  const colours = colourHistograms(images, test.size);
  const histogram = score(colours.values, colours.width);
  const plain = backbone && score(await ownFeatures(backbone, images), backbone.own);
  const [, int8, bit] = codeLoss({ values: embeddings, width });
  return {
    metrics: {
      mAP: own.meanAveragePrecision,
      rarityWeightedMAP: own.rarityWeighted,
      precisionAt10: own.precisionAtTen,
      histogramMAP: histogram.meanAveragePrecision,
      histogramRarityWeightedMAP: histogram.rarityWeighted,
      histogramPrecisionAt10: histogram.precisionAtTen,
      ...(plain && {
        backboneMAP: plain.meanAveragePrecision,
        backboneRarityWeightedMAP: plain.rarityWeighted,
        backbonePrecisionAt10: plain.precisionAtTen,
      }),
      chanceMAP: own.chance,
      scoredChips: chosen.length,
      scoredClasses: own.classes,
      int8Overlap: int8.overlap,
      bitOverlap: bit.overlap,
    },
  };
}

/** What a backbone itself says of images, without its stages: the baseline that every model is shown beside. @returns `[n, own]`, rows of unit length */
export async function ownFeatures(backbone: Backbone, images: Uint8Array): Promise<Float32Array> {
  const { width, own } = backbone;
  const features = await backbone.features(images);
  return unitRows(features.filter((_, i) => i % width >= width - own), own); // prettier-ignore
}

/** Rows brought to unit length. */
export function unitRows(values: Float32Array, width: number): Float32Array {
  const rows = values.slice();
  for (let at = 0; at < rows.length; at += width) {
    let square = 0;
    for (let k = at; k < at + width; k++) square += rows[k] * rows[k];
    const length = Math.sqrt(square) || 1;
    for (let k = at; k < at + width; k++) rows[k] /= length;
  }
  return rows;
}
