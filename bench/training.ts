// Training and encoding beside PyTorch: the same network on images of the same size.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPixels } from 'imagesim/chips';
import {
  type Encoder, type Network, type TrainingSet, type TrainOptions,
  buildNetwork, onnxBytes, openEncoder, exportNetwork, train, trainingBackend,
} from 'imagesim/training'; // prettier-ignore
import seedrandom from 'seedrandom';
import sharp from 'sharp';
import { writeFile } from 'node:fs/promises';
import { type Bench, type Contest, type Round, openPeer, rateOf } from './measure.ts';

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

export const training: Bench[] = [
  ...[64, 128].flatMap((size) => [
    { name: `training: train at ${size}²`, unit: 'images/s', open: () => openTraining(size) },
    { name: `training: encode at ${size}²`, unit: 'images/s', open: () => openEncoding(size) },
  ]),
  { name: 'training: feed and train at 128²', unit: 'images/s', open: () => openFeeding(128) },
];
