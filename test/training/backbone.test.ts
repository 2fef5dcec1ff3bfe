import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { type BackboneOptions, appendHead, checkOnnx, onnxBytes, openBackbone, openEncoder, readLayers, readOnnx, trainingBackend } from 'imagesim/training'; // prettier-ignore
import sharp from 'sharp';
import { chain, difference, encoderNetwork, networkOf, noise, onWeb, predicted, pythonFaults, pythonOnnx, saveLayers } from './networks.ts'; // prettier-ignore

const { layers } = tfl;
const mobilenet = join(import.meta.dirname, '../../../shared/data/backbone/mobilenet_v1_1.0_224_embed_w8.onnx');
const size = 6;
const images = noise(5 * size * size * 3, 'five');

/** How the oracle's network differs from the plain one: bands first, any number of images of 6 × 6, features of two axes. */
interface Kind {
  bandsLast?: boolean;
  /** What is left of its end: 4 for feature images, 2 for rows. */
  rank?: 2 | 4;
  batch?: number;
  side?: number | string;
  opset?: number;
  bands?: number;
  double?: boolean;
  /** Weights are listed as inputs, as files of IR version 3 must. */
  old?: boolean;
}

/** numpy: ReLU of a 3 × 4 matrix for each pixel, then the mean over the image. Writes the network, and prints the features. */
const oracle = `
path, kind, x = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
side, bands, last, rank = kind.get('side', 6), kind.get('bands', 3), kind.get('bandsLast', False), kind.get('rank', 2)
w = numpy.random.RandomState(1).randn(bands, 4).astype(numpy.float32)
batch = kind.get('batch', 'N')
kinds = TensorProto.DOUBLE if kind.get('double') else TensorProto.FLOAT
if last:
    nodes = [helper.make_node('MatMul', ['x', 'w'], ['c'])]
    shape, weights, out = [batch, side, side, bands], w, [batch, side, side, 4]
else:
    nodes = [helper.make_node('Conv', ['x', 'w'], ['c'])]
    shape, weights, out = [batch, bands, side, side], w.T.reshape(4, bands, 1, 1), [batch, 4, side, side]
nodes.append(helper.make_node('Relu', ['c'], ['y']))
if rank == 2:
    nodes += [helper.make_node('ReduceMean', ['y'], ['z'], axes=[1, 2] if last else [2, 3], keepdims=0)]
    out = [batch, 4]
given = [helper.make_tensor_value_info('x', kinds, shape)]
if kind.get('old'): given.append(helper.make_tensor_value_info('w', kinds, list(weights.shape)))
graph = helper.make_graph(nodes, 'net', given, [helper.make_tensor_value_info('z' if rank == 2 else 'y', kinds, out)], [numpy_helper.from_array(weights.astype(numpy.float64 if kind.get('double') else numpy.float32), 'w')])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', kind.get('opset', 13))])
model.ir_version = 3 if kind.get('old') else 7
open(path, 'wb').write(model.SerializeToString())
if bands == 3:
    x = numpy.array(x, dtype=numpy.float64).reshape(-1, 36, 3)
    print(json.dumps(numpy.maximum(x @ w, 0).mean(axis=1).ravel().tolist()))
else:
    print('[]')`;

describe('training: a pretrained backbone', () => {
  let folder: string;
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    folder = await mkdtemp(join(tmpdir(), 'imagesim-backbone-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Writes a network of a kind. @param normalise what it wants of pixels */
  const write = (
    name: string,
    kind: Kind,
    normalise = (x: number): number => (x - 127.5) / 127.5,
  ): { path: string; expected: Float32Array } => {
    const path = join(folder, name);
    const values = Array.from(images, (x) => normalise(x));
    const expected = Float32Array.from(pythonOnnx(oracle, path, JSON.stringify(kind), JSON.stringify(values)) as number[]); // prettier-ignore
    return { path, expected };
  };
  const kinds: Record<string, [kind: Kind, options?: BackboneOptions]> = {
    'bands first, features': [{}],
    'bands first, feature images': [{ rank: 4 }],
    'bands last, features': [{ bandsLast: true }],
    'bands last, feature images': [{ bandsLast: true, rank: 4 }],
    'two images at a time': [{ batch: 2 }],
    'any size': [{ side: 'side' }, { inputSize: size }],
    'weights among the inputs': [{ old: true }],
    'a value inside': [{}, { output: 'y' }],
  };

  for (const [what, [kind, options]] of Object.entries(kinds)) {
    it(`gives the features that numpy gives: ${what}`, async () => {
      const { path, expected } = write('kind.onnx', kind);
      const backbone = await openBackbone(path, options);
      assert.deepEqual([backbone.kind, backbone.inputSize, backbone.width], ['onnx', size, 4]);
      assert.equal(backbone.sha256, createHash('sha256').update(await readFile(path)).digest('hex')); // prettier-ignore
      assert.ok(difference(await backbone.features(images, { batchSize: 3 }), expected) < 1e-5);
      assert.deepEqual(checkOnnx(backbone.model), []);
      await backbone.close();
    });
  }

  it('scales pixels as it is told: by a factor and addend, or by mean and deviation of each band', async () => {
    const scaled = write('scaled.onnx', {}, (x) => x / 128 - 1);
    const one = await openBackbone(scaled.path, { pixels: { scale: 1 / 128, offset: -1 } });
    assert.ok(difference(await one.features(images), scaled.expected) < 1e-5);
    const { path, expected } = write('std.onnx', {}, (x) => (x / 255 - 0.4) / 0.2);
    const other = await openBackbone(path, { pixels: { mean: [0.4, 0.4, 0.4], std: [0.2, 0.2, 0.2] } });
    assert.ok(difference(await other.features(images), expected) < 1e-5);
    await assert.rejects(openBackbone(path, { pixels: { mean: [0, 0, 0], std: [1, 0, 1] } }), /no std of zero, got 0, 0, 0, 1, 0, 1/); // prettier-ignore
    await Promise.all([one.close(), other.close()]);
  });

  it('takes images of another size, resized as sharp does', async () => {
    const { path } = write('size.onnx', {});
    const backbone = await openBackbone(path);
    const large = noise(2 * 20 * 20 * 3, 'large');
    const small = await Promise.all([0, 1].map((i) => sharp(large.subarray(i * 1200, (i + 1) * 1200), { raw: { width: 20, height: 20, channels: 3 } }).resize(size, size, { fit: 'fill' }).raw().toBuffer())); // prettier-ignore
    const found = await backbone.features(large, { size: 20 });
    assert.ok(difference(found, await backbone.features(Buffer.concat(small))) < 1e-6);
    await backbone.close();
    await assert.rejects(backbone.features(large, { size: 20 }), /size\.onnx is closed: open it again/);
  });

  it('opens layers models, from their folder or model.json, weights in two files', async () => {
    const network = networkOf([size, size, 3], chain(layers.conv2d({ filters: 8, kernelSize: 3, padding: 'same', activation: 'relu' }), layers.conv2d({ filters: 5, kernelSize: 1 }))); // prettier-ignore
    const model = await saveLayers(join(folder, 'layers'), network);
    const expected = predicted(tfl.model({ inputs: network.inputs, outputs: layers.globalAveragePooling2d({}).apply(network.outputs[0]) as tfl.SymbolicTensor }), images); // prettier-ignore
    for (const path of [join(folder, 'layers'), model]) {
      const backbone = await openBackbone(path, { pixels: { scale: 1, offset: 0 } });
      assert.deepEqual([backbone.kind, backbone.inputSize, backbone.width], ['layers', size, 5]);
      assert.ok(difference(await backbone.features(images), expected) < 1e-5);
      await backbone.close();
    }
    const read = await readLayers(model);
    assert.equal(read?.model.countParams(), network.countParams());
  });

  it('carries a head: one encoder from pixels to embeddings of unit length, in both runtimes', async () => {
    const { path } = write('base.onnx', { bandsLast: true, rank: 4 });
    const backbone = await openBackbone(path);
    const head = headOf(4, 3);
    const model = await appendHead(backbone, head);
    assert.deepEqual(checkOnnx(model), []);
    assert.deepEqual(pythonFaults([onnxBytes(model)]), ['']);
    const file = join(folder, 'encoder.onnx');
    await writeFile(file, onnxBytes(model));
    const encoder = await openEncoder(file);
    assert.deepEqual([encoder.inputSize, encoder.width], [size, 3]);
    const features = await backbone.features(images);
    const expected = tf.tidy(
      () => (head.predict(tf.tensor2d(features, [5, 4])) as tf.Tensor).dataSync() as Float32Array,
    );
    for (let i = 0; i < 15; i += 3) {
      const length = Math.hypot(...expected.subarray(i, i + 3));
      for (let k = i; k < i + 3; k++) expected[k] /= length;
    }
    assert.ok(difference(await encoder.encode(images), expected) < 1e-5);
    assert.ok(difference(await onWeb(onnxBytes(model), images), expected) < 1e-5);
    await Promise.all([encoder.close(), backbone.close()]);
  });

  it('of MobileNet gives the features of its file, and an encoder of them', async function () {
    if (!existsSync(mobilenet)) {
      console.log(`      the backbone is not at ${mobilenet}: fetch it to run this`);
      this.skip();
    }
    const backbone = await openBackbone(mobilenet, { pixels: { scale: 1 / 128, offset: -1 } });
    assert.deepEqual([backbone.inputSize, backbone.width], [224, 1024]);
    const two = noise(2 * 224 * 224 * 3, 'two');
    const features = await backbone.features(two);
    const direct = new Float32Array(two.length); // as PROVENANCE.txt says: [N, 3, 224, 224], (x − 128) / 128
    for (let i = 0; i < two.length; i++) {
      const [image, place, band] = [Math.floor(i / 150528), Math.floor((i % 150528) / 3), i % 3];
      direct[image * 150528 + band * 50176 + place] = (two[i] - 128) / 128;
    }
    const { InferenceSession, Tensor } = await import('onnxruntime-web');
    const session = await InferenceSession.create(await readFile(mobilenet), { executionProviders: ['wasm'] });
    const { embedding } = await session.run({ input: new Tensor('float32', direct, [2, 3, 224, 224]) });
    assert.ok(difference(features, embedding.data as Float32Array) < 1e-5);
    const staged = await openBackbone(mobilenet, { pixels: { scale: 1 / 128, offset: -1 }, stages: true });
    assert.deepEqual([staged.width, staged.own, staged.stages], [64 + 128 + 256 + 512 + 1024 + 1024, 1024, true]); // at 112, 56, 28, 14 and 7 pixels
    const all = await staged.features(two);
    assert.ok(
      difference(
        all.filter((_, i) => i % staged.width >= staged.width - 1024),
        features,
      ) < 1e-5,
    );
    assert.ok(all.subarray(0, 64).some((value) => value > 0));
    const model = await appendHead(backbone, headOf(1024, 16));
    assert.deepEqual(pythonFaults([onnxBytes(model)]), ['']);
    await Promise.all([backbone.close(), staged.close(), session.release()]);
  });

  it('refuses files that are missing, no ONNX, cut short, or of another kind, each in one line', async () => {
    const { path } = write('sound.onnx', {});
    const bytes = await readFile(path);
    const made = async (name: string, content: Uint8Array | string): Promise<string> => {
      await writeFile(join(folder, name), content);
      return join(folder, name);
    };
    await assert.rejects(
      openBackbone(join(folder, 'none.onnx')),
      /cannot read .*none\.onnx: ENOENT; give an ONNX file, or/,
    );
    await assert.rejects(
      openBackbone(await made('page.onnx', '<!doctype html><p>404')),
      /page\.onnx is no (whole )?ONNX file/,
    );
    await assert.rejects(
      openBackbone(await made('cut.onnx', bytes.subarray(0, 150))),
      /cut\.onnx is no whole ONNX file \(150 bytes/,
    );
    const spoilt = await readOnnx(path);
    if (spoilt.graph) spoilt.graph.initializer[0].rawData = new Uint8Array(5);
    await assert.rejects(
      openBackbone(await made('bad.onnx', onnxBytes(spoilt))),
      /bad\.onnx is damaged: weights w: 5 bytes/,
    );
    await assert.rejects(
      openBackbone(await made('page.json', '<p>')),
      /page\.json is no JSON .*: fetch the model again/,
    );
    await assert.rejects(openBackbone(await made('graph.json', '{"format":"graph-model"}')), /graph\.json is a graph model, not a layers model: convert/); // prettier-ignore
    await assert.rejects(
      openBackbone(await made('empty.json', '{}')),
      /empty\.json has no modelTopology: it is no layers/,
    );
    await assert.rejects(openBackbone(folder), /cannot read .*model\.json: ENOENT; give an ONNX file, or the folder/);
  });

  it('refuses layers models whose weights are missing or cut short, or that cannot be exported', async () => {
    const home = join(folder, 'weightless');
    const path = await saveLayers(home, networkOf([size, size, 3], chain(layers.upSampling2d({ name: 'up' }), layers.conv2d({ filters: 2, kernelSize: 1 })))); // prettier-ignore
    await assert.rejects(
      openBackbone(path),
      /model\.json: cannot export layer up of the class UpSampling2D: replace it/,
    );
    const weights = join(home, 'group1-shard2of2.bin');
    const whole = await readFile(weights);
    await writeFile(weights, whole.subarray(4));
    await assert.rejects(
      openBackbone(path),
      /the weights of .*model\.json \(.*\) have 28 bytes, where it asks for 32: fetch/,
    );
    await rm(weights);
    await assert.rejects(
      openBackbone(path),
      /cannot read .*shard2of2\.bin, the weights of .*model\.json: ENOENT; fetch/,
    );
  });

  it('refuses networks of the wrong shape, naming what was found', async () => {
    const refused = (kind: Kind, options?: BackboneOptions): Promise<unknown> => openBackbone(write('wrong.onnx', kind).path, options); // prettier-ignore
    await assert.rejects(
      refused({ bands: 4 }),
      /wrong\.onnx takes x float32 \[N, 4, 6, 6\]: expected one input of images/,
    );
    await assert.rejects(refused({ double: true }), /takes x float64 \[N, 3, 6, 6\]: expected float32; export/);
    await assert.rejects(refused({ side: 'side' }), /takes images of any size: say which by the option inputSize/);
    await assert.rejects(
      refused({}, { inputSize: 8 }),
      /takes images of 6 × 6 pixels, and inputSize is 8: leave the option/,
    );
    await assert.rejects(refused({}, { output: 'q' }), /makes no value q: its outputs are z/);
    const { path } = write('odd.onnx', {});
    const flat = await readOnnx(path);
    flat.graph?.output[0].type?.tensorType?.shape?.dim?.push({ dimValue: 1 });
    await writeFile(path, onnxBytes(flat));
    await assert.rejects(
      openBackbone(path),
      /odd\.onnx gives z \[N, 4, 1\]: expected features of two axes or four; name/,
    );
  });

  it('refuses heads that do not fit, and backbones too old or of a fixed number of images', async () => {
    const open = (kind: Kind): ReturnType<typeof openBackbone> => openBackbone(write('head.onnx', kind).path);
    const [plain, old, fixed] = [await open({}), await open({ opset: 11 }), await open({ batch: 2 })];
    await assert.rejects(
      appendHead(plain, headOf(5, 3)),
      /the head \S+ takes \[n, 5\], and .* gives \[n, 4\]: build it for 4/,
    );
    await assert.rejects(appendHead(plain, encoderNetwork(16, 3)), /takes \[n, 16, 16, 3\], and .*: build it for 4/);
    await assert.rejects(appendHead(old, headOf(4, 3)), /head\.onnx is of operator set 11: a head needs 13 or later/);
    await assert.rejects(appendHead(fixed, headOf(4, 3)), /takes a fixed number of images: export it anew/);
    await Promise.all([plain, old, fixed].map((backbone) => backbone.close()));
  });
});

/** A dense layer on rectified features. */
function headOf(features: number, width: number): tfl.LayersModel {
  const build = chain(
    layers.dense({ units: 8, activation: 'relu' }),
    layers.dense({ units: width, name: 'embedding' }),
  );
  return networkOf([features], build, 'head');
}
