/** A model's folder: `model.json` and `weights.bin` in the layers form that every tfjs reads, `encoder.onnx`, and `card.json`, which says what the model is. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { readJson } from '../ard/index.ts';
import { type Backbone, appendHead } from './backbone.ts';
import { readyBackend } from './backend.ts';
import { describeArchitecture, parseCard, type ModelCard, type ModelFacts } from './card.ts';
import { replaceFolder } from './folder.ts';
import { asNetwork, backboneOf, layersOf } from './layers.ts';
import type { Network } from './network.ts';
import { type OnnxModel, onnxBytes } from './onnx/file.ts';
import { checkOnnx } from './onnx/check.ts';
import { exportEncoder } from './onnx/export.ts';

/** A network, and what is known of it. */
export interface Model {
  network: Network;
  card: ModelCard;
  /** `models/<name>/<version>`. */
  folder: string;
}

/** The files that a card vouches for. */
type ModelFiles = Record<'model.json' | 'weights.bin' | 'encoder.onnx', Buffer>;

/** Files that saving again leaves as they are: training wrote them. */
const keptFiles = ['training-log.jsonl'];

/**
 * Saves a network as `model.json`, `weights.bin`, `encoder.onnx` and `card.json`: all of them or none. A model already in the folder is
 * replaced; only its `training-log.jsonl` stays.
 *
 * `model.json` and `weights.bin` are what every tfjs loads; of a network on a frozen backbone they are the head alone, from the
 * backbone's features on. `encoder.onnx` is always the whole: `image` `[n, size, size, 3]`, 0–255 → `embedding`, of unit length.
 *
 * @param facts what the network itself does not know; its architecture, sizes and classes are filled in
 * @returns the card as written
 * @throws {Error} naming the folder, when it cannot be written
 */
export async function saveModel(folder: string, network: Network, facts: ModelFacts): Promise<ModelCard> {
  const files = await modelFiles(network);
  const { inputSize, classes, embeddingWidth, body, seed, parameters } = network;
  const card = parseCard(join(folder, 'card.json'), {
    format: 2,
    ...facts,
    metrics: Object.fromEntries(Object.entries(facts.metrics).filter(([, metric]) => !Number.isNaN(typeof metric === 'number' ? metric : metric.value))), // prettier-ignore
    architecture: describeArchitecture(network),
    inputSize,
    classes,
    embeddingWidth,
    body,
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
 * @param backbone the network that it stands on, where that is frozen and images are to be passed through the layers; encoding by
 *   `encoder.onnx` needs none
 * @throws {Error} naming the file and what was found, when one is missing, damaged, or of another model
 */
export async function loadModel(folder: string, backbone?: Backbone): Promise<Model> {
  const cardPath = join(folder, 'card.json');
  const card = parseCard(cardPath, await readJson(cardPath));
  const [topology, weights] = await Promise.all(
    (['model.json', 'weights.bin'] as const).map((name) => readVerified(folder, name, card)),
  );
  requireBackbone(card, cardPath, backbone);
  await readyBackend();
  const model = await tfl.loadLayersModel(loader(join(folder, 'model.json'), topology, weights));
  const { inputSize, classes, embeddingWidth, body, seed } = card;
  const network = asNetwork({ inputSize, classes, embeddingWidth, body, seed }, model, backbone, true);
  return { network, card, folder };
}

/** @throws {Error} when the backbone given is not the one that the model stands on */
function requireBackbone({ body }: ModelCard, path: string, backbone: Backbone | undefined): void {
  if (!backbone || (body.kind === 'frozen' && body.sha256 === backbone.sha256)) return;
  const found = body.kind === 'frozen' ? `stands on ${body.backbone} (SHA-256 ${body.sha256})` : 'stands on no frozen network'; // prettier-ignore
  throw new Error(`${path}: the model ${found}, not on ${backbone.path}: open that one, or none`);
}

/** The encoder of a model, its file as the card describes it. @returns its path */
export async function verifiedEncoder(folder: string): Promise<{ path: string; card: ModelCard }> {
  const cardPath = join(folder, 'card.json');
  const card = parseCard(cardPath, await readJson(cardPath));
  await readVerified(folder, 'encoder.onnx', card);
  return { path: join(folder, 'encoder.onnx'), card };
}

async function modelFiles(network: Network): Promise<ModelFiles> {
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
    'encoder.onnx': await encoderFile(network),
  };
}

/** A network as ONNX, from `image` `[N, size, size, 3]`, bytes, to `embedding` `[N, width]`: a head with its backbone. */
export async function exportNetwork(network: Network): Promise<OnnxModel> {
  const layers = layersOf(network);
  return network.body.kind === 'frozen' ? appendHead(backboneOf(network), layers) : exportEncoder(layers);
}

async function encoderFile(network: Network): Promise<Buffer> {
  const encoder = await exportNetwork(network);
  const [fault] = checkOnnx(encoder);
  if (fault !== undefined)
    throw new Error(`the network makes an encoder.onnx that is not sound: ${fault}; tell us of it`);
  return Buffer.from(onnxBytes(encoder));
}

async function readVerified(folder: string, name: keyof ModelFiles, card: ModelCard): Promise<Buffer> {
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
