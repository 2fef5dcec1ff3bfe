import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tfl from '@tensorflow/tfjs-layers';
import { type Encoder, RuntimeMissingError, exportEncoder, onnxBytes, openEncoder, parseOnnx, readOnnx, trainingBackend } from 'imagesim/training'; // prettier-ignore
import { withFloatWeights } from '../../kernel-lib/training/onnx/fold.ts';
import { exportLayers } from '../../kernel-lib/training/onnx/export.ts';
import {
  chain,
  difference,
  encoderNetwork,
  networkOf,
  noise,
  onWeb,
  predicted,
  pythonFaults,
  pythonOnnx,
} from './networks.ts';

const size = 33;
const width = 12;
const images = noise(7 * size * size * 3, 'seven');

describe('training: the ONNX encoder', () => {
  let folder: string;
  let path: string;
  let network: tfl.LayersModel;
  let encoder: Encoder;
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    folder = await mkdtemp(join(tmpdir(), 'imagesim-encoder-'));
    path = join(folder, 'encoder.onnx');
    network = encoderNetwork(size, width);
    await writeFile(path, onnxBytes(await exportEncoder(network)));
    encoder = await openEncoder(path);
  });
  after(async () => {
    await encoder.close();
    await rm(folder, { recursive: true });
  });

  it('gives the network’s embeddings to 1e-5, in onnxruntime-node and onnxruntime-web, of bytes or floats', async () => {
    const expected = predicted(network, images);
    assert.ok(difference(await encoder.encode(images), expected) < 1e-5);
    for (const input of ['uint8', 'float32'] as const) {
      const bytes = onnxBytes(await exportEncoder(network, { input }));
      assert.ok(difference(await onWeb(bytes, images), expected) < 1e-5, `onnxruntime-web, ${input}`);
      assert.deepEqual(pythonFaults([bytes]), ['']);
      const again = join(folder, `${input}.onnx`);
      await writeFile(again, bytes);
      const opened = await openEncoder(again, { threads: 1 });
      assert.ok(difference(await opened.encode(images), expected) < 1e-5, `onnxruntime-node, ${input}`);
      await opened.close();
    }
  });

  it('knows its sizes, and gives rows of unit length, the same in any batch', async () => {
    assert.deepEqual([encoder.path, encoder.inputSize, encoder.width], [path, size, width]);
    const [rows, again] = [await encoder.encode(images), await encoder.encode(images, { batchSize: 3 })];
    assert.equal(rows.length, 7 * width);
    for (let i = 0; i < 7; i++)
      assert.ok(Math.abs(Math.hypot(...rows.subarray(i * width, (i + 1) * width)) - 1) < 1e-6);
    assert.ok(difference(again, rows) < 1e-6);
    assert.equal((await encoder.encode(new Uint8Array(0))).length, 0);
  });

  it('brings rows to unit length where the network does not', async () => {
    const bare = networkOf([9, 9, 3], chain(), 'bare');
    await assert.rejects(exportEncoder(bare), /requires an embedding of two axes/);
    const raw = tfl.model({ inputs: network.inputs, outputs: network.getLayer('projection').output });
    const file = join(folder, 'raw.onnx');
    await writeFile(file, onnxBytes(await exportEncoder(raw)));
    const opened = await openEncoder(file);
    assert.ok(difference(await opened.encode(images), await encoder.encode(images)) < 1e-6);
    await opened.close();
  });

  it('runs weights kept in bytes as onnxruntime-web does, which knows nothing of our folding', async () => {
    const code = `
g = numpy.random.RandomState(2)
byte = lambda name, shape, kind: numpy_helper.from_array(g.randint(0, 100, shape).astype(kind), name)
floats = lambda name, values: numpy_helper.from_array(numpy.array(values, dtype=numpy.float32), name)
nodes = [
    helper.make_node('Cast', ['image'], ['x'], to=TensorProto.FLOAT), helper.make_node('Transpose', ['x'], ['t'], perm=[0, 3, 1, 2]),
    helper.make_node('DequantizeLinear', ['w1', 's1', 'z1'], ['f1']), helper.make_node('Conv', ['t', 'f1'], ['c']), helper.make_node('Relu', ['c'], ['r']),
    helper.make_node('GlobalAveragePool', ['r'], ['p']), helper.make_node('Flatten', ['p'], ['q']),
    helper.make_node('DequantizeLinear', ['w2', 's2', 'z2'], ['f2'], axis=0), helper.make_node('Gemm', ['q', 'f2'], ['e'], transB=1),
    helper.make_node('DequantizeLinear', ['w3', 's3'], ['f3'], axis=-1), helper.make_node('MatMul', ['e', 'f3'], ['m']),
    helper.make_node('LpNormalization', ['m'], ['embedding'], axis=1),
]
weights = [byte('w1', [5, 3, 3, 3], 'uint8'), floats('s1', 0.01), numpy_helper.from_array(numpy.array(50, 'uint8'), 'z1'),
    byte('w2', [4, 5], 'int8'), floats('s2', [0.1, 0.2, 0.3, 0.4]), numpy_helper.from_array(numpy.array([1, 60, 30, -7], 'int8'), 'z2'),
    byte('w3', [4, 6], 'int8'), floats('s3', [0.1, 0.2, 0.3, -0.4, 0.5, 0.6])]
graph = helper.make_graph(nodes, 'bytes', [helper.make_tensor_value_info('image', TensorProto.UINT8, ['N', 33, 33, 3])], [helper.make_tensor_value_info('embedding', TensorProto.FLOAT, ['N', 6])], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)])
model.ir_version = 7
open(sys.argv[1], 'wb').write(model.SerializeToString())`;
    const file = join(folder, 'bytes.onnx');
    pythonOnnx(code, file);
    const opened = await openEncoder(file);
    assert.ok(difference(await opened.encode(images), await onWeb(await readFile(file), images)) < 1e-6);
    const folded = withFloatWeights(await readOnnx(file)).graph?.node.map(({ opType }) => opType);
    assert.deepEqual(folded, ['Cast', 'Transpose', 'Conv', 'Relu', 'GlobalAveragePool', 'Flatten', 'Gemm', 'MatMul', 'LpNormalization']); // prettier-ignore
    await opened.close();
  });

  it('tells its progress, and stops between batches', async () => {
    const done: number[] = [];
    const control = new AbortController();
    const onProgress = (progress: { done: number; total: number; unit: string }): void => {
      done.push(progress.done);
      assert.deepEqual([progress.total, progress.unit], [7, 'images']);
      if (progress.done === 4) control.abort();
    };
    await assert.rejects(encoder.encode(images, { batchSize: 2, onProgress, signal: control.signal }), /abort/i);
    assert.deepEqual(done, [2, 4]);
  });

  it('says why it cannot run where onnxruntime-node does not load, so that the caller may train on', async () => {
    const load = async (): Promise<unknown> => {
      throw new Error('libonnxruntime.so.1: cannot open shared object file\nRequire stack:');
    };
    await assert.rejects(openEncoder(path, { load }), (error) => {
      assert.ok(error instanceof RuntimeMissingError);
      assert.match(error.message, /does not load: libonnxruntime\.so\.1: cannot open shared object file; npm install/);
      return true;
    });
  });

  it('refuses bytes that are no images, batches and threads of none, and use after it is closed', async () => {
    await assert.rejects(encoder.encode(new Uint8Array(100)), /100 bytes are no whole number of 33 × 33 × 3 images/);
    await assert.rejects(encoder.encode(images, { batchSize: 0 }), /positive whole batchSize is required, got 0/);
    await assert.rejects(openEncoder(path, { threads: 0 }), /positive whole number of threads is required, got 0/);
    const opened = await openEncoder(path);
    await opened.close();
    await assert.rejects(opened.encode(images), /encoder\.onnx is closed: open it again/);
  });

  it('refuses files that are missing, damaged, or no encoders, each in one line', async () => {
    const made = async (name: string, bytes: Uint8Array): Promise<string> => {
      await writeFile(join(folder, name), bytes);
      return join(folder, name);
    };
    const sound = onnxBytes(await exportEncoder(network));
    await assert.rejects(openEncoder(join(folder, 'none.onnx')), /cannot read .*none\.onnx: ENOENT; export/);
    await assert.rejects(
      openEncoder(await made('cut.onnx', sound.subarray(0, 900))),
      /cut\.onnx is no whole ONNX file/,
    );
    const spoilt = parseOnnx(sound);
    if (spoilt.graph) spoilt.graph.initializer[0].rawData = new Uint8Array(2);
    await assert.rejects(openEncoder(await made('bad.onnx', onnxBytes(spoilt))), /bad\.onnx is damaged: weights .* 2 bytes, where/); // prettier-ignore
    const unknown = parseOnnx(sound);
    if (unknown.graph) unknown.graph.node[1].opType = 'Transposed';
    await assert.rejects(openEncoder(await made('op.onnx', onnxBytes(unknown))), /onnxruntime cannot open .*op\.onnx: .*Transposed.*; export/); // prettier-ignore
    const wide = onnxBytes(await exportLayers(networkOf([8, 9, 3], chain()), ''));
    await assert.rejects(openEncoder(await made('wide.onnx', wide)), /wide\.onnx takes float32 \[N, 8, 9, 3\]: an encoder takes/); // prettier-ignore
    const deep = onnxBytes(await exportLayers(networkOf([8, 8, 3], chain()), ''));
    await assert.rejects(openEncoder(await made('deep.onnx', deep)), /deep\.onnx gives \[N, 8, 8, 3\]: an encoder gives \[N, width\]/); // prettier-ignore
  });
});
