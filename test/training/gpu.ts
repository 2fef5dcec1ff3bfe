// The check of a GPU, by hand on a machine that has one: `node --import tsx test/training/gpu.ts`. It tells the adapter, whether all gradients are right, how
// far embeddings and losses are from the processor's, and images a second beside PyTorch on the same GPU. Words pick among the parts: gradients, embeddings, losses, speed.
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { type BackendName, type TrainingSet, buildNetwork, encode, train, trainingBackend } from 'imagesim/training';
import seedrandom from 'seedrandom';
import { openPeer, rateOf } from '../../bench/measure.ts';
import { largestDifference, lossDifference } from './agreement.ts';
import { cases, checkGradients } from './cases.ts';

const BATCH = 32;
const CLASSES = Array.from({ length: 20 }, (_, i) => `class ${i}`);

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** The backend to check. */
    backend: { type: 'string', default: 'webgpu' },
    /** Images of each measurement of speed. */
    images: { type: 'string', default: '4096' },
    /** Every which of the gradient cases is checked. */
    every: { type: 'string', default: '1' },
    /** Filters of each convolution of the network whose embeddings are compared, as 8,16. Default: as networks have them. */
    widths: { type: 'string' },
    /** Rows and columns of the images, pixels. */
    size: { type: 'string', default: '128' },
  },
});
const name = options.backend as BackendName;
const wants = (part: string): boolean => positionals.length === 0 || positionals.includes(part);

async function tellGradients(): Promise<void> {
  const checked = cases.filter((_, i) => i % Number(options.every) === 0);
  await trainingBackend({ name });
  tf.env().set('WEBGPU_CPU_FORWARD', false); // else small tensors would be computed on the processor, and show nothing
  const { worst, failures } = await checkGradients(name === 'tensorflow-gpu' ? 'tensorflow' : name, checked);
  tf.env().set('WEBGPU_CPU_FORWARD', true);
  for (const failure of failures) console.log(`wrong: ${failure}`);
  console.log(
    `gradients: ${checked.length - failures.length} of ${checked.length} right, worst error ${worst.toExponential(1)}`,
  );
  if (failures.length > 0) process.exitCode = 1;
}

async function tellEmbeddings(): Promise<void> {
  const difference = await largestDifference(name, options.widths?.split(',').map(Number));
  console.log(`embeddings: ${difference.toExponential(1)} from plain JavaScript's`);
  if (!(difference < 1e-5)) process.exitCode = 1;
}

async function tellLosses(): Promise<void> {
  const difference = await lossDifference(name);
  console.log(`losses: ${difference.toExponential(1)} from plain JavaScript's over three epochs`);
  if (!(difference < 1e-3)) process.exitCode = 1;
}

/** Noise with labels at random: what is measured is the arithmetic. */
function noise(count: number, size: number): TrainingSet & { images: Uint8Array } {
  const next = seedrandom.alea('gpu');
  const images = Uint8Array.from({ length: count * size * size * 3 }, () => 256 * next());
  return { images, labels: Float32Array.from({ length: count * CLASSES.length }, () => Math.round(next())) };
}

async function peerRate(what: 'train' | 'encode', images: number, size: number): Promise<string> {
  const task = { what, size, batch: BATCH, classes: CLASSES.length, images, device: 'cuda' };
  const peer = await openPeer('training.py', task, 'pip install torch');
  if (!('name' in peer)) return `PyTorch: none, ${peer.missing}`;
  await peer.round();
  const { rate } = await peer.round();
  peer.close();
  return `${peer.name}: ${rate.toFixed(1)}`;
}

async function tellSpeed(): Promise<void> {
  const [images, size] = [Number(options.images), Number(options.size)];
  await trainingBackend({ name });
  const set = noise(images, size);
  const network = await buildNetwork({ inputSize: size, classes: CLASSES });
  const plain = { losses: { entropy: 1 }, augmentation: false, balance: 0 } as const;
  const epochs = await train(network, set, { epochs: 2, batchSize: BATCH, ...plain });
  console.log(`train at ${size}²: ${epochs[1].imagesPerSecond.toFixed(1)} images/s; ${await peerRate('train', images, size)}`); // prettier-ignore
  const encoding = (): Promise<unknown> => encode(network, set.images, { batchSize: BATCH });
  await encoding();
  const rate = await rateOf(images, encoding);
  console.log(`encode at ${size}²: ${rate.toFixed(1)} images/s; ${await peerRate('encode', images, size)}`);
}

const { why } = await trainingBackend({ name });
console.log(`backend: ${why}`);
if (wants('gradients')) await tellGradients();
if (wants('embeddings')) await tellEmbeddings();
if (wants('losses')) await tellLosses();
if (wants('speed')) await tellSpeed();
