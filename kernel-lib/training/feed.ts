/** Batches of an epoch, made ready while the one before them is computed. */
import type { Inputs } from './inputs.ts';
import type { Network } from './network.ts';
import type { Batch } from './step.ts';
import { rarityOf, targetsOf } from './losses.ts';
import { balancedRows, batchesOf, evenly, groupsOf, pairBatchesOf, randomFor, withPartners } from './sampler.ts';
import type { Settings, TrainingSet } from './settings.ts';

/** Rows of `width` values, in the order of `rows`. */
export function gathered(values: Float32Array, rows: Uint32Array, width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) out.set(values.subarray(row * width, (row + 1) * width), i * width);
  return out;
}

/** A number for each place, the same for images of the same: the first row that shows it. */
function placeNumbers(n: number, places: readonly string[] | undefined): Uint32Array {
  const first = new Map<string, number>();
  const numbers = Uint32Array.from({ length: n }, (_, row) => row);
  for (const [row, place] of (places ?? []).entries()) {
    const known = first.get(place);
    if (known === undefined) first.set(place, row);
    else numbers[row] = known;
  }
  return numbers;
}

/** The batches of every epoch of a run: which rows, and from a step on the batches themselves. */
export interface Feed {
  /** Batches of an epoch: the same for the same seed, whatever was drawn before. */
  batchesOf(epoch: number): Uint32Array[];
  /** A batch, ready to train on. */
  batch(rows: Uint32Array, epoch: number, step: number): Promise<Batch>;
}

/** Opens the feed of a run. */
export function feedOf(network: Network, set: TrainingSet, inputs: Inputs, settings: Settings): Feed {
  const classes = network.classes.length;
  const n = set.labels.length / classes;
  const rarity = rarityOf(set.labels, classes);
  const groups = groupsOf(set.labels, classes);
  const { seed, balance, views, batchSize, shards, classWeights } = settings;
  const places = placeNumbers(n, set.places);
  return {
    batchesOf(epoch) {
      const random = randomFor(seed, `epoch ${epoch}`);
      const order = balancedRows(groups, n, balance, random);
      return views === 2
        ? pairBatchesOf(withPartners(order, set.places, random), batchSize)
        : batchesOf(order, batchSize);
    },
    async batch(rows, epoch, step) {
      const parts = evenly(rows, shards, views);
      const made = parts.map((part, i) => inputs.varied(part, `${seed}/${epoch}/${step}/${i}`));
      const targets = targetsOf({
        labels: gathered(set.labels, rows, classes),
        weights: set.weights ? gathered(set.weights, rows, 1) : new Float32Array(rows.length).fill(1),
        classWeights,
        rarity,
        places: Array.from(rows, (row) => places[row]),
      });
      return { shards: await Promise.all(made), sizes: parts.map(({ length }) => length), targets };
    },
  };
}
