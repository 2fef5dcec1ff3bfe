import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tfl from '@tensorflow/tfjs-layers';
import { type OnnxModel, checkOnnx, exportEncoder, onnxBytes, parseOnnx, readOnnx, trainingBackend } from 'imagesim/training'; // prettier-ignore
import { exportLayers } from '../../kernel-lib/training/onnx/export.ts';
import { openSession } from '../../kernel-lib/training/onnx/session.ts';
import { type Build, branches, chain, difference, encoderNetwork, networkOf, noise, onWeb, predicted, pythonFaults, pythonOnnx } from './networks.ts'; // prettier-ignore

const backbonePath = join(import.meta.dirname, '../../../shared/data/backbone/mobilenet_v1_1.0_224_embed_w8.onnx');
const { layers } = tfl;

/** A model of every kind of field: a branch with a graph of its own, sparse weights, a function, strings, negative numbers, metadata. */
const richModel = `
inner = lambda name, value: helper.make_graph([helper.make_node('Constant', [], [name], value=helper.make_tensor('c', TensorProto.FLOAT, [1], [value]))], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])])
nodes = [
    helper.make_node('ReduceSum', ['x', 'axes'], ['s'], keepdims=0, name='sum', doc_string='adds up'),
    helper.make_node('Cast', ['s'], ['b'], to=TensorProto.BOOL),
    helper.make_node('If', ['b'], ['y'], then_branch=inner('t', 1.5), else_branch=inner('e', -2.0)),
    helper.make_node('Own', ['s', 'w', 'd', 'u'], ['z'], domain='custom', words=['a', 'b'], word='c', numbers=[1.5, -2.5], whole=-7, wholes=[-1, 0, 3]),
]
values = helper.make_tensor('w', TensorProto.FLOAT, [2], [1.0, 2.0])
sparse = helper.make_sparse_tensor(values, helper.make_tensor('i', TensorProto.INT64, [2], [0, 5]), [6])
initializers = [helper.make_tensor('axes', TensorProto.INT64, [1], [-1]), helper.make_tensor('d', TensorProto.DOUBLE, [2], [1e300, -0.0]), helper.make_tensor('u', TensorProto.UINT64, [1], [2 ** 64 - 1])]
graph = helper.make_graph(nodes, 'rich', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [0])], [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n']), helper.make_tensor_value_info('z', TensorProto.FLOAT, [])], initializers, doc_string='graph', value_info=[helper.make_tensor_value_info('s', TensorProto.FLOAT, [])], sparse_initializer=[sparse])
function = helper.make_function('custom', 'Own', ['a', 'b', 'c', 'd'], ['e'], [helper.make_node('Identity', ['a'], ['e'])], [helper.make_opsetid('', 15)], ['words'])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15), helper.make_opsetid('custom', 1)], functions=[function], producer_name='oracle', model_version=-3, doc_string='')
helper.set_model_props(model, {'key': 'value'})
`;

describe('training: ONNX files', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagesim-onnx-'));
    await trainingBackend({ name: 'wasm' });
  });
  after(() => rm(folder, { recursive: true }));

  it('are written again without loss, fields of a later version too', async () => {
    const [path, again] = [join(folder, 'rich.onnx'), join(folder, 'again.onnx')];
    pythonOnnx(`${richModel}\nopen(sys.argv[1], 'wb').write(model.SerializeToString())`, path);
    await writeFile(again, onnxBytes(await readOnnx(path)));
    assert.equal(pythonOnnx(`${richModel}\nprint(json.dumps(onnx.load(sys.argv[1]) == model))`, again), true);
    assert.deepEqual(checkOnnx(await readFile(path)), []);
    const later = Buffer.concat([await readFile(path), Buffer.from([0xf2, 0x3f, 2, 104, 105])]); // field 1022: 'hi'
    assert.ok(Buffer.from(onnxBytes(parseOnnx(later))).includes(Buffer.from([0xf2, 0x3f, 2, 104, 105])));
  });

  it('of a real network are written again byte for byte', async function () {
    if (!existsSync(backbonePath)) {
      console.log(`      the backbone is not at ${backbonePath}: fetch it to run this`);
      this.skip();
    }
    const bytes = await readFile(backbonePath);
    assert.ok(bytes.equals(onnxBytes(parseOnnx(bytes))));
    assert.deepEqual(checkOnnx(bytes), []);
  });

  it('are refused in one line when they are missing, no ONNX, cut short, or keep their weights elsewhere', async () => {
    const model = await encoderModel();
    const bytes = onnxBytes(model);
    await assert.rejects(readOnnx(join(folder, 'none.onnx')), /cannot read .*none\.onnx: ENOENT; give the path/);
    assert.throws(() => parseOnnx(Buffer.from('<html>not found</html>'), 'a.onnx'), /a\.onnx is no (whole )?ONNX file/);
    assert.throws(
      () => parseOnnx(bytes.subarray(0, bytes.length - 1000), 'a.onnx'),
      /a\.onnx is no whole ONNX file \(\d+ bytes, /,
    );
    assert.throws(() => parseOnnx(new Uint8Array(0), 'a.onnx'), /a\.onnx is no ONNX file: found no graph in 0 bytes/);
    Object.assign(model.graph?.initializer[0] as object, { dataLocation: 1 });
    assert.throws(() => parseOnnx(onnxBytes(model), 'a.onnx'), /a\.onnx keeps the weights .* in another file: save/);
  });
});

async function encoderModel(): Promise<OnnxModel> {
  const network = networkOf([16, 16, 3], chain(
    layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu', name: 'convolution' }),
    layers.globalAveragePooling2d({ name: 'pooled' }),
    layers.dense({ units: 5, name: 'embedding' }),
  )); // prettier-ignore
  return exportEncoder(network);
}

type Spoil = (graph: NonNullable<OnnxModel['graph']>, model: OnnxModel) => void;

/** What is done to a sound model, what we say of it, and whether onnx 1.12 sees it too. */
const spoilt: Record<string, [spoil: Spoil, said: RegExp, isSeenByOnnx: boolean]> = {
  'no IR version': [(_, model) => (model.irVersion = 0), /IR version 0: expected/, true],
  'an IR version to come': [(_, model) => (model.irVersion = 99), /IR version 99: expected/, true],
  'no operator set': [(_, model) => (model.opsetImport = []), /imports no operator set/, true],
  'an operator set to come': [(_, model) => (model.opsetImport[0].version = 99), /operator set 99: expected/, false],
  'no name': [(graph) => (graph.name = ''), /the graph has no name/, true],
  'an input that nothing makes': [(graph) => (graph.node[3].input[0] = 'gone'), /node 3 \(.*\) takes gone, which nothing/, true],
  'nodes out of order': [(graph) => graph.node.reverse(), /takes .*, which nothing before it makes/, true],
  'a value made twice': [(graph) => (graph.node[2].output = graph.node[1].output), /makes image\/bands once more/, true],
  'an operator without a name': [(graph) => (graph.node[2].opType = ''), /node 2 .* names no operator/, true],
  'a node without ends': [(graph) => Object.assign(graph.node[0], { input: [], output: [] }), /neither input nor output/, true],
  'a domain not imported': [(graph) => (graph.node[0].domain = 'other'), /of the domain other, which the model does not/, true],
  'an attribute without a type': [(graph) => (graph.node[0].attribute[0].type = 0), /attribute to has no type/, true],
  'an attribute of another type': [(graph) => (graph.node[0].attribute[0].type = 7), /says that it is in ints, and is in i/, true],
  'an attribute without a name': [(graph) => (graph.node[0].attribute[0].name = ''), /attribute without a name/, true],
  'weights without a type': [(graph) => (graph.initializer[0].dataType = 0), /no type of elements is numbered 0/, true],
  'weights without values': [(graph) => delete graph.initializer[0].rawData, /1 elements, found no values/, true],
  'weights of two kinds': [(graph) => (graph.initializer[0].floatData = [1]), /values in rawData and floatData/, true],
  'weights twice': [(graph) => graph.initializer.push(graph.initializer[0]), /has the weights .* twice/, true],
  'weights without a name': [(graph) => (graph.initializer[0].name = ''), /every tensor of weights needs one/, true],
  'an input without a shape': [(graph) => delete graph.input[0].type?.tensorType?.shape, /input image declares no shape/, true],
  'an input without a type': [(graph) => delete graph.input[0].type, /input image has no type/, true],
  'an input twice': [(graph) => graph.input.push(graph.input[0]), /has the input image twice/, true],
  'an output without a name': [(graph) => (graph.output[0].name = ''), /an output has no name/, true],
  'weights too short': [(graph) => (graph.initializer[0].rawData = new Uint8Array(3)), /3 bytes, where 1 elements of float32 take 4/, false],
  'an output that no node makes': [(graph) => (graph.output[0].name = 'gone'), /output gone is made by no node/, false],
  'no output': [(graph) => (graph.output = []), /the graph has no output/, false],
}; // prettier-ignore

describe('training: the check of an ONNX file', () => {
  it('finds nothing in sound models, as onnx does not', async () => {
    const models = [await encoderModel(), await exportEncoder(encoderNetwork(32, 8))];
    assert.deepEqual(models.map((model) => checkOnnx(onnxBytes(model))), [[], []]); // prettier-ignore
    assert.deepEqual(pythonFaults(models.map(onnxBytes)), ['', '']);
  });

  it('finds what onnx finds in spoilt ones, and wrong sizes and ends, which onnx 1.12 lets pass', async () => {
    const sound = onnxBytes(await encoderModel());
    const files = Object.values(spoilt).map(([spoil]) => {
      const model = parseOnnx(sound);
      if (model.graph) spoil(model.graph, model);
      return { model, bytes: onnxBytes(model) };
    });
    const verdicts = pythonFaults(files.map(({ bytes }) => bytes));
    for (const [i, [what, [, said, isSeenByOnnx]]] of Object.entries(spoilt).entries()) {
      assert.match(checkOnnx(files[i].model).join('\n'), said, what);
      assert.equal(verdicts[i] !== '', isSeenByOnnx, `${what}: onnx says ${verdicts[i] || 'nothing'}`);
    }
  });
});

const rgb = [13, 10, 3];
const conv = (options: object = {}): tfl.layers.Layer => layers.conv2d({ filters: 5, kernelSize: 3, ...options });
const cases: Record<string, [shape: number[], build: Build]> = {
  'strided convolutions, batch normalisation folded': [rgb, chain(conv({ strides: 2, padding: 'same', useBias: false }), layers.batchNormalization(), layers.reLU(), conv({ strides: 3, padding: 'same' }), layers.batchNormalization({ scale: false }))],
  'batch normalisation by itself': [rgb, chain(layers.batchNormalization({ center: false }), conv({ activation: 'relu' }), layers.batchNormalization())],
  'a convolution whose output goes two ways': [rgb, (x) => { const y = conv({ padding: 'same' }).apply(x) as tfl.SymbolicTensor; return layers.add().apply([layers.batchNormalization().apply(y) as tfl.SymbolicTensor, y]) as tfl.SymbolicTensor; }],
  'depthwise, with multiplier': [rgb, chain(layers.depthwiseConv2d({ kernelSize: 3, strides: 2, depthMultiplier: 3, padding: 'same' }), layers.batchNormalization(), layers.reLU({ maxValue: 6 }), layers.depthwiseConv2d({ kernelSize: [2, 3] }))],
  separable: [rgb, chain(layers.separableConv2d({ filters: 6, kernelSize: 3, padding: 'same', depthMultiplier: 2, activation: 'tanh' }), layers.separableConv2d({ filters: 4, kernelSize: 3 }), layers.batchNormalization())],
  'holes between the taps': [rgb, chain(conv({ dilationRate: 2, padding: 'same' }), conv({ dilationRate: [1, 2] }))],
  'a residual block': [rgb, chain(conv({ padding: 'same' }), branches(layers.add(), chain(conv({ padding: 'same', activation: 'relu' }), conv({ padding: 'same' })), chain()), layers.activation({ activation: 'relu' }))],
  'joined branches': [rgb, chain(branches(layers.concatenate(), chain(conv({ padding: 'same' })), chain(layers.maxPooling2d({ poolSize: 3, strides: 1, padding: 'same' })), chain(layers.averagePooling2d({ poolSize: 3, strides: 1, padding: 'same' }))), conv())],
  'branches joined along rows': [rgb, branches(layers.concatenate({ axis: 1 }), chain(conv()), chain(conv()))],
  'a gate on bands': [rgb, chain(conv(), branches(layers.multiply(), chain(), chain(layers.globalAveragePooling2d({}), layers.dense({ units: 5, activation: 'sigmoid' }), layers.reshape({ targetShape: [1, 1, 5] }))))],
  'largest and smallest of two': [rgb, branches(layers.maximum(), chain(conv()), branches(layers.minimum(), chain(conv()), chain(conv())))],
  'pooling of odd sizes': [rgb, chain(layers.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }), layers.averagePooling2d({ poolSize: 2, strides: 2, padding: 'same' }), layers.maxPooling2d({ poolSize: 2, strides: 1, padding: 'valid' }))],
  'zeros around, then valid': [rgb, chain(layers.zeroPadding2d({ padding: [[0, 1], [2, 3]] }), conv({ strides: 2 }))],
  'flat and dense': [rgb, chain(conv({ strides: 4 }), layers.flatten(), layers.dropout({ rate: 0.5 }), layers.dense({ units: 7, activation: 'softmax' }))],
  'reshaped images': [[4, 6, 3], chain(layers.reshape({ targetShape: [8, 3, 3] }), conv({ padding: 'same' }), layers.flatten(), layers.reshape({ targetShape: [6, 20] }))],
  'normalisation of layers': [rgb, chain(conv(), layers.layerNormalization(), layers.globalMaxPooling2d({}), layers.layerNormalization({ epsilon: 1e-5 }))],
  'activations of all kinds': [rgb, chain(...['relu6', 'swish', 'elu', 'selu', 'softplus', 'softsign', 'linear'].map((activation) => layers.activation({ activation: activation as 'relu' })), layers.leakyReLU({ alpha: 0.2 }), layers.softmax({ axis: -1 }))],
  'a network in a network': [rgb, (x) => { const inner = networkOf([13, 10, 3], chain(conv(), layers.globalAveragePooling2d({})), 'inner'); return layers.add().apply([inner.apply(x) as tfl.SymbolicTensor, inner.apply(conv({ filters: 3, padding: 'same' }).apply(x)) as tfl.SymbolicTensor]) as tfl.SymbolicTensor; }],
}; // prettier-ignore

describe('training: export to ONNX', () => {
  before(() => trainingBackend({ name: 'wasm' }));

  for (const [what, [shape, build]] of Object.entries(cases)) {
    it(`gives what tfjs gives, in onnxruntime-node and onnxruntime-web: ${what}`, async () => {
      const model = networkOf(shape, build);
      const exported = await exportLayers(model, '');
      assert.deepEqual(checkOnnx(exported), []);
      const [bytes, images] = [onnxBytes(exported), noise(2 * shape.reduce((a, b) => a * b), what)];
      const session = await openSession(exported, what, { threads: 1 });
      const expected = predicted(model, images);
      assert.ok(
        difference(await session.run(images), expected) < 1e-5,
        `onnxruntime-node: ${difference(await session.run(images), expected)}`,
      );
      assert.ok(difference(await onWeb(bytes, images), expected) < 1e-5, 'onnxruntime-web');
      await session.close();
    });
  }

  it('is accepted by onnx’s checker, with its inference of shapes, for all of these', async () => {
    const files = [];
    for (const [shape, build] of Object.values(cases))
      files.push(onnxBytes(await exportLayers(networkOf(shape, build), '')));
    assert.deepEqual(pythonFaults(files), Object.keys(cases).map(() => '')); // prettier-ignore
  });

  it('gives the same bytes for the same network', async () => {
    const network = encoderNetwork(32, 8);
    const [first, again] = [onnxBytes(await exportEncoder(network)), onnxBytes(await exportEncoder(network))];
    assert.deepEqual(first, again);
  });

  it('leaves heads away, and keeps no more than the embedding needs', async () => {
    const { graph } = await exportEncoder(encoderNetwork(32, 8));
    const operators = graph?.node.map(({ opType }) => opType);
    assert.deepEqual(operators, ['Cast', 'Transpose', 'Mul', 'Add', 'Conv', 'Relu', 'Conv', 'GlobalAveragePool', 'Flatten', 'Gemm', 'Mul', 'ReduceSum', 'Add', 'Sqrt', 'Div']); // prettier-ignore
    assert.deepEqual(graph?.output.map(({ name }) => name), ['embedding']); // prettier-ignore
  });

  it('names the layer that it cannot export, and the remedy', async () => {
    const refused = async (build: Build, shape = rgb): Promise<OnnxModel> => exportLayers(networkOf(shape, build), '');
    await assert.rejects(refused(chain(layers.upSampling2d({ name: 'up' }))), /cannot export layer up of the class UpSampling2D: replace it/); // prettier-ignore
    await assert.rejects(refused(chain(layers.activation({ activation: 'hardSigmoid', name: 'hard' }))), /layer hard: no ONNX form of the activation hardSigmoid .* use one of/); // prettier-ignore
    await assert.rejects(refused(chain(layers.dense({ units: 2, name: 'wide' }))), /layer wide \(Dense\) with an input of 4 axes: put a Flatten/); // prettier-ignore
    await assert.rejects(refused(chain(layers.batchNormalization({ axis: 1, name: 'rows' }))), /layer rows .* with axis 1: normalise along the last axis/); // prettier-ignore
    await assert.rejects(refused(chain(layers.maxPooling2d({ dataFormat: 'channelsFirst', name: 'first' })), [3, 8, 8]), /layer first .* with bands first: build it with bands last/); // prettier-ignore
  });

  it('refuses networks that are no encoders', async () => {
    const encoder = (build: Build, shape: number[] = rgb): Promise<OnnxModel> => exportEncoder(networkOf(shape, build));
    await assert.rejects(encoder(chain(layers.flatten()), [8, 8, 4]), /takes \[n, 8, 8, 4\]: expected one input of images \[n, size, size, 3\]/); // prettier-ignore
    await assert.rejects(encoder(chain(conv())), /requires an embedding of two axes, got 11 × 8 × 5 an image: pool it/);
    const network = encoderNetwork(32, 8);
    await assert.rejects(exportEncoder(network, { output: 'other' }), /has no output other, only embedding, probabilities: name/); // prettier-ignore
  });
});
