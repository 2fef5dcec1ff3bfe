import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { type Seat, trainingBackend } from 'imagesim/training';
import { freshState } from '../../kernel-lib/dist/training/checkpoint.js'; // what is built, for members are started from there
import { type LossName, targetsOf, totalLoss } from '../../kernel-lib/dist/training/losses.js';
import { type Shard, openReplica, setWeightValues, weightValues } from '../../kernel-lib/dist/training/replica.js';
import { type Batch, trainStep } from '../../kernel-lib/dist/training/step.js';
import { type Team, openTeam } from '../../kernel-lib/dist/training/team.js';
import { networkOf, chain } from './networks.ts';
import { near, wave } from './near.ts';

const { layers } = tfl;
const [n, width, classes] = [12, 6, 3];
const features = wave(n * width, 1.3);
const labels = Float32Array.from({ length: n * classes }, (_, i) =>
  i % 11 === 3 ? NaN : Number(Math.cos(0.9 * i) > 0.3),
);
const targets = targetsOf({
  labels, weights: new Float32Array(n).map((_, i) => 0.5 + (i % 3)), classWeights: Float32Array.of(1, 2, 0.5), rarity: Float32Array.of(1, 2, 3),
  places: Array.from({ length: n }, (_, i) => i >> 1),
}); // prettier-ignore
const settings = (losses: Partial<Record<LossName, number>>): Parameters<typeof trainStep>[3] =>
  ({ losses, temperature: 0.1, margin: 0.3, decay: 0 }) as Parameters<typeof trainStep>[3];

const seat = (kind: Seat['kind'], backend: Seat['backend']): Seat => ({ kind, backend, env: {} });

/** A head without batch statistics: features to embeddings, logits, and projections. */
function head(): tfl.LayersModel {
  const input = tfl.input({ shape: [width] });
  const hidden = layers.dense({ units: 7, activation: 'tanh' }).apply(input);
  const normal = layers.layerNormalization({ trainable: false, epsilon: 1e-9 }).apply(hidden);
  const embedding = layers.rescaling({ scale: 1 / Math.sqrt(7) }).apply(normal) as tfl.SymbolicTensor;
  const [logits, projections] = [classes, 5].map(
    (units) => layers.dense({ units }).apply(embedding) as tfl.SymbolicTensor,
  );
  const model = tfl.model({ inputs: input, outputs: [embedding, logits, projections] });
  tf.tidy(() => {
    for (const weight of model.trainableWeights)
      weight.write(tf.tensor(wave(tf.util.sizeFromShape(weight.shape as number[]), 0.7), weight.shape as number[]));
  });
  return model;
}

const topologyOf = (model: tfl.LayersModel): string => JSON.stringify(model.toJSON(null, false));

/** The batch in shards of so many rows. */
function batchOf(sizes: number[]): Batch {
  let at = 0;
  const shards = sizes.map((size): Shard => ({ features: features.slice(at * width, (at += size) * width), width }));
  return { shards, sizes, targets };
}

/** The gradient that a step takes, read from Adam's first moment. */
async function gradientOf(
  team: Team,
  model: tfl.LayersModel,
  batch: Batch,
  losses: Partial<Record<LossName, number>>,
): Promise<{ loss: number; gradient: number[] }> {
  const weights = await weightValues(model);
  const trained = model.trainableWeights.reduce((sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]), 0);
  const state = freshState(weights, trained);
  const loss = await trainStep(team, state, batch, settings(losses), {
    learningRate: 0,
    decays: new Uint8Array(trained),
    fresh: false,
  });
  return { loss, gradient: Array.from(state.adam.first, (value) => value / (1 - 0.9)) };
}

/** The same by tfjs alone, of the batch as a whole. */
async function wholeGradient(
  model: tfl.LayersModel,
  losses: Partial<Record<LossName, number>>,
): Promise<{ loss: number; gradient: number[] }> {
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(() => {
      const [embeddings, logits, projections] = model.apply(tf.tensor2d(features, [n, width])) as tf.Tensor2D[];
      return totalLoss({ embeddings, logits, projections }, targets, settings(losses));
    }, variables),
  );
  const gradient = variables.flatMap(({ name, size }) => [...(grads[name]?.dataSync() ?? new Float32Array(size))]);
  return { loss: value.dataSync()[0], gradient };
}

describe('training: team', () => {
  let model: tfl.LayersModel;
  let threads: Team;
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    model = head();
    threads = await openTeam([seat('thread', 'wasm'), seat('thread', 'wasm')], topologyOf(model));
  });
  after(() => threads.close());

  const losses: Partial<Record<LossName, number>>[] = [
    { entropy: 1 }, { contrastive: 1 }, { triplet: 1 }, { simclr: 1 }, { vicreg: 1 }, { entropy: 0.5, contrastive: 2, triplet: 1, simclr: 0.3, vicreg: 0.1 },
  ]; // prettier-ignore
  for (const some of losses) {
    it(`takes of a batch cut into shards the gradient of the whole, as tfjs differentiates it: ${Object.keys(some).join()}`, async () => {
      const whole = await wholeGradient(model, some);
      const largest = Math.max(...whole.gradient.map(Math.abs));
      for (const sizes of [[12], [6, 6], [2, 4, 6]]) {
        const { loss, gradient } = await gradientOf(threads, model, batchOf(sizes), some);
        near([loss], [whole.loss], 1e-5);
        near(gradient, whole.gradient, 1e-4, largest);
      }
    });
  }

  describe('in processes of their own', () => {
    let plain: Team;
    before(async () => (plain = await openTeam([seat('process', 'cpu'), seat('process', 'cpu')], topologyOf(model))));
    after(() => plain.close());

    it('comes to the same gradients, on plain JavaScript and on wasm', async () => {
      const some = { entropy: 1, contrastive: 1 };
      const expected = await gradientOf(threads, model, batchOf([6, 6]), some);
      const found = await gradientOf(plain, model, batchOf([6, 6]), some);
      near(found.gradient, expected.gradient, 1e-4, Math.max(...expected.gradient.map(Math.abs)));
      const team = await openTeam([seat('process', 'wasm')], topologyOf(model));
      try {
        assert.deepEqual(await gradientOf(team, model, batchOf([6, 6]), some), expected);
      } finally {
        await team.close();
      }
    });

    it('leaves none behind when it is closed, and names one that is killed', async () => {
      const children = (): string[] =>
        execFileSync('ps', ['--ppid', `${process.pid}`, '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n').filter((line) => line.includes('member.js')).map((line) => line.trim().split(' ')[0]); // prettier-ignore
      const [first, ...others] = children();
      assert.equal(others.length, 1);
      const asked = plain.outputs(batchOf([6, 6]).shards, false);
      process.kill(Number(first), 'SIGKILL');
      await asked.catch(() => undefined); // it may have answered before
      const named = /^Error: training member [12] of 2 \(cpu, a process\) ended: SIGKILL; give it a smaller batch/;
      await assert.rejects(plain.outputs(batchOf([6, 6]).shards, false), named);
      await assert.rejects(plain.setWeights(new Float32Array(1)), named, 'and again, whatever is asked');
      await plain.close();
      assert.deepEqual(children(), []);
    });
  });

  it('takes again the idle threads of a team that was closed, for two seconds, and gives their memory back', async () => {
    const begun: Worker[] = [];
    const onWorker = (worker: Worker): number => begun.push(worker);
    await pause(2500); // what other tests have left is gone
    process.on('worker', onWorker);
    try {
      const open = (): Promise<Team> => openTeam([seat('thread', 'wasm')], topologyOf(model));
      const [batch, some] = [batchOf([6, 6]), { contrastive: 1 }];
      const first = await open();
      const expected = await gradientOf(first, model, batch, some);
      await first.close();
      await assert.rejects(first.setWeights(new Float32Array(1)), /training member 1 of 1 .* has left its team/);
      const second = await open();
      assert.deepEqual(await gradientOf(second, model, batch, some), expected);
      assert.equal(begun.length, 1);
      const asked = second.outputs(batch.shards, false);
      await second.close(); // busy: it is ended
      await asked.catch(() => undefined);
      const third = await open();
      assert.equal(begun.length, 2);
      await third.close();
      assert.ok(begun[1].threadId > 0);
      await pause(2500);
      assert.deepEqual(begun.map(({ threadId }) => threadId), [-1, -1]); // prettier-ignore
    } finally {
      process.off('worker', onWorker);
    }
    const { numTensors } = tf.memory();
    const replica = await openReplica(topologyOf(model));
    replica.setWeights(await weightValues(model));
    await replica.gradients(batchOf([12]).shards[0], { outputs: [n * 7, n * classes, n * 5].map((count) => wave(count, 1)) }); // prettier-ignore
    replica.dispose();
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it('says which member failed, and why, when a network cannot be built there', async () => {
    await assert.rejects(openTeam([seat('thread', 'cpu')], '{"class_name":"Model"}'), /^Error: training member 1 of 1 \(cpu, a thread\): /); // prettier-ignore
  });

  it('says which member failed when its backend is missing there', async () => {
    await assert.rejects(
      openTeam([seat('process', 'tensorflow-gpu')], topologyOf(model)),
      /^Error: training member 1 of 1 \(tensorflow-gpu, a process\): .*no tensorflow-gpu backend/,
    );
  });

  it('gives each shard the batch statistics that it would have alone, and the step their mean by images', async () => {
    const { outputs: [made], inputs } = networkOf([4, 4, 3], chain(
      layers.conv2d({ filters: 2, kernelSize: 3, name: 'convolution' }), layers.batchNormalization({ momentum: 0.5, name: 'norm' }), layers.globalAveragePooling2d({ name: 'mean' }),
    )); // prettier-ignore
    const network = tfl.model({ inputs, outputs: [made, layers.dense({ units: classes, name: 'logits' }).apply(made) as tfl.SymbolicTensor] }); // prettier-ignore
    const images = Uint8Array.from({ length: n * 48 }, (_, i) => (i * 37) % 251);
    const shards = [[0, 4], [4, 12]].map(([from, to]): Shard => ({ images: images.slice(from * 48, to * 48), size: 4, seed: '' })); // prettier-ignore
    const team = await openTeam([seat('thread', 'wasm')], topologyOf(network));
    try {
      const weights = await weightValues(network);
      const trained = network.trainableWeights.reduce(
        (sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]),
        0,
      );
      const state = freshState(weights.slice(), trained);
      await trainStep(team, state, { shards, sizes: [4, 8], targets }, settings({ entropy: 1 }), { learningRate: 0, decays: new Uint8Array(trained), fresh: false }); // prettier-ignore
      // the same by tfjs here: each shard from the weights before, then the mean
      const alone: Float32Array[] = [];
      for (const shard of shards) {
        setWeightValues(network, weights);
        tf.tidy(() => {
          const pixels = 'images' in shard ? Float32Array.from(shard.images) : new Float32Array(0);
          network.apply(tf.tensor4d(pixels, [pixels.length / 48, 4, 4, 3]), { training: true });
        });
        alone.push((await weightValues(network)).subarray(trained));
      }
      near(
        state.weights.subarray(trained),
        Array.from(alone[0], (value, i) => (4 * value + 8 * alone[1][i]) / 12),
        1e-5,
      );
      assert.notDeepEqual(alone[0], alone[1]);
    } finally {
      await team.close();
    }
  });
});
