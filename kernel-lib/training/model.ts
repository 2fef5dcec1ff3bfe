/** A model's folder: `model.json` and `weights.bin` in the layers form that every tfjs reads, and `card.json`, which says what the model is. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { readJson } from '../ard/index.ts';
import { readyBackend } from './backend.ts';
import { describeArchitecture, parseCard, type ModelCard, type ModelFacts } from './card.ts';
import { replaceFolder } from './folder.ts';
import { asNetwork, layersOf } from './layers.ts';
import type { Network } from './network.ts';

/** A network, and what is known of it. */
export interface Model {
  network: Network;
  card: ModelCard;
}

/** Files that saving again leaves as they are: training wrote them. */
const keptFiles = ['training-log.jsonl'];

/**
 * Saves a network as `model.json`, `weights.bin` and `card.json`: all of them or none. A model already in the folder is replaced; only its
 * `training-log.jsonl` stays.
 *
 * @param facts what the network itself does not know; its architecture, sizes and classes are filled in
 * @returns the card as written
 * @throws {Error} naming the folder, when it cannot be written
 */
export async function saveModel(folder: string, network: Network, facts: ModelFacts): Promise<ModelCard> {
  const files = await modelFiles(network);
  const { inputSize, classes, embeddingWidth, widths, seed, parameters } = network;
  const card = parseCard(join(folder, 'card.json'), {
    ...facts,
    metrics: Object.fromEntries(Object.entries(facts.metrics).filter(([, value]) => !Number.isNaN(value))),
    architecture: describeArchitecture(network),
    inputSize,
    classes,
    embeddingWidth,
    widths,
    seed,
    parameters,
    files: Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [name, { bytes: bytes.length, sha256: sha256(bytes) }]),
    ),
  });
  await replaceFolder(folder, { ...files, 'card.json': Buffer.from(`${JSON.stringify(card, null, 2)}\n`) }, keptFiles);
  return card;
}

/**
 * Loads a model that {@link saveModel} wrote. Its embeddings are the saved network's, on any backend to about one part in 100,000.
 *
 * @throws {Error} naming the file and what was found, when one is missing, damaged, or of another model
 */
export async function loadModel(folder: string): Promise<Model> {
  const cardPath = join(folder, 'card.json');
  const card = parseCard(cardPath, await readJson(cardPath));
  const [topology, weights] = await Promise.all(
    (['model.json', 'weights.bin'] as const).map((name) => readVerified(folder, name, card)),
  );
  await readyBackend();
  const model = await tfl.loadLayersModel(loader(join(folder, 'model.json'), topology, weights));
  const { inputSize, classes, embeddingWidth, widths, seed } = card;
  return { network: asNetwork({ inputSize, classes, embeddingWidth, widths, seed }, model), card };
}

async function modelFiles(network: Network): Promise<{ 'model.json': Buffer; 'weights.bin': Buffer }> {
  let artifacts: tf.io.ModelArtifacts | undefined;
  const catcher = tf.io.withSaveHandler(async (made) => {
    artifacts = made;
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
  });
  await layersOf(network).save(catcher);
  const { modelTopology, weightSpecs, weightData, format, generatedBy, convertedBy } =
    artifacts as tf.io.ModelArtifacts;
  const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
  const json = JSON.stringify({ format, generatedBy, convertedBy, modelTopology, weightsManifest });
  return {
    'model.json': Buffer.from(`${json}\n`),
    'weights.bin': Buffer.from(tf.io.CompositeArrayBuffer.join(weightData)),
  };
}

async function readVerified(folder: string, name: 'model.json' | 'weights.bin', card: ModelCard): Promise<Buffer> {
  const path = join(folder, name);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(
      `cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}; fetch or save the model again`,
      { cause: error },
    );
  });
  const said = card.files[name];
  const remedy = 'fetch or save the model again';
  if (bytes.length !== said.bytes)
    throw new Error(`${path} has ${bytes.length} bytes where card.json says ${said.bytes}: ${remedy}`);
  if (sha256(bytes) !== said.sha256)
    throw new Error(`${path} is not the file that card.json describes (its sha256 differs): ${remedy}`);
  return bytes;
}

function loader(path: string, topology: Buffer, weights: Buffer): tf.io.IOHandler {
  return {
    load: async () => {
      const json = JSON.parse(topology.toString()) as tf.io.ModelJSON;
      if (!json.weightsManifest) throw new Error(`${path} has no weightsManifest: save the model again`);
      return tf.io.getModelArtifactsForJSON(json, async (manifest) => [
        manifest.flatMap((group) => group.weights),
        Uint8Array.from(weights).buffer,
      ]);
    },
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
