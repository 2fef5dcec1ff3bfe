import { type ClassRetrieval, type RetrievalSet, chancePrecision, retrieval } from '../../training/index.ts';

/** A figure of each query of a class, and what answers in random order would score. */
export interface QueryFigure {
  label: string;
  /** Rows that ask. */
  queries: Uint32Array;
  values: Float64Array;
  chance: Float64Array;
}

/** What is counted of one embedding, query by query. */
export interface Figures {
  /** Average precision and precision at ten, label by label. */
  classes: ClassRetrieval[];
  /** Share of all that have the label that are among the nearest `recallK`, label by label. */
  recall: QueryFigure[];
  /** Average precision weighted by shared labels, one a chip. */
  shared: QueryFigure;
  /** Normalised discounted cumulative gain of the nearest `k`, one a chip. */
  gain: QueryFigure;
  /** Whether the majority of the nearest `k` is right, label by label: of all chips, and apart of those that have it and those that have not. */
  accuracy: QueryFigure[];
  balanced: [having: QueryFigure, lacking: QueryFigure][];
}

/** How far down the lists are read. */
export interface FigureOptions {
  /** Nearest that count for the gain and that vote. */
  k: number;
  /** Nearest among which recall is counted. */
  recallK: number;
  /** `[classes]`: how much a shared label says. */
  rarity: Float32Array;
}

/**
 * Leave-one-out retrieval of every chip, counted in several ways. The same ground at another date is no answer; a label that is not known of an
 * answer neither speaks for it nor against it.
 *
 * The grade of an answer is the share of the asking chip's labels that it has, each by its rarity, over those known of it: 0–1.
 *
 * Average precision weighted by shared labels is Zhao's wMAP, `mean over relevant ranks of (sum of grades down to there / rank)`, with these
 * grades in place of the number of shared labels; the gain is Järvelin and Kekäläinen's nDCG with linear gains, as scikit-learn's `ndcg_score`.
 *
 * @see Zhao, Huang, Wang & Tan 2015, Deep semantic ranking based hashing for multi-label image retrieval, CVPR
 * @see Järvelin & Kekäläinen 2002, ACM Trans. Inf. Syst. 20(4) 422–446
 */
export function figuresOf(set: RetrievalSet, options: FigureOptions): Figures {
  const { labels, classes } = set;
  const c = classes.length;
  const n = set.embeddings.length / set.width;
  const scored = retrieval(set);
  const isKnown = classes.map((_, l) => Array.from({ length: n }, (__, i) => labels[i * c + l]).every((label) => !Number.isNaN(label))); // prettier-ignore
  const isScored = scored.map(({ reason }) => reason === undefined);
  const found = { recall: columns(classes), having: columns(classes), lacking: columns(classes), shared: column('all'), gain: column('all') }; // prettier-ignore
  for (let i = 0; i < n; i++) {
    const own = classes.map((_, l) => l).filter((l) => labels[i * c + l] === 1);
    const order = rankingOf(set, i, n);
    gradeQuery(found, set, i, own, order, options);
    for (let l = 0; l < c; l++) {
      if (!isScored[l] || Number.isNaN(labels[i * c + l])) continue;
      const has = labels[i * c + l] === 1;
      const known = isKnown[l] ? order : order.filter((j) => !Number.isNaN(labels[j * c + l]));
      if (has) recallQuery(found.recall[l], labels, known, i, l, c, options.recallK);
      const votes = known.subarray(0, options.k).reduce((sum, j) => sum + labels[j * c + l], 0);
      const says = 2 * votes > Math.min(options.k, known.length);
      add(has ? found.having[l] : found.lacking[l], i, Number(says === has), 0.5);
    }
  }
  const kept = isScored.flatMap((is, l) => (is ? [l] : []));
  return {
    classes: scored,
    recall: kept.map((l) => packed(found.recall[l])),
    shared: packed(found.shared),
    gain: packed(found.gain),
    accuracy: kept.map((l) => accuracyOf(found.having[l], found.lacking[l])),
    balanced: kept.map((l) => [packed(found.having[l]), packed(found.lacking[l])]),
  };
}

/** A figure while it is counted. */
interface Column {
  label: string;
  queries: number[];
  values: number[];
  chance: number[];
}

const column = (label: string): Column => ({ label, queries: [], values: [], chance: [] });
const columns = (labels: readonly string[]): Column[] => labels.map(column);

function add({ queries, values, chance }: Column, query: number, value: number, byChance: number): void {
  queries.push(query);
  values.push(value);
  chance.push(byChance);
}

function packed({ label, queries, values, chance }: Column): QueryFigure {
  return { label, queries: Uint32Array.from(queries), values: Float64Array.from(values), chance: Float64Array.from(chance) }; // prettier-ignore
}

/** Both kinds together; by chance what is right who always says the commoner. */
function accuracyOf(having: Column, lacking: Column): QueryFigure {
  const both = column(having.label);
  const commoner = having.queries.length > lacking.queries.length ? having : lacking;
  for (const kind of [having, lacking])
    for (const [at, query] of kind.queries.entries()) add(both, query, kind.values[at], Number(kind === commoner));
  return packed(both);
}

/** All other ground by likeness, the most alike first; equal ones in the order of their rows. */
function rankingOf({ embeddings, width, places }: RetrievalSet, i: number, n: number): Uint32Array {
  const similarity = new Float32Array(n);
  const own = embeddings.subarray(i * width, (i + 1) * width);
  for (let j = 0, at = 0; j < n; j++) {
    let sum = 0;
    for (let k = 0; k < width; k++, at++) sum += own[k] * embeddings[at];
    similarity[j] = sum;
  }
  const others = Uint32Array.from({ length: n }, (_, j) => j).filter((j) => j !== i && (places === undefined || places[j] !== places[i])); // prettier-ignore
  return others.sort((a, b) => similarity[b] - similarity[a] || a - b);
}

function recallQuery(
  to: Column,
  labels: Float32Array,
  known: Uint32Array,
  query: number,
  l: number,
  c: number,
  k: number,
): void {
  const count = (rows: Uint32Array): number => rows.reduce((sum, j) => sum + labels[j * c + l], 0);
  const all = count(known);
  if (all > 0) add(to, query, count(known.subarray(0, k)) / all, Math.min(1, k / known.length));
}

/** Counts what a chip's answers share with it; nothing where it has no label, or no answer shares one. */
function gradeQuery(
  found: { shared: Column; gain: Column },
  { labels, classes }: RetrievalSet,
  query: number,
  own: readonly number[],
  order: Uint32Array,
  { k, rarity }: FigureOptions,
): void {
  const grades: number[] = [];
  for (const j of order) {
    let [both, known] = [0, 0];
    for (const l of own) {
      const label = labels[j * classes.length + l];
      if (Number.isNaN(label)) continue;
      known += rarity[l];
      both += rarity[l] * label;
    }
    if (known > 0) grades.push(both / known);
  }
  const total = grades.reduce((sum, grade) => sum + grade, 0);
  if (total === 0) return;
  const relevant = grades.filter((grade) => grade > 0).length;
  add(found.shared, query, weightedPrecision(grades), (total / relevant) * chancePrecision(relevant, grades.length));
  const ideal = discounted(grades.toSorted((a, b) => b - a), k); // prettier-ignore
  const even = discounted(grades.map(() => total / grades.length), k); // prettier-ignore
  add(found.gain, query, discounted(grades, k) / ideal, even / ideal);
}

/**
 * Average precision of graded answers: over the relevant ones, the mean of the mean grade down to each.
 *
 * Of grades 0 and 1 it is {@link averagePrecision}. 0 where nothing is relevant.
 *
 * @param grades 0–1, best answer first
 */
export function weightedPrecision(grades: readonly number[]): number {
  let [total, sum, relevant] = [0, 0, 0];
  for (const [at, grade] of grades.entries()) {
    total += grade;
    if (grade === 0) continue;
    relevant++;
    sum += total / (at + 1);
  }
  return relevant === 0 ? 0 : sum / relevant;
}

/** Discounted cumulative gain of the first k. */
function discounted(grades: readonly number[], k: number): number {
  return grades.slice(0, k).reduce((sum, grade, at) => sum + grade / Math.log2(at + 2), 0);
}
