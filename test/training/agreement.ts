// One model on several backends: how far its embeddings are apart, and its losses while it is trained.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type BackendName,
  buildNetwork,
  encode,
  loadModel,
  saveModel,
  train,
  trainingBackend,
} from 'imagesim/training';
import { textureCount, texturedScenes } from './scenes.ts';

const SIZE = 32;
const scenes = texturedScenes(8, SIZE, 'agreement');

/** A network trained a little on wasm so that its batch statistics are not the initial ones, in a model's folder. */
async function trainedModel(folder: string, widths: readonly number[] | undefined): Promise<void> {
  await trainingBackend({ name: 'wasm' });
  const classes = Array.from({ length: textureCount }, (_, i) => `texture ${i}`);
  const network = await buildNetwork({ inputSize: SIZE, classes, widths });
  await train(network, scenes, { epochs: 2, batchSize: 8, members: 1 }); // one thread starts sooner
  await saveModel(folder, network, {
    name: 'agreement',
    version: '1',
    datasetVersion: 'textures',
    backend: 'wasm',
    settings: { losses: {} },
    metrics: {},
    curve: [],
    licences: [],
  });
  network.dispose();
}

async function embeddingsOn(name: BackendName, folder: string): Promise<Float32Array> {
  await trainingBackend({ name });
  const { network } = await loadModel(folder);
  const embeddings = await encode(network, scenes.images);
  network.dispose();
  return embeddings;
}

/** Largest difference of any value of any embedding on a backend from plain JavaScript's. @param widths of the network. Default: as networks have them */
export async function largestDifference(name: BackendName, widths?: readonly number[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-agreement-'));
  try {
    await trainedModel(join(folder, 'model'), widths);
    const expected = await embeddingsOn('cpu', join(folder, 'model'));
    const found = await embeddingsOn(name, join(folder, 'model'));
    return Math.max(...expected.map((value, i) => Math.abs(value - found[i])));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function lossesOn(name: BackendName): Promise<number[]> {
  await trainingBackend({ name });
  const set = texturedScenes(16, 32, 'losses');
  const network = await buildNetwork({ inputSize: 32, classes: ['a', 'b', 'c', 'd'], widths: [8, 16] });
  const log = await train(network, set, { epochs: 3, batchSize: 8 });
  network.dispose();
  return log.map(({ loss }) => loss);
}

/** Largest difference of any epoch's loss on a backend from plain JavaScript's, relative to it. */
export async function lossDifference(name: BackendName): Promise<number> {
  const expected = await lossesOn('cpu');
  const found = await lossesOn(name);
  return Math.max(...expected.map((loss, epoch) => Math.abs(loss - found[epoch]) / loss));
}
