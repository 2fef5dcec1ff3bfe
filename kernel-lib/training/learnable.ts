/** Which classes of a dataset something can be learnt of. */
export interface LearnableLabels {
  /** Their names, in the order given. */
  labels: string[];
  /** Those left out, and why. */
  left: { label: string; reason: string }[];
}

/** Places that must have a class, and as many that must not, for it to be learnt. */
const LEAST = 2;

/**
 * Tells classes that a training set shows on at least two places, and shows the lack of on two, from those of which nothing can be learnt.
 *
 * @param labels `[n, classes]`: 1 present, 0 absent, NaN unknown
 * @param places `[n]`: what ground each row shows. Default: each its own
 */
export function learnableLabels(
  labels: Float32Array,
  classes: readonly string[],
  places?: readonly string[],
): LearnableLabels {
  const having = [0, 1].map(() => classes.map(() => new Set<string>()));
  for (const [i, label] of labels.entries()) {
    if (Number.isNaN(label)) continue;
    const row = Math.floor(i / classes.length);
    having[label][i % classes.length].add(places?.[row] ?? `${row}`);
  }
  const [absent, present] = having;
  const reasons = classes.map((_, k) => {
    if (present[k].size < LEAST) return `${present[k].size} places of the training ground have it, ${LEAST} are needed`;
    if (absent[k].size < LEAST) return `${absent[k].size} places of the training ground lack it, ${LEAST} are needed`;
    return undefined;
  });
  return {
    labels: classes.filter((_, k) => reasons[k] === undefined),
    left: classes.flatMap((label, k) => (reasons[k] === undefined ? [] : [{ label, reason: reasons[k] }])),
  };
}

/** The columns of some classes. @param labels `[n, classes]` @returns `[n, kept]` */
export function columnsOf(labels: Float32Array, classes: readonly string[], kept: readonly string[]): Float32Array {
  const columns = kept.map((label) => classes.indexOf(label));
  const n = labels.length / classes.length;
  const out = new Float32Array(n * kept.length);
  for (let row = 0; row < n; row++)
    for (const [at, column] of columns.entries()) out[row * kept.length + at] = labels[row * classes.length + column];
  return out;
}
