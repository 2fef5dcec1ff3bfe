import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  type Backbone,
  type Network,
  type TrainOptions,
  buildNetwork,
  encode,
  loadModel,
  openBackbone,
  retrieval,
  retrievalScores,
  saveModel,
  train,
  trainingBackend,
  unitRows,
  weightsOf,
} from 'imagesim/training';
import { chain, difference, networkOf, saveLayers } from './networks.ts';
import { textureCount, texturedScenes } from './scenes.ts';

const { layers } = tfl;
const size = 16;
const classes = Array.from({ length: textureCount }, (_, i) => `texture ${i}`);
const [seen, unseen] = [texturedScenes(48, size, 'seen'), texturedScenes(24, size, 'unseen')];
const facts = { name: 'm', version: '1', datasetVersion: 'd@1', backend: 'wasm', settings: { losses: {} }, metrics: {}, curve: [], licences: [] }; // prettier-ignore

const mapOf = (embeddings: Float32Array, width: number, { labels } = unseen): number =>
  retrievalScores(retrieval({ embeddings, width, labels, classes })).meanAveragePrecision.value;

describe('training: on a pretrained network', () => {
  let folder: string;
  let path: string;
  let backbone: Backbone;
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    folder = await mkdtemp(join(tmpdir(), 'imagesim-pretrained-'));
    const body = chain(
      layers.conv2d({ filters: 8, kernelSize: 5, strides: 2, activation: 'relu', name: 'first' }),
      layers.conv2d({ filters: 24, kernelSize: 3, activation: 'relu', name: 'second' }),
      layers.batchNormalization({ name: 'norm' }),
    );
    path = await saveLayers(join(folder, 'backbone'), networkOf([size, size, 3], body, 'pretrained'));
    backbone = await openBackbone(path, { pixels: { scale: 1, offset: 0 } });
  });
  after(async () => {
    await backbone.close();
    await rm(folder, { recursive: true });
  });
  const head = (options: object = {}): Promise<Network> =>
    buildNetwork({ classes, backbone, embeddingWidth: 12, ...options });

  it('takes its input size, and trains the head alone', async () => {
    const network = await head({ hidden: 10 });
    assert.equal(network.inputSize, size);
    assert.deepEqual(network.body, {
      kind: 'frozen',
      backbone: path,
      sha256: backbone.sha256,
      stages: false,
      width: 24,
      hidden: 10,
    });
    assert.equal(network.parameters, 25 * 10 + 11 * 12 + 13 * 4);
    network.dispose();
  });

  it('is fitted without a gradient: images with the same label come together', async () => {
    const network = await head();
    assert.deepEqual(await train(network, seen, { epochs: 0 }), []);
    const plain = unitRows(await backbone.features(seen.images), 24);
    const [fitted, features] = [mapOf(await encode(network, seen.images), 12, seen), mapOf(plain, 24, seen)];
    assert.ok(fitted > features + 0.05, `${fitted}, features ${features}`);
    network.dispose();
  });

  it('makes of features as they are what it made of scaled ones: by hand from its weights, a dense layer, the mean away, unit length', async () => {
    const network = await head();
    await train(network, seen, { epochs: 1, batchSize: 16 });
    const [kernel, bias] = (await weightsOf(network)).map(({ values }) => values);
    const features = await backbone.features(unseen.images);
    const expected = new Float32Array(24 * 12);
    for (let i = 0; i < 24; i++) {
      const row = Array.from(bias, (offset, k) => offset + features.subarray(24 * i, 24 * i + 24).reduce((sum, value, j) => sum + value * kernel[12 * j + k], 0)); // prettier-ignore
      const mean = row.reduce((sum, value) => sum + value, 0) / 12;
      const length = Math.hypot(...row.map((value) => value - mean));
      expected.set(row.map((value) => (value - mean) / length), 12 * i); // prettier-ignore
    }
    const worst = difference(await encode(network, unseen.images), expected);
    assert.ok(worst < 1e-3, `${worst}`); // in single precision the scale does not come out to the last digits
    network.dispose();
  });

  it('scores validation by the embeddings that it encodes to', async () => {
    const network = await head({ hidden: 16 });
    const log = await train(network, seen, { epochs: 4, batchSize: 16, validation: unseen });
    const best = Math.max(...log.map(({ validationMap }) => validationMap!));
    assert.ok(Math.abs(mapOf(await encode(network, unseen.images), 12) - best) < 0.01);
    assert.ok(best > log[0].validationMap! || log[0].validationMap! > 0.5);
    network.dispose();
  });

  it('goes on from what a head has learnt, on another set too, loaded or not', async () => {
    const network = await head();
    await train(network, seen, { epochs: 2, batchSize: 16 });
    const learnt = await encode(network, unseen.images);
    await saveModel(join(folder, 'head'), network, facts);
    const { network: loaded } = await loadModel(join(folder, 'head'), backbone);
    for (const one of [network, loaded]) {
      await train(one, unseen, { epochs: 1, learningRate: 1e-9 });
      assert.ok(difference(await encode(one, unseen.images), learnt) < 1e-3, 'no fit, and the scale taken out again');
      await train(one, unseen, { epochs: 1, learningRate: 0.01 });
      assert.ok(difference(await encode(one, unseen.images), learnt) > 1e-2);
      one.dispose();
    }
  });

  it('is left as it was by an abort, and taken on to the last bit of a run without a break', async () => {
    const checkpointPath = join(folder, 'checkpoint.bin');
    const options: TrainOptions = { epochs: 3, batchSize: 16, validation: unseen };
    const whole = await head();
    await train(whole, seen, options);
    const network = await head();
    const before = await weightsOf(network);
    const controller = new AbortController();
    const onProgress: TrainOptions['onProgress'] = ({ note = '' }) => note.startsWith('epoch 2, batch 1') && controller.abort(); // prettier-ignore
    await assert.rejects(train(network, seen, { ...options, checkpointPath, signal: controller.signal, onProgress }), { name: 'AbortError' }); // prettier-ignore
    assert.deepEqual(await weightsOf(network), before);
    await train(network, seen, { ...options, checkpointPath });
    assert.deepEqual(await weightsOf(network), await weightsOf(whole));
    whole.dispose();
    network.dispose();
  });

  it('is left as it was where the checkpoint is damaged', async () => {
    const network = await head();
    await train(network, seen, { epochs: 1 });
    const before = await encode(network, unseen.images);
    const damaged = { epochs: 1, checkpointPath: join(path) }; // model.json is no checkpoint
    await assert.rejects(train(network, seen, damaged), /model\.json is no whole checkpoint/);
    assert.deepEqual(await encode(network, unseen.images), before);
    network.dispose();
  });

  it('sees the first view of each image as it is, and others varied, the same for the same seed', async () => {
    const of = async (options: TrainOptions): Promise<Float32Array> => {
      const network = await head();
      await train(network, seen, { epochs: 1, ...options });
      const embeddings = await encode(network, unseen.images);
      network.dispose();
      return embeddings;
    };
    assert.deepEqual(await of({ featureViews: 1 }), await of({ augmentation: false }));
    assert.deepEqual(await of({ featureViews: 3 }), await of({ featureViews: 3 }));
    assert.notDeepEqual(await of({ featureViews: 3 }), await of({ featureViews: 1 }));
  });

  it('says what is missing where a model is loaded without the network that it stands on, or with another', async () => {
    const network = await head();
    await saveModel(join(folder, 'alone'), network, facts);
    const { network: loaded } = await loadModel(join(folder, 'alone'));
    const missing = /the network stands on .*model\.json, which is not open: open it with openBackbone, and load the model with it/; // prettier-ignore
    await assert.rejects(encode(loaded, unseen.images), missing);
    await assert.rejects(train(loaded, seen), missing);
    await assert.rejects(saveModel(join(folder, 'again'), loaded, facts), missing);
    await saveLayers(join(folder, 'other'), networkOf([size, size, 3], chain(layers.conv2d({ filters: 24, kernelSize: 3 })))); // prettier-ignore
    const other = await openBackbone(join(folder, 'other'));
    await assert.rejects(loadModel(join(folder, 'alone'), other), /card\.json: the model stands on .*model\.json \(SHA-256 [0-9a-f]{64}\), not on .*other/); // prettier-ignore
    await other.close();
  });

  it('is trained further, all of it, where that is asked for, and its file stays as it is', async () => {
    const { engine } = await import('@tensorflow/tfjs-core');
    const { numTensors } = engine().memory();
    const bytes = await readFile(path);
    const network = await head({ tune: true });
    const before = await weightsOf(network);
    const log = await train(network, seen, { epochs: 4, batchSize: 16, validation: unseen, members: 2 });
    const after = await weightsOf(network);
    assert.deepEqual(network.body, { kind: 'tuned', backbone: path, sha256: backbone.sha256, scale: 1, offset: 0 });
    for (const name of ['first/kernel', 'second/kernel', 'norm/gamma', 'norm/moving_mean', 'projection/kernel', 'logits/kernel']) {
      const [a, b] = [before, after].map((all) => all.find((weight) => weight.name === name)!);
      assert.notDeepEqual(a.values, b.values, name);
    } // prettier-ignore
    assert.ok(log[3].loss < log[0].loss);
    assert.deepEqual(await readFile(path), bytes);
    network.dispose();
    assert.equal(engine().memory().numTensors, numTensors, 'disposed of with all its layers');
  });

  it('comes to the same weights with one member and with two where it is trained further', async () => {
    const runs = [];
    for (const members of [1, 2]) {
      const network = await head({ tune: true });
      await train(network, seen, { epochs: 1, batchSize: 16, members });
      runs.push(await weightsOf(network));
      network.dispose();
    }
    assert.deepEqual(runs[0], runs[1]);
  });

  it('refuses what cannot be: another size, a file that cannot be trained further, hidden units of no number', async () => {
    await assert.rejects(head({ inputSize: 32 }), /takes images of 16 pixels, buildNetwork got 32/);
    await assert.rejects(head({ hidden: -1 }), /a whole number of hidden units, 0 or more, got -1/);
    const bands = await openBackbone(path, { pixels: { mean: [0, 0, 0], std: [1, 1, 1] } });
    await assert.rejects(head({ backbone: bands, tune: true }), /takes each band by a mean of its own: use it frozen/);
    await assert.rejects(
      head({ backbone: { ...backbone, kind: 'onnx', path: 'net.onnx' }, tune: true }),
      /net\.onnx is an ONNX file: it can be used frozen; to train it further give a tfjs layers model/,
    );
    await bands.close();
  });
});
