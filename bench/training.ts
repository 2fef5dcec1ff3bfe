// Training and encoding beside PyTorch: the same network on images of the same size. Encoding of chips beside the encoder alone.
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chipTiles, readChips, readPixels } from 'imagesim/chips';
import {
  type Network, type TrainingSet, buildNetwork, encode, encodeChips, openEncoder, saveModel, train, trainingBackend,
} from 'imagesim/training'; // prettier-ignore
import seedrandom from 'seedrandom';
import { type Bench, type BenchOptions, type Contest, type Round, openPeer, rateOf } from './measure.ts';
import { benchTile } from './tile.ts';

const SIZE = 64;
const BATCH = 32;
const TRAIN_IMAGES = 512;
const ENCODE_IMAGES = 2048;
const CLASSES = Array.from({ length: 20 }, (_, i) => `class ${i}`);

/** Noise with labels at random: what is measured is the arithmetic. */
function noise(count: number): TrainingSet {
  const random = seedrandom.alea('bench');
  const images = Uint8Array.from({ length: count * SIZE * SIZE * 3 }, () => 256 * random());
  const labels = Float32Array.from({ length: count * CLASSES.length }, () => Math.round(random()));
  return { images, labels };
}

/** The second of two epochs. Cross-entropy alone and no augmentation, as the peer. */
async function trainRound(network: Network, set: TrainingSet): Promise<Round> {
  const log = await train(network, set, { epochs: 2, batchSize: BATCH, contrastiveWeight: 0, augmentation: false });
  return { rate: log[1].imagesPerSecond };
}

async function encodeRound(network: Network, { images }: TrainingSet): Promise<Round> {
  return { rate: await rateOf(ENCODE_IMAGES, () => encode(network, images, { batchSize: BATCH })) };
}

async function open(what: 'train' | 'encode'): Promise<Contest> {
  const { name } = await trainingBackend();
  const network = await buildNetwork({ inputSize: SIZE, classes: CLASSES });
  const images = what === 'train' ? TRAIN_IMAGES : ENCODE_IMAGES;
  const set = noise(images);
  const task = { what, size: SIZE, batch: BATCH, classes: CLASSES.length, images };
  return {
    ours: () => (what === 'train' ? trainRound : encodeRound)(network, set),
    peer: await openPeer('training.py', task, 'apt-get install python3-torch'),
    note: `on the backend ${name}`,
    close: async () => network.dispose(),
  };
}

/** Chips of the sample's tile into embeddings, end to end; the peer is the same encoder on the same pixels, decoded before. */
async function openChips(from: 'chips' | 'ard', scale: BenchOptions['scale']): Promise<Contest> {
  const { folder } = await benchTile(scale);
  const data = await mkdtemp(join(tmpdir(), 'imagesim-bench-encode-'));
  await mkdir(join(data, 'ard'));
  await cp(join(folder, 'ard'), join(data, 'ard'), { recursive: true, preserveTimestamps: true, mode: 2 });
  const chips = await readChips((await chipTiles({ dataPath: data, zone: 33 })).chipDir);
  const network = await buildNetwork({ inputSize: SIZE, classes: CLASSES });
  const model = join(data, 'models/bench/1');
  await saveModel(model, network, {
    name: 'bench', version: '1', datasetVersion: 'none', backend: 'none', settings: { losses: {} }, metrics: {}, curve: [], licences: [],
  }); // prettier-ignore
  network.dispose();
  const pixels = await readPixels(chips.map(({ path }) => path), SIZE); // prettier-ignore
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
    note: `${chips.length} chips of 256 px, encoded at ${SIZE} px; encoder opened and part written within the time`,
    close: async () => {
      await encoder.close();
      await rm(data, { recursive: true, force: true });
    },
  };
}

export const training: Bench[] = [
  { name: `training: train at ${SIZE}²`, unit: 'images/s', open: () => open('train') },
  { name: `training: encode at ${SIZE}²`, unit: 'images/s', open: () => open('encode') },
  { name: 'training: encode chips on disk', unit: 'images/s', open: ({ scale }) => openChips('chips', scale) },
  { name: 'training: encode chips of tiles', unit: 'images/s', open: ({ scale }) => openChips('ard', scale) },
];
