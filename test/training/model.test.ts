import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildNetwork,
  encode,
  loadModel,
  type ModelFacts,
  type Network,
  saveModel,
  train,
  trainingBackend,
} from 'imagesim/training';
import { texturedScenes } from './scenes.ts';

const facts: ModelFacts = {
  name: 'scenes',
  version: '1',
  datasetVersion: 'scenes-1a2b3c',
  backend: 'wasm',
  metrics: { 'validation mAP': 0.87 },
  licences: [{ source: 'OpenStreetMap', licence: 'ODbL 1.0', attribution: '© OpenStreetMap contributors' }],
};

describe('training: model folder', () => {
  let root: string;
  let folder: string;
  let network: Network;
  const { images, labels } = texturedScenes(16, 32, 'model');

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'imagesim-model-'));
    await trainingBackend({ name: 'wasm' });
    network = await buildNetwork({
      inputSize: 32,
      classes: ['a', 'b', 'c', 'd'],
      widths: [8, 16, 32],
      embeddingWidth: 24,
    });
    await train(network, { images, labels }, { epochs: 2, batchSize: 8 });
  });
  beforeEach(async () => {
    folder = join(root, 'models', 'scenes', '1');
    await rm(folder, { recursive: true, force: true });
    await saveModel(folder, network, facts);
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('brings back the same network: embeddings identical, card complete', async () => {
    const { network: loaded, card } = await loadModel(folder);
    assert.deepEqual(await encode(loaded, images), await encode(network, images));
    assert.deepEqual({ ...card, files: {} }, {
      ...facts, files: {}, inputSize: 32, classes: ['a', 'b', 'c', 'd'], embeddingWidth: 24, widths: [8, 16, 32], seed: 1, parameters: network.parameters,
      architecture: '32 × 32 RGB; 3 strided 3 × 3 convolutions (8, 16, 32), each with batch normalisation and ReLU; mean over the image; dense 24, unit length; 4 sigmoid heads',
    }); // prettier-ignore
    assert.deepEqual(
      [loaded.inputSize, loaded.classes, loaded.parameters],
      [network.inputSize, network.classes, network.parameters],
    );
  });

  it('leaves a figure out of the card that is NaN, and keeps the others', async () => {
    await saveModel(folder, network, { ...facts, metrics: { 'test mAP': Number.NaN, loss: 0.5 } });
    assert.deepEqual((await loadModel(folder)).card.metrics, { loss: 0.5 });
  });

  it('is a standard layers model, and no file or folder beside it is left over', async () => {
    assert.deepEqual((await readdir(folder)).sort(), ['card.json', 'model.json', 'weights.bin']);
    assert.deepEqual(await readdir(join(root, 'models', 'scenes')), ['1']);
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
  });

  it('is replaced whole by the next one, its training log apart', async () => {
    await writeFile(join(folder, 'training-log.jsonl'), '{"epoch":1}\n');
    await writeFile(join(folder, 'encoder.onnx'), 'of the older network');
    await saveModel(folder, network, { ...facts, version: '2' });
    assert.deepEqual((await readdir(folder)).sort(), ['card.json', 'model.json', 'training-log.jsonl', 'weights.bin']);
    assert.equal((await loadModel(folder)).card.version, '2');
  });

  it('gives the same embeddings on wasm and on plain JavaScript, to 1e-5', async () => {
    const onWasm = await encode(network, images);
    try {
      assert.equal((await trainingBackend({ name: 'cpu' })).name, 'cpu');
      const { network: loaded } = await loadModel(folder);
      const onCpu = await encode(loaded, images);
      const worst = onCpu.reduce((largest, value, i) => Math.max(largest, Math.abs(value - onWasm[i])), 0);
      assert.ok(worst > 0 && worst < 1e-5, `worst difference ${worst}`); // zero would mean the same backend twice
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

  it('names the field of a card that is wrong', async () => {
    const path = join(folder, 'card.json');
    const card = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...card, embeddingWidth: 'wide' }));
    await assert.rejects(loadModel(folder), /card\.json: embeddingWidth: .*expected number/);
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
