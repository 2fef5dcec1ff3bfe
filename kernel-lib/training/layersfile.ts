/** Layers models as tfjs and its converter write them: `model.json`, and weights in one file or several beside it. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { readyBackend } from './backend.ts';

/** A model in memory, and the bytes of its files, `model.json` first. */
export interface LayersFile {
  model: tfl.LayersModel;
  bytes: Uint8Array[];
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/**
 * Reads a tfjs layers model, whose memory the caller disposes of.
 *
 * @param path its folder, or its `model.json`
 * @returns undefined where `path` is a file of another kind
 * @throws {Error} naming the file, when it is missing or damaged, or weights are
 */
export async function readLayers(path: string): Promise<LayersFile | undefined> {
  const info = await stat(path).catch((error: unknown) => {
    throw new Error(`cannot read ${path}: ${codeOf(error)}; give an ONNX file, or a tfjs layers model`, {
      cause: error,
    });
  });
  if (!info.isDirectory() && !path.endsWith('.json')) return undefined;
  const file = info.isDirectory() ? join(path, 'model.json') : path;
  const topology = await readFile(file).catch((error: unknown) => {
    throw new Error(`cannot read ${file}: ${codeOf(error)}; give an ONNX file, or the folder of a tfjs layers model`, {
      cause: error,
    });
  });
  const json = parseTopology(file, topology);
  const bytes = [topology, ...(await readWeights(file, json))];
  await readyBackend();
  const load = (): Promise<tf.io.ModelArtifacts> =>
    tf.io.getModelArtifactsForJSON(json, async (manifest) => [
      manifest.flatMap(({ weights }) => weights),
      Uint8Array.from(Buffer.concat(bytes.slice(1))).buffer,
    ]);
  const model = await tfl.loadLayersModel({ load }).catch((error: unknown) => {
    throw new Error(`tfjs cannot load ${file}: ${(error as Error).message.split('\n')[0]}; convert the model again`, {
      cause: error,
    });
  });
  return { model, bytes };
}

function parseTopology(file: string, bytes: Buffer): tf.io.ModelJSON {
  let json: Partial<tf.io.ModelJSON>;
  try {
    json = JSON.parse(bytes.toString()) as Partial<tf.io.ModelJSON>;
  } catch (error) {
    throw new Error(`${file} is no JSON (${(error as Error).message}): fetch the model again`, { cause: error });
  }
  if (json.format === 'graph-model')
    throw new Error(`${file} is a graph model, not a layers model: convert it with --output_format tfjs_layers_model`);
  if (!json.modelTopology || !json.weightsManifest)
    throw new Error(
      `${file} has no ${json.modelTopology ? 'weightsManifest' : 'modelTopology'}: it is no layers model; give another`,
    );
  return json as tf.io.ModelJSON;
}

async function readWeights(file: string, { weightsManifest }: tf.io.ModelJSON): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  for (const { paths, weights } of weightsManifest) {
    const found = await Promise.all(paths.map((name) => readWeightFile(file, name)));
    const [has, wants] = [
      found.reduce((sum, { length }) => sum + length, 0),
      weights.reduce((sum, spec) => sum + bytesOf(spec), 0),
    ];
    if (has !== wants)
      throw new Error(
        `the weights of ${file} (${paths.join(', ')}) have ${has} bytes, where it asks for ${wants}: fetch the model again`,
      );
    blocks.push(...found);
  }
  return blocks;
}

function bytesOf({ shape, dtype, quantization }: tf.io.WeightsManifestEntry): number {
  const type = quantization?.dtype ?? dtype;
  const each: Record<string, number> = { uint8: 1, bool: 1, uint16: 2, float16: 2, complex64: 8 };
  return shape.reduce((product, length) => product * length, each[type] ?? 4);
}

async function readWeightFile(file: string, name: string): Promise<Buffer> {
  const path = join(dirname(file), name);
  return readFile(path).catch((error: unknown) => {
    throw new Error(`cannot read ${path}, the weights of ${file}: ${codeOf(error)}; fetch them again`, {
      cause: error,
    });
  });
}
