// Networks of all kinds of layers, with weights at random, and the runtimes that they are compared on.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import * as web from 'onnxruntime-web';
import seedrandom from 'seedrandom';

web.env.wasm.numThreads = 1;
web.env.logLevel = 'error';

/** What layers do to a symbolic image. */
export type Build = (x: tfl.SymbolicTensor) => tfl.SymbolicTensor;

/** One layer after another. */
export function chain(...steps: (tfl.layers.Layer | Build)[]): Build {
  return (x) =>
    steps.reduce(
      (made, step) => (typeof step === 'function' ? step(made) : (step.apply(made) as tfl.SymbolicTensor)),
      x,
    );
}

/** Several ways from one tensor, brought together. */
export function branches(merge: tfl.layers.Layer, ...ways: Build[]): Build {
  return (x) => merge.apply(ways.map((way) => way(x))) as tfl.SymbolicTensor;
}

/** Bytes at random, the same for the same seed. */
export function noise(length: number, seed: string): Uint8Array {
  const random = seedrandom.alea(seed);
  return Uint8Array.from({ length }, () => 256 * random());
}

/** A network from bytes, scaled to −1…1, its weights drawn from the seed: variances and steps are positive. */
export function networkOf(shape: number[], build: Build, seed = 'network'): tfl.LayersModel {
  const input = tfl.input({ shape, name: 'image' });
  const scaled = tfl.layers.rescaling({ scale: 1 / 127.5, offset: -1, name: 'scaled' }).apply(input);
  const model = tfl.model({ inputs: input, outputs: build(scaled as tfl.SymbolicTensor) });
  const random = seedrandom.alea(seed);
  for (const weight of model.weights) {
    const dims = weight.shape as number[];
    const fan = dims.slice(0, -1).reduce((product, length) => product * length, 1);
    const isPositive = /variance|gamma/.test(weight.originalName);
    const values = Float32Array.from({ length: tf.util.sizeFromShape(dims) }, () =>
      isPositive ? 0.5 + random() : (2 * random() - 1) * Math.sqrt(3 / fan),
    );
    tf.tidy(() => void weight.write(tf.tensor(values, dims)));
  }
  return model;
}

/** Rows of unit length, as Keras names the layer. */
export class UnitNormalization extends tfl.layers.Layer {
  static readonly className: string = 'UnitNormalization';

  override computeOutputShape(shape: tfl.Shape): tfl.Shape {
    return shape;
  }

  override call([rows]: tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => tf.div(rows, tf.sqrt(tf.add(tf.sum(tf.square(rows), -1, true), 1e-12))));
  }
}

/** A small encoder: two strided convolutions, an embedding of unit length, and a head on it. */
export function encoderNetwork(size: number, width: number): tfl.LayersModel {
  const { layers } = tfl;
  const convolution = { kernelSize: 3, strides: 2, padding: 'same', useBias: false } as const;
  const embedding = chain(
    layers.conv2d({ ...convolution, filters: 8, name: 'convolution1' }),
    layers.batchNormalization({ name: 'norm1' }),
    layers.reLU({ name: 'relu1' }),
    layers.conv2d({ ...convolution, filters: 16, name: 'convolution2' }),
    layers.globalAveragePooling2d({ name: 'pooled' }),
    layers.dense({ units: width, name: 'projection' }),
    new UnitNormalization({ name: 'embedding' }),
  );
  const model = networkOf([size, size, 3], embedding);
  const head = layers.dense({ units: 4, name: 'probabilities' }).apply(model.outputs[0]) as tfl.SymbolicTensor;
  return tfl.model({ inputs: model.inputs, outputs: [model.outputs[0], head], name: 'encoder' });
}

/** What tfjs makes of bytes: its first output. */
export function predicted(model: tfl.LayersModel, bytes: Uint8Array): Float32Array {
  return tf.tidy(() => {
    const [, ...shape] = model.inputs[0].shape as number[];
    const images = tf.tensor(Float32Array.from(bytes), [bytes.length / tf.util.sizeFromShape(shape), ...shape]);
    const [first] = [model.predict(images)].flat();
    return Float32Array.from(first.dataSync());
  });
}

/** What onnxruntime-web makes of bytes: WebAssembly, one thread, as in a browser. */
export async function onWeb(model: Uint8Array, bytes: Uint8Array): Promise<Float32Array> {
  for (const flag of ['--liftoff', '--no-wasm-tier-up']) setFlagsFromString(flag); // its ten megabytes compiled well take ten seconds
  const session = await web.InferenceSession.create(model, { executionProviders: ['wasm'] });
  for (const flag of ['--no-liftoff', '--wasm-tier-up']) setFlagsFromString(flag); // as the wasm backend has set them
  const [input] = session.inputMetadata;
  if (!input.isTensor) throw new Error(`${input.name} is no tensor`);
  const [, ...shape] = input.shape as number[];
  const values = input.type === 'uint8' ? bytes : Float32Array.from(bytes);
  const tensor = new web.Tensor(input.type, values as Uint8Array, [
    bytes.length / tf.util.sizeFromShape(shape),
    ...shape,
  ]);
  const made = await session.run({ [input.name]: tensor });
  await session.release();
  return made[session.outputNames[0]].data as Float32Array;
}

/** The largest difference of two arrays, in parts of the larger of 1 and the largest number. */
export function difference(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]) / scale), 0);
}

/** Runs Python with Debian's onnx 1.12; `sys.argv[1:]` are `words`. @returns what it prints, as JSON says it */
export function pythonOnnx(code: string, ...words: string[]): unknown {
  const head = 'import sys, json, onnx, numpy\nfrom onnx import helper, checker, TensorProto, numpy_helper\n';
  const written = execFileSync('/usr/bin/python3', ['-W', 'ignore', '-c', head + code, ...words], {
    maxBuffer: 1 << 28,
  });
  return written.length > 0 ? JSON.parse(written.toString()) : undefined;
}

/** What `onnx.checker.check_model(full_check=True)` says of each file: nothing where it is sound. */
export function pythonFaults(files: readonly Uint8Array[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'imagesim-onnx-'));
  const paths = files.map((bytes, i) => {
    const path = join(folder, `${i}.onnx`);
    writeFileSync(path, bytes);
    return path;
  });
  const code = `
def fault(path):
    try:
        checker.check_model(onnx.load(path), full_check=True)
        return ''
    except Exception as e:
        return str(e).strip().split('\\n')[0] or 'refused'
print(json.dumps([fault(path) for path in sys.argv[1:]]))`;
  const faults = pythonOnnx(code, ...paths) as string[];
  rmSync(folder, { recursive: true });
  return faults;
}

/** Saves a layers model with its weights in two files, as tfjs's converter does. */
export async function saveLayers(folder: string, model: tfl.LayersModel): Promise<string> {
  await mkdir(folder, { recursive: true });
  const handler = tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
    const bytes = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData));
    const paths = ['group1-shard1of2.bin', 'group1-shard2of2.bin'];
    const half = 4 * Math.floor(bytes.length / 8);
    await writeFile(join(folder, paths[0]), bytes.subarray(0, half));
    await writeFile(join(folder, paths[1]), bytes.subarray(half));
    const manifest = { format: 'layers-model', modelTopology, weightsManifest: [{ paths, weights: weightSpecs }] };
    await writeFile(join(folder, 'model.json'), JSON.stringify(manifest));
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } };
  });
  await model.save(handler);
  return join(folder, 'model.json');
}
