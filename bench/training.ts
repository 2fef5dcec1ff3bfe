// Training and encoding beside PyTorch: the same network on images of the same size.
import { type Network, type TrainingSet, buildNetwork, encode, train, trainingBackend } from 'imagesim/training';
import seedrandom from 'seedrandom';
import { type Bench, type Contest, type Round, openPeer, rateOf } from './measure.ts';

const SIZE = 64;
const BATCH = 32;
const TRAIN_IMAGES = 512;
const ENCODE_IMAGES = 2048;
const CLASSES = Array.from({ length: 20 }, (_, i) => `class ${i}`);

/** Noise with labels at random: what is measured is the arithmetic. */
function noise(count: number): TrainingSet & { images: Uint8Array } {
  const random = seedrandom.alea('bench');
  const images = Uint8Array.from({ length: count * SIZE * SIZE * 3 }, () => 256 * random());
  const labels = Float32Array.from({ length: count * CLASSES.length }, () => Math.round(random()));
  return { images, labels };
}

/** The second of two epochs. Cross-entropy alone and no augmentation, as the peer. */
async function trainRound(network: Network, set: TrainingSet): Promise<Round> {
  const plain = { losses: { entropy: 1 }, augmentation: false, balance: 0 } as const;
  const log = await train(network, set, { epochs: 2, batchSize: BATCH, ...plain });
  return { rate: log[1].imagesPerSecond };
}

async function encodeRound(network: Network, { images }: { images: Uint8Array }): Promise<Round> {
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

export const training: Bench[] = [
  { name: `training: train at ${SIZE}²`, unit: 'images/s', open: () => open('train') },
  { name: `training: encode at ${SIZE}²`, unit: 'images/s', open: () => open('encode') },
];
