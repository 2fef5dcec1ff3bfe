/** One step of training: a batch's shards at the team's members, their gradients added up here, in order. */
import { adamStep } from './adam.ts';
import { BATCH_MEMORY } from './layers.ts';
import type { RunState } from './checkpoint.ts';
import { type Targets, lossGradients } from './losses.ts';
import { type Objective, type Shard, type ShardGradients, joined } from './replica.ts';
import type { Settings } from './settings.ts';
import type { Team } from './team.ts';

/** A batch on its way: images in shards, labels as one. */
export interface Batch {
  shards: Shard[];
  /** Images of each shard. */
  sizes: number[];
  targets: Targets;
}

/** How a step goes. */
export interface StepRate {
  learningRate: number;
  /** 1 for each trained weight that decays. */
  decays: Uint8Array;
  /** Whether batch statistics are still those that a network is built with: the first batch's then replace them. */
  fresh: boolean;
}

/**
 * One step of Adam on a batch; changes the state's weights.
 *
 * Where cross-entropy is the only loss each shard has its gradients at once. Other losses compare images of the whole batch:
 * the shards give their outputs, the loss and its gradient for them are computed here, and the shards go on from that
 * (gradient caching), so that a batch may be larger than a member's memory.
 *
 * The sum of the shards is taken in their order, so that it does not depend on how many members there are.
 *
 * @returns the batch's loss before the step; NaN where the step has left a weight that is no number
 * @see Gao et al. 2021, Scaling deep contrastive learning batch size, arXiv:2101.06983
 */
export async function trainStep(
  team: Team,
  state: RunState,
  batch: Batch,
  settings: Settings,
  { learningRate, decays, fresh }: StepRate,
): Promise<number> {
  await team.setWeights(state.weights);
  const { loss, objectives } = await objectivesOf(team, batch, settings);
  const parts = await team.gradients(batch.shards, objectives);
  const total = loss ?? parts.reduce((sum, part) => sum + part.loss, 0);
  if (!Number.isFinite(total)) return total; // nothing is learnt from it
  const trained = state.weights.subarray(0, decays.length);
  const gradients = summed(parts.map((part) => part.gradients));
  const isSound = adamStep(trained, gradients, decays, state.adam, { learningRate, decay: settings.decay });
  const statistics = meanStatistics(parts, batch.sizes);
  const before = state.weights.subarray(decays.length);
  if (fresh) for (let k = 0; k < before.length; k++) statistics[k] = before[k] + (statistics[k] - before[k]) / (1 - BATCH_MEMORY); // prettier-ignore
  before.set(statistics);
  return isSound ? total : Number.NaN;
}

async function objectivesOf(
  team: Team,
  { shards, sizes, targets }: Batch,
  settings: Settings,
): Promise<{ loss?: number; objectives: Objective[] }> {
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const part = (values: Float32Array, i: number): Float32Array => {
    const width = values.length / targets.n;
    return values.slice(width * starts[i], width * (starts[i] + sizes[i]));
  };
  const names = Object.keys(settings.losses);
  if (names.length === 1 && names[0] === 'entropy' && settings.losses.entropy === 1) {
    const { present, counts } = targets;
    return { objectives: sizes.map((_, i) => ({ present: part(present, i), counts: part(counts, i) })) };
  }
  const outputs = await team.outputs(shards, true);
  const whole = outputs[0].map((_, output) => joined(outputs.map((shard) => shard[output])));
  const { loss, gradients } = await lossGradients(whole, targets, settings);
  return { loss, objectives: sizes.map((_, i) => ({ outputs: gradients.map((values) => part(values, i)) })) };
}

function summed([first, ...others]: readonly Float32Array[]): Float32Array {
  for (const other of others) for (let i = 0; i < first.length; i++) first[i] += other[i];
  return first;
}

/** Batch statistics after the step: the shards' own, each by its share of the images. */
function meanStatistics(parts: readonly ShardGradients[], sizes: readonly number[]): Float32Array {
  const images = sizes.reduce((sum, size) => sum + size, 0);
  const mean = new Float64Array(parts[0].statistics.length);
  for (const [i, { statistics }] of parts.entries())
    for (let k = 0; k < mean.length; k++) mean[k] += (statistics[k] * sizes[i]) / images;
  return Float32Array.from(mean);
}
