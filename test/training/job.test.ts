import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chipTiles, readChips } from 'imagesim/chips';
import { makeDataset } from 'imagesim/datasets';
import { chipTags, proposeSchema, tagAtlas } from 'imagesim/statistics';
import {
  type JobStatus, type ModelOptions, type ModelPlace, type TrainingJob,
  compareModels, followTraining, loadModel, modelPlace, pixelScale, startTraining, stopTraining, trainModel, trainingStatus,
} from 'imagesim/training'; // prettier-ignore
import { mappedSample } from '../delivery.ts';

const options: ModelOptions = {
  dataset: 'sample',
  size: 16,
  widths: [8, 16],
  epochs: 2,
  embeddingWidth: 16,
  members: 1,
}; // one thread starts sooner
const EPOCHS = 14; // of a job: enough that it is still at work when it is stopped or killed

/** Waits until a job has come so far. */
async function until(place: ModelPlace, isSo: (status: JobStatus) => boolean): Promise<JobStatus> {
  for (;;) {
    const status = await trainingStatus(place);
    if (isSo(status) || status.state === 'failed') return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('training: from a dataset version to a model version', () => {
  let folder: string;
  before(async () => {
    folder = await mappedSample();
    const all = await readChips((await chipTiles({ dataPath: folder, zone: 33 })).chipDir);
    const chips = all.filter((_, i) => i % 3 === 0);
    const ids = new Set(chips.map(({ id }) => id));
    const { rows: tags } = await chipTags(folder, 33, { only: ids });
    const schema = proposeSchema(tagAtlas(tags, ids.size).filter((row) => row.chips > 5));
    await makeDataset(folder, { name: 'sample', zone: 33, chips, tags, schema, split: { blockZoom: 16 } });
  });

  it('makes a model with its scores, beside those of a colour histogram, and names the classes left out', async () => {
    const left: string[] = [];
    const {
      card,
      network,
      folder: made,
    } = await trainModel(folder, {
      ...options,
      onLeft: (classes) => left.push(...classes.map(({ label }) => label)),
    });
    assert.ok(card.classes.length > 5 && left.every((label) => !card.classes.includes(label)));
    assert.match(card.datasetVersion, /^sample@[0-9a-f]{12}$/);
    assert.equal(card.curve.length, 2);
    assert.deepEqual(card.settings.losses, { entropy: 1, contrastive: 0.3 });
    for (const name of ['mAP', 'rarityWeightedMAP', 'histogramMAP']) {
      const { value, low, high } = card.metrics[name] as { value: number; low: number; high: number };
      assert.ok(low <= value && value <= high && low > 0 && high < 1, `${name}: ${low} ${value} ${high}`);
    }
    assert.ok(card.licences.some(({ licence }) => licence === 'ODbL 1.0') || card.licences.length > 0);
    assert.deepEqual((await readdir(made)).sort(), ['card.json', 'encoder.onnx', 'model.json', 'training-log.jsonl', 'weights.bin']); // prettier-ignore
    assert.equal((await readFile(join(made, '..', 'latest'), 'utf8')).trim(), card.version);
    network.dispose();
  });

  it('is the same version for the same question, and does not train it again', async () => {
    const before = await modelPlace(folder, options);
    const again = await modelPlace(folder, { ...options, members: 2, dollarsPerHour: 3 });
    assert.equal(again.version, before.version, 'what changes nothing that is learnt is not asked');
    assert.notEqual((await modelPlace(folder, { ...options, seed: 2 })).version, before.version);
    const madeAt = (await stat(join(before.folder, 'weights.bin'))).mtimeMs;
    const notes: unknown[] = [];
    const { card } = await trainModel(folder, { ...options, onProgress: (progress) => void notes.push(progress) });
    assert.equal(card.version, before.version);
    assert.equal((await stat(join(before.folder, 'weights.bin'))).mtimeMs, madeAt);
    assert.deepEqual(notes, [], 'no epoch has run');
  });

  it('names a backbone that is neither a file nor in the manifest, or not yet pulled, and pixels that it cannot read', async () => {
    await assert.rejects(trainModel(folder, { ...options, backbone: 'nowhere.onnx' }), /no backbone nowhere\.onnx: give a file, or an entry of data-manifest\.json/); // prettier-ignore
    const entry = trainModel(folder, { ...options, backbone: 'demo-ard' });
    await assert.rejects(entry, /the backbone demo-ard is not in the data folder: imagesim data pull demo-ard/);
    assert.deepEqual(pixelScale('0.0078125, -1'), { scale: 1 / 128, offset: -1 });
    assert.deepEqual(pixelScale('imagenet'), { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });
    assert.throws(() => pixelScale('-1'), /RangeError: pixels are scaled by "imagenet" or by scale,offset as 0\.0078125,-1; got -1/); // prettier-ignore
  });

  describe('as a job', () => {
    const asked = { ...options, epochs: EPOCHS, patience: 0, name: 'detached' };
    let job: TrainingJob;

    it('runs in a process of its own, which is found again instead of started twice', async () => {
      assert.equal((await trainingStatus(await modelPlace(folder, asked))).state, 'not started');
      job = await startTraining(folder, asked);
      const again = await startTraining(folder, asked);
      assert.equal(again.pid, job.pid);
      const { log } = await until(job, (status) => status.log.length >= 1);
      assert.ok(log.length >= 1 && log[0].loss > 0);
    });

    it('stops when it is asked to, and says so', async () => {
      await stopTraining(job);
      const stopped = await trainingStatus(job);
      assert.equal(stopped.state, 'interrupted');
      assert.ok(stopped.log.length < EPOCHS, `${stopped.log.length} epochs`);
      await assert.rejects(followTraining(job), /detached [0-9a-f]{12}: interrupted: start it again/);
    });

    it('goes on from there, and from its last epoch when it was killed, to the end of a run without a break', async () => {
      const losses = ({ log }: JobStatus): number[] => log.map(({ loss }) => loss);
      const stopped = await trainingStatus(job);
      job = await startTraining(folder, asked);
      await until(job, ({ log }) => log.length > stopped.log.length);
      process.kill(job.pid, 'SIGKILL');
      const killed = await until(job, ({ state }) => state !== 'running');
      assert.equal(killed.state, 'interrupted');
      job = await startTraining(folder, asked);
      const epochs: number[] = [];
      const whole = await followTraining(job, { onEpoch: (all) => epochs.push(all.length) });
      assert.equal(whole.state, 'finished');
      assert.deepEqual(whole.log.map(({ epoch }) => epoch), Array.from({ length: EPOCHS }, (_, i) => i + 1)); // prettier-ignore
      assert.ok(epochs[0] >= stopped.log.length && epochs.at(-1) === EPOCHS);
      assert.deepEqual(losses(whole).slice(0, stopped.log.length), losses(stopped));
      assert.deepEqual(losses(whole).slice(0, killed.log.length), losses(killed)); // an epoch may run again: killed before its checkpoint
      assert.equal((await loadModel(job.folder)).card.curve.length, EPOCHS);
      const { card } = await trainModel(folder, { ...asked, name: 'unbroken' });
      assert.deepEqual(losses(whole), card.curve.map(({ loss }) => loss)); // prettier-ignore
    });

    it('tells why it failed', async () => {
      const failing = await startTraining(folder, { ...options, name: 'failing', learningRate: 1e9 });
      await assert.rejects(followTraining(failing), /failing [0-9a-f]{12}: failed: train takes learningRate from 1e-9 to 10, got 1000000000/); // prettier-ignore
      await writeFile(join(failing.run, 'output.log'), '');
      await rm(join(failing.run, 'job.json'));
      assert.equal((await trainingStatus(failing)).state, 'not started');
      assert.ok(!existsSync(failing.folder));
    });
  });

  it('puts every loss beside the others and the colour histogram', async () => {
    const rows = await compareModels(folder, { ...options, epochs: 1 });
    assert.deepEqual(rows.map(({ model }) => model).sort(), ['colour histogram', 'contrastive', 'entropy', 'simclr', 'triplet', 'vicreg']); // prettier-ignore
    assert.ok(rows.every(({ mAP, low, high }) => low <= mAP && mAP <= high));
    assert.deepEqual(rows.map(({ mAP }) => mAP), rows.map(({ mAP }) => mAP).toSorted((a, b) => b - a)); // prettier-ignore
  });
});
