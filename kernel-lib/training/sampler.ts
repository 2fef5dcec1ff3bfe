/** Which images a batch holds: seeded, balanced between the classes, in pairs where views of one place are compared. */
import seedrandom from 'seedrandom';

/** A number generator of its own for each use, so that one more draw in one place changes nothing in another. */
export function randomFor(seed: number | string, use: string): () => number {
  return seedrandom.alea(`${seed}/${use}`);
}

/** The numbers `0 … n − 1` in random order (Fisher and Yates). */
export function shuffled(n: number, random: () => number): Uint32Array {
  return shuffle(Uint32Array.from({ length: n }, (_, i) => i), random); // prettier-ignore
}

function shuffle(order: Uint32Array, random: () => number): Uint32Array {
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Cuts `order` into batches of at most `batchSize`, whose sizes differ by one at most: no small last batch upsets the batch statistics. */
export function batchesOf(order: Uint32Array, batchSize: number): Uint32Array[] {
  return evenly(order, Math.ceil(order.length / batchSize), 1);
}

/** As {@link batchesOf}, for pairs that stay together. */
export function pairBatchesOf(pairs: Uint32Array, batchSize: number): Uint32Array[] {
  return evenly(pairs, Math.ceil(pairs.length / 2 / Math.floor(batchSize / 2)), 2);
}

/** Cuts `order` into `parts` of as many rows as can be, each a multiple of `step`; fewer parts where there are not so many rows. */
export function evenly(order: Uint32Array, parts: number, step: number): Uint32Array[] {
  const units = order.length / step;
  const count = Math.min(parts, units);
  const edge = (part: number): number => step * Math.floor((part * units) / count);
  return Array.from({ length: count }, (_, part) => order.subarray(edge(part), edge(part + 1)));
}

/** Rows by what they are drawn for: a class each, and last those that show none. */
export function groupsOf(labels: Float32Array, classes: number): Uint32Array[] {
  const groups: number[][] = Array.from({ length: classes + 1 }, () => []);
  for (let row = 0; row < labels.length / classes; row++) {
    let shows = false;
    for (let k = 0; k < classes; k++) {
      if (labels[row * classes + k] !== 1) continue;
      groups[k].push(row);
      shows = true;
    }
    if (!shows) groups[classes].push(row);
  }
  return groups.map((group) => Uint32Array.from(group));
}

/**
 * Rows of one epoch, as many as there are images, drawn so that rare classes come up more often than they are there.
 *
 * First a class is drawn, by the number of its images to the power `1 − balance`, then the next of its images in random
 * order. 0: each image once; 1: every class as often; between them, the square root is the usual choice.
 *
 * @param groups rows of each class, as {@link groupsOf} finds them
 * @param balance 0–1
 * @see Mahajan et al. 2018, Exploring the limits of weakly supervised pretraining, arXiv:1805.00932
 */
export function balancedRows(
  groups: readonly Uint32Array[],
  n: number,
  balance: number,
  random: () => number,
): Uint32Array {
  if (balance === 0) return shuffled(n, random);
  const queues = groups.map((group) => ({ order: shuffle(group.slice(), random), at: 0 }));
  const ends: number[] = [];
  for (const group of groups) ends.push((ends.at(-1) ?? 0) + (group.length === 0 ? 0 : group.length ** (1 - balance)));
  return Uint32Array.from({ length: n }, () => {
    const drawn = random() * ends[ends.length - 1];
    const queue = queues[ends.findIndex((end) => drawn < end)];
    if (queue.at === queue.order.length) {
      shuffle(queue.order, random);
      queue.at = 0;
    }
    return queue.order[queue.at++];
  });
}

/**
 * Each row with another view of its place beside it: the same ground at another date where there is one, else itself.
 *
 * @param places what ground each image shows; images of the same ground have the same
 */
export function withPartners(
  rows: Uint32Array,
  places: readonly string[] | undefined,
  random: () => number,
): Uint32Array {
  const others = new Map<string, number[]>();
  for (const [row, place] of (places ?? []).entries()) {
    const known = others.get(place);
    if (known) known.push(row);
    else others.set(place, [row]);
  }
  return rows.reduce(
    (pairs, row, i) => {
      const same = places ? others.get(places[row])!.filter((other) => other !== row) : [];
      pairs.set([row, same.length > 0 ? same[Math.floor(random() * same.length)] : row], 2 * i);
      return pairs;
    },
    new Uint32Array(2 * rows.length),
  );
}
