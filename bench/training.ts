// Training and encoding beside PyTorch: the same network on images of the same size. Encoding of chips beside the encoder alone.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chipTiles, readChips, readPixels } from 'imagesim/chips';
import {
  type Encoder, type Network, type TrainingSet, type TrainOptions,
  buildNetwork, encodeChips, exportNetwork, onnxBytes, openEncoder, saveModel, train, trainingBackend,
} from 'imagesim/training'; // prettier-ignore
import seedrandom from 'seedrandom';
import sharp from 'sharp';
import { type Bench, type BenchOptions, type Contest, type Round, openPeer, rateOf } from './measure.ts';
import { benchTile } from './tile.ts';

const BATCH = 64;
const WIDTHS = [32, 64, 128, 128, 256];
const CLASSES = Array.from({ length: 20 }, (_, i) => `class ${i}`);
const REMEDY = 'apt-get install python3-torch';

/** Noise with labels at random: what is measured is the arithmetic. */
function noise(count: number, size: number): TrainingSet & { images: Uint8Array } {
  const random = seedrandom.alea('bench');
  const images = Uint8Array.from({ length: count * size * size * 3 }, () => 256 * random());
  const labels = Float32Array.from({ length: count * CLASSES.length }, () => Math.round(random()));
  return { images, labels };
}

/** As the peer: cross-entropy alone, no variation. */
const PLAIN: TrainOptions = { batchSize: BATCH, losses: { entropy: 1 }, augmentation: false, balance: 0 };

/** The second of two epochs. */
async function trainRound(network: Network, set: TrainingSet, options: TrainOptions = {}): Promise<Round> {
  const log = await train(network, set, { ...PLAIN, epochs: 2, ...options });
  return { rate: log[1].imagesPerSecond };
}

async function openTraining(size: number): Promise<Contest> {
  const { name } = await trainingBackend();
  const network = await buildNetwork({ inputSize: size, classes: CLASSES, widths: WIDTHS });
  const images = size === 64 ? 512 : 256;
  const set = noise(images, size);
  const task = { what: 'train', size, batch: BATCH, classes: CLASSES.length, images, widths: WIDTHS };
  return {
    ours: () => trainRound(network, set),
    peer: await openPeer('training.py', task, REMEDY),
    note: `on the backend ${name}`,
    close: async () => network.dispose(),
  };
}

/** The encoder as a model version holds it, in onnxruntime. */
async function openEncoding(size: number): Promise<Contest> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  const network = await buildNetwork({ inputSize: size, classes: CLASSES, widths: WIDTHS });
  const path = join(folder, 'encoder.onnx');
  await writeFile(path, onnxBytes(await exportNetwork(network)));
  const encoder: Encoder = await openEncoder(path);
  const count = size === 64 ? 2048 : 512;
  const { images } = noise(count, size);
  const task = { what: 'encode', size, batch: BATCH, classes: CLASSES.length, images: count, widths: WIDTHS };
  return {
    ours: async () => ({ rate: await rateOf(count, () => encoder.encode(images)) }),
    peer: await openPeer('training.py', task, REMEDY),
    note: 'encoder.onnx in onnxruntime-node',
    close: async () => {
      await encoder.close();
      network.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Training that reads and varies its chips as it goes, beside the same steps on images that lie ready: 0.9 and more, and feeding holds nothing up. */
async function openFeeding(size: number): Promise<Contest> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  const count = 256;
  const set = noise(count, size);
  const side = 272;
  const pixels = noise(8, side).images;
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${i}.jpg`));
  const raw = { width: side, height: side, channels: 3 } as const;
  for (const [i, path] of paths.entries())
    await sharp(pixels.subarray((i % 8) * side * side * 3, ((i % 8) + 1) * side * side * 3), { raw }).jpeg().toFile(path); // prettier-ignore
  const network = await buildNetwork({ inputSize: size, classes: CLASSES, widths: WIDTHS });
  const read = (rows: Uint32Array): Promise<Uint8Array> => readPixels(Array.from(rows, (row) => paths[row]), size); // prettier-ignore
  const source = { ...set, images: { identity: 'bench', read } };
  const wall = async (learn: TrainingSet, options: TrainOptions): Promise<Round> => {
    const epochs = 3;
    return { rate: await rateOf(epochs * count, () => train(network, learn, { ...PLAIN, epochs, ...options })) };
  };
  return {
    ours: () => wall(source, { augmentation: {} }),
    peer: { name: 'the same steps on ready images', round: () => wall(set, {}), close: () => undefined },
    close: async () => {
      network.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Chips of the sample's tile into embeddings, end to end; the peer is the same encoder on the same pixels, decoded before. */
async function openChips(from: 'chips' | 'ard', scale: BenchOptions['scale']): Promise<Contest> {
  const { folder } = await benchTile(scale);
  const data = await mkdtemp(join(tmpdir(), 'imagesim-bench-encode-'));
  await mkdir(join(data, 'ard'));
  await cp(join(folder, 'ard'), join(data, 'ard'), { recursive: true, preserveTimestamps: true, mode: 2 });
  const chips = await readChips((await chipTiles({ dataPath: data, zone: 33 })).chipDir);
  const network = await buildNetwork({ inputSize: 64, classes: CLASSES });
  const model = join(data, 'models/bench/1');
  await saveModel(model, network, {
    name: 'bench', version: '1', datasetVersion: 'none', backend: 'none', settings: { losses: {} }, metrics: {}, curve: [], licences: [],
  }); // prettier-ignore
  network.dispose();
  const pixels = await readPixels(chips.map(({ path }) => path), 64); // prettier-ignore
  const encoder = await openEncoder(join(model, 'encoder.onnx'));
  const alone = async (): Promise<Round> => ({
    rate: await rateOf(chips.length, () => encoder.encode(pixels, { batchSize: BATCH })),
  });
  const ours = async (): Promise<Round> => ({
    rate: await rateOf(chips.length, () => encodeChips(data, { model, zone: 33, from, batchSize: BATCH, force: true })),
  });
  return {
    ours,
    peer: { name: 'the encoder alone, on pixels in memory', round: alone, close: () => undefined },
    note: `${chips.length} chips of 256 px, encoded at 64 px; encoder opened and part written within the time`,
    close: async () => {
      await encoder.close();
      await rm(data, { recursive: true, force: true });
    },
  };
}

export const training: Bench[] = [
  ...[64, 128].flatMap((size) => [
    { name: `training: train at ${size}²`, unit: 'images/s', open: () => openTraining(size) },
    { name: `training: encode at ${size}²`, unit: 'images/s', open: () => openEncoding(size) },
  ]),
  { name: 'training: feed and train at 128²', unit: 'images/s', open: () => openFeeding(128) },
  { name: 'training: encode chips on disk', unit: 'images/s', open: ({ scale }) => openChips('chips', scale) },
  { name: 'training: encode chips of tiles', unit: 'images/s', open: ({ scale }) => openChips('ard', scale) },
];
