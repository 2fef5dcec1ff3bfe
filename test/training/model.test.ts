import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  type Backbone,
  type ModelFacts,
  type Network,
  type NetworkOptions,
  buildNetwork,
  checkOnnx,
  encode,
  loadModel,
  openBackbone,
  openEncoder,
  readOnnx,
  saveModel,
  train,
  trainingBackend,
} from 'imagesim/training';
import { chain, difference, networkOf, onWeb, saveLayers } from './networks.ts';
import { texturedScenes } from './scenes.ts';

const facts: ModelFacts = {
  name: 'scenes',
  version: '1',
  datasetVersion: 'scenes@1a2b3c',
  backend: 'wasm',
  settings: { losses: { entropy: 1, triplet: 0.5 }, epochs: 2, ranges: false },
  metrics: { mAP: { value: 0.87, low: 0.8, high: 0.9 }, chips: 16 },
  curve: [{ epoch: 1, loss: 0.7, validationMap: 0.5, seconds: 2, imagesPerSecond: 8 }],
  licences: [{ source: 'OpenStreetMap', licence: 'ODbL 1.0', attribution: '© OpenStreetMap contributors' }],
};
const size = 32;
const classes = ['a', 'b', 'c', 'd'];
const { images, labels } = texturedScenes(16, size, 'model');

/**
 * What plain tfjs makes of a model folder, in a process that knows nothing of ours.
 *
 * @param input name of a file of float32 values, and their shape
 */
function plainTfjs(folder: string, input: string, shape: number[]): Float32Array {
  const program = `
    import * as tf from '@tensorflow/tfjs';
    import { readFileSync, writeFileSync } from 'node:fs';
    const bytes = (name) => Uint8Array.from(readFileSync(name)).buffer;
    const [folder, input, shape] = process.argv.slice(1);
    const { modelTopology, weightsManifest: [{ weights }] } = JSON.parse(readFileSync(folder + '/model.json', 'utf8'));
    const model = await tf.loadLayersModel({ load: async () => ({ modelTopology, weightSpecs: weights, weightData: bytes(folder + '/weights.bin') }) });
    const [embeddings] = model.predict(tf.tensor(new Float32Array(bytes(input)), JSON.parse(shape)));
    writeFileSync(input + '.out', new Uint8Array(embeddings.dataSync().slice().buffer));`;
  const words = ['--input-type=module', '-e', program, folder, input, JSON.stringify(shape)];
  execFileSync(process.execPath, words, {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const out = execFileSync('cat', [`${input}.out`]);
  return new Float32Array(Uint8Array.from(out).buffer);
}

describe('training: model folder', () => {
  let root: string;
  let folder: string;
  let network: Network;
  let backbone: Backbone;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'imagesim-model-'));
    await trainingBackend({ name: 'wasm' });
    const body = chain(tfl.layers.conv2d({ filters: 20, kernelSize: 5, strides: 2, activation: 'relu' }));
    const path = await saveLayers(join(root, 'backbone'), networkOf([size, size, 3], body, 'model'));
    backbone = await openBackbone(path, { pixels: { scale: 1, offset: 0 } });
    network = await buildNetwork({ inputSize: size, classes, widths: [8, 16, 32], embeddingWidth: 24 });
    await train(network, { images, labels }, { epochs: 2, batchSize: 8 });
  });
  beforeEach(async () => {
    folder = join(root, 'models', 'scenes', '1');
    await rm(folder, { recursive: true, force: true });
    await saveModel(folder, network, facts);
  });
  after(async () => {
    await backbone.close();
    await rm(root, { recursive: true, force: true });
  });

  it('brings back the same network: embeddings identical, card complete', async () => {
    const { network: loaded, card } = await loadModel(folder);
    assert.deepEqual(await encode(loaded, images), await encode(network, images));
    const { files, architecture, ...rest } = card;
    assert.deepEqual(rest, {
      ...facts, format: 2, inputSize: size, classes, embeddingWidth: 24, body: { kind: 'convolutions', widths: [8, 16, 32] }, seed: 1, parameters: network.parameters,
    }); // prettier-ignore
    assert.match(architecture, /^32 × 32 RGB; 3 strided 3 × 3 convolutions \(8, 16, 32\).*; dense 24, unit length; 4 sigmoid heads$/); // prettier-ignore
    for (const [name, { bytes }] of Object.entries(files)) assert.equal((await readFile(join(folder, name))).length, bytes); // prettier-ignore
    assert.deepEqual(
      [loaded.inputSize, loaded.classes, loaded.parameters],
      [network.inputSize, network.classes, network.parameters],
    );
    loaded.dispose();
  });

  const kinds: [string, () => Partial<NetworkOptions>][] = [
    ['from scratch', () => ({ widths: [8, 16] })],
    ['a head on a frozen network', () => ({ backbone, hidden: 12 })],
    ['a network trained further', () => ({ backbone, tune: true })],
  ];
  for (const [kind, options] of kinds) {
    it(`gives the same embeddings in plain tfjs, onnxruntime-node and onnxruntime-web, to 1e-5: ${kind}`, async () => {
      const made = await buildNetwork({ inputSize: size, classes, embeddingWidth: 24, ...options() });
      await train(made, { images, labels }, { epochs: 2, batchSize: 8 });
      const place = join(root, 'models', kind);
      await saveModel(place, made, facts);
      const expected = await encode(made, images);
      const isHead = made.body.kind === 'frozen';
      const input = isHead ? await backbone.features(images) : Float32Array.from(images);
      await writeFile(join(root, 'input'), new Uint8Array(input.buffer, 0, input.byteLength));
      const plain = plainTfjs(place, join(root, 'input'), isHead ? [16, 20] : [16, size, size, 3]);
      assert.ok(difference(plain, expected) < 1e-5, `tfjs: ${difference(plain, expected)}`);
      const path = join(place, 'encoder.onnx');
      assert.deepEqual(checkOnnx(await readOnnx(path)), []);
      const encoder = await openEncoder(path);
      assert.deepEqual([encoder.inputSize, encoder.width], [size, 24]);
      const inNode = await encoder.encode(images);
      await encoder.close();
      assert.ok(difference(inNode, expected) < 1e-5, `onnxruntime-node: ${difference(inNode, expected)}`);
      const inWeb = await onWeb(await readFile(path), images);
      assert.ok(difference(inWeb, expected) < 1e-5, `onnxruntime-web: ${difference(inWeb, expected)}`);
      const { network: loaded } = await loadModel(place, isHead ? backbone : undefined);
      assert.deepEqual(await encode(loaded, images), expected);
      assert.deepEqual(loaded.body, made.body);
      loaded.dispose();
      made.dispose();
    });
  }

  it('leaves a figure out of the card that is NaN, and keeps the others', async () => {
    const metrics = { 'test mAP': NaN, rare: { value: NaN, low: NaN, high: NaN }, loss: 0.5 };
    await saveModel(folder, network, { ...facts, metrics });
    assert.deepEqual((await loadModel(folder)).card.metrics, { loss: 0.5 });
  });

  it('holds four files, and no file or folder beside it is left over', async () => {
    assert.deepEqual((await readdir(folder)).sort(), ['card.json', 'encoder.onnx', 'model.json', 'weights.bin']);
    assert.ok((await readdir(join(root, 'models', 'scenes'))).every((name) => name === '1'));
    const json = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')) as {
      format: string;
      weightsManifest: { paths: string[] }[];
    };
    assert.equal(json.format, 'layers-model');
    assert.deepEqual(json.weightsManifest[0].paths, ['weights.bin']);
  });

  it('goes on training after it was loaded', async () => {
    const { network: loaded } = await loadModel(folder);
    const [entry] = await train(loaded, { images, labels }, { epochs: 1, batchSize: 8 });
    assert.ok(entry.loss > 0);
    assert.notDeepEqual(await encode(loaded, images), await encode(network, images));
    loaded.dispose();
  });

  it('is replaced whole by the next one, its training log apart', async () => {
    await writeFile(join(folder, 'training-log.jsonl'), '{"epoch":1}\n');
    await writeFile(join(folder, 'group1-shard1of1.bin'), 'of the older network');
    await saveModel(folder, network, { ...facts, version: '2' });
    assert.deepEqual((await readdir(folder)).sort(), ['card.json', 'encoder.onnx', 'model.json', 'training-log.jsonl', 'weights.bin']); // prettier-ignore
    assert.equal((await loadModel(folder)).card.version, '2');
  });

  it('gives the same embeddings on wasm and on plain JavaScript, to 1e-5', async () => {
    const onWasm = await encode(network, images);
    try {
      assert.equal((await trainingBackend({ name: 'cpu' })).name, 'cpu');
      const { network: loaded } = await loadModel(folder);
      const worst = difference(await encode(loaded, images), onWasm);
      assert.ok(worst > 0 && worst < 1e-5, `worst difference ${worst}`); // zero would mean the same backend twice
      loaded.dispose();
    } finally {
      await trainingBackend({ name: 'wasm' });
    }
  });

  for (const name of ['card.json', 'model.json', 'weights.bin']) {
    it(`names ${name} when it is missing or damaged, in one line`, async () => {
      const path = join(folder, name);
      const bytes = await readFile(path);
      const fails = async (pattern: RegExp): Promise<void> => {
        const error = await loadModel(folder).then(() => assert.fail('it loaded'), (reason: Error) => reason); // prettier-ignore
        assert.ok(error.message.includes(path) && !error.message.includes('\n'), error.message);
        assert.match(error.message, pattern);
      };
      await writeFile(path, bytes.subarray(0, bytes.length >> 1));
      await fails(name === 'card.json' ? /is not JSON/ : /has \d+ bytes where card\.json says \d+/);
      await writeFile(
        path,
        bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 1 : byte)),
      );
      if (name !== 'card.json') await fails(/sha256 differs/);
      await rm(path);
      await fails(/ENOENT/);
    });
  }

  it('names encoder.onnx when it is missing or cut short', async () => {
    const path = join(folder, 'encoder.onnx');
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length >> 1));
    await assert.rejects(openEncoder(path), /encoder\.onnx/);
    await rm(path);
    await assert.rejects(openEncoder(path), /cannot read .*encoder\.onnx: ENOENT; export the encoder again/);
  });

  it('names the field of a card that is wrong', async () => {
    const path = join(folder, 'card.json');
    const card = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...card, embeddingWidth: 'wide' }));
    await assert.rejects(loadModel(folder), /card\.json: embeddingWidth: .*expected number/);
    await writeFile(path, JSON.stringify({ ...card, format: 1 }));
    await assert.rejects(loadModel(folder), /card\.json: format: it is of another version of imagesim; save the model again/); // prettier-ignore
  });

  it('leaves what is there untouched when the folder cannot be written', async () => {
    const before = await readFile(join(folder, 'card.json'), 'utf8');
    const inAFile = join(folder, 'card.json', 'below');
    await assert.rejects(saveModel(inAFile, network, facts), /^Error: cannot write the folder .*below: ENOTDIR/);
    assert.equal(await readFile(join(folder, 'card.json'), 'utf8'), before);
    await mkdir(join(root, 'empty'), { recursive: true });
    await assert.rejects(loadModel(join(root, 'empty')), /cannot read .*empty\/card\.json: ENOENT/);
  });
});
