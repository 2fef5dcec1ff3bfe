/** Batches of an epoch, made ready while the one before them is computed. */
import type { Inputs } from './inputs.ts';
import type { Network } from './network.ts';
import type { Batch } from './step.ts';
import { rarityOf, targetsOf } from './losses.ts';
import { balancedRows, batchesOf, evenly, groupsOf, randomFor, withPartners } from './sampler.ts';
import type { Settings, TrainingSet } from './settings.ts';

/** Rows of `width` values, in the order of `rows`. */
export function gathered(values: Float32Array, rows: Uint32Array, width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) out.set(values.subarray(row * width, (row + 1) * width), i * width);
  return out;
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
  const known = new Map<string, number>();
  const placeOf = (row: number): number => {
    const name = set.places?.[row] ?? `${row}`;
    const found = known.get(name);
    if (found === undefined) known.set(name, row);
    return found ?? row;
  };
  const places = Float64Array.from({ length: n }, (_, row) => placeOf(row));
  return {
    batchesOf(epoch) {
      const random = randomFor(seed, `epoch ${epoch}`);
      const order = balancedRows(groups, n, balance, random);
      const rows = views === 2 ? withPartners(order, set.places, random) : order;
      return views === 2 ? evenly(rows, Math.ceil(rows.length / batchSize), 2) : batchesOf(rows, batchSize);
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
