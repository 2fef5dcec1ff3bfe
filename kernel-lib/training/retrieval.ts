/** How well embeddings find what is alike: leave-one-out retrieval with labels as the judge. */
import { randomFor } from './sampler.ts';

/** Embeddings and what is known of their images. */
export interface RetrievalSet {
  /** `[n, width]`, rows of unit length. */
  embeddings: Float32Array;
  width: number;
  /** `[n, classes]`: 1 present, 0 absent, NaN unknown. */
  labels: Float32Array;
  classes: readonly string[];
  /** `[n]`: what ground each image shows. The same ground at another date is no answer: it would be found too easily. Default: each its own. */
  places?: readonly string[] | undefined;
}

/** Retrieval of one class. */
export interface ClassRetrieval {
  label: string;
  /** Rows that have it: each asks once. */
  queries: Uint32Array;
  /** Average precision of each query's answers, 0–1; empty where the class cannot be scored. */
  averagePrecision: Float64Array;
  /** Share of the ten nearest that have it, each query's; of all where there are fewer. */
  precisionAtTen: Float64Array;
  /** Average precision and precision at ten that answers in random order would have on average, each query's. */
  chance: Float64Array;
  chanceAtTen: Float64Array;
  /** Why the class cannot be scored. */
  reason?: string;
}

/**
 * Leave-one-out retrieval, class by class: each image that has the class asks, and all others answer, nearest first.
 *
 * Images of which the class is unknown neither ask nor count as answers.
 */
export function retrieval(set: RetrievalSet): ClassRetrieval[] {
  const { labels, classes, places } = set;
  const n = set.embeddings.length / set.width;
  const scores = classes.map((label, k) => emptyScore(label, labels, k, classes.length, places));
  for (let i = 0; i < n; i++) {
    const asking = scores.filter((score, k) => score.reason === undefined && labels[i * classes.length + k] === 1);
    if (asking.length === 0) continue;
    const ranking = rankingOf(set, i, n);
    for (const score of asking) scoreQuery(score, ranking, set, i);
  }
  return scores;
}

function emptyScore(
  label: string,
  labels: Float32Array,
  k: number,
  classes: number,
  places: readonly string[] | undefined,
): ClassRetrieval {
  const n = labels.length / classes;
  const rows = Array.from({ length: n }, (_, i) => i);
  const having = rows.filter((i) => labels[i * classes + k] === 1);
  const ground = new Set(having.map((i) => places?.[i] ?? String(i))).size;
  const known = rows.filter((i) => !Number.isNaN(labels[i * classes + k])).length;
  const blank = (length: number): ClassRetrieval => ({
    label,
    queries: Uint32Array.from(having),
    averagePrecision: new Float64Array(length),
    precisionAtTen: new Float64Array(length),
    chance: new Float64Array(length),
    chanceAtTen: new Float64Array(length),
  });
  if (ground < 2)
    return {
      ...blank(0),
      reason: `${ground} place${ground === 1 ? '' : 's'} with it among ${n} chips: two are needed`,
    };
  if (known === having.length)
    return { ...blank(0), reason: 'every chip whose label is known has it: nothing can be told apart' };
  return blank(having.length);
}

/** All other places by likeness to a row, the most alike first; equal ones in the order of their rows. */
function rankingOf({ embeddings, width, places }: RetrievalSet, i: number, n: number): Uint32Array {
  const similarity = new Float32Array(n);
  for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += embeddings[i * width + k] * embeddings[j * width + k];
    similarity[j] = sum;
  }
  const others: number[] = [];
  for (let j = 0; j < n; j++) if (j !== i && (places === undefined || places[j] !== places[i])) others.push(j);
  return Uint32Array.from(others).sort((a, b) => similarity[b] - similarity[a] || a - b);
}

function scoreQuery(
  score: ClassRetrieval,
  ranking: Uint32Array,
  { labels, classes }: RetrievalSet,
  query: number,
): void {
  const k = classes.indexOf(score.label);
  let [rank, hits, sum, early] = [0, 0, 0, 0];
  for (const answer of ranking) {
    const label = labels[answer * classes.length + k];
    if (Number.isNaN(label)) continue;
    rank++;
    if (label !== 1) continue;
    sum += ++hits / rank;
    if (rank <= 10) early++;
  }
  const at = score.queries.indexOf(query);
  score.averagePrecision[at] = hits === 0 ? 0 : sum / hits;
  score.precisionAtTen[at] = early / Math.min(10, Math.max(1, rank));
  score.chance[at] = chancePrecision(hits, rank);
  score.chanceAtTen[at] = hits / Math.max(1, rank);
}

/**
 * Average precision that a ranking in random order has on average; somewhat above the share of what is relevant.
 *
 * @param relevant how many of the answers are relevant
 * @param n how many answers there are
 * @returns 0–1; 0 where nothing is relevant
 * @see Bestgen 2015, Exact expected average precision of the random baseline, PBML 103
 */
export function chancePrecision(relevant: number, n: number): number {
  if (relevant === 0) return 0;
  if (n === 1) return 1;
  let harmonic = 0;
  for (let rank = 1; rank <= n; rank++) harmonic += 1 / rank;
  return (harmonic + ((relevant - 1) * (n - harmonic)) / (n - 1)) / n;
}

/** A score with the interval that 95 of 100 draws of other places would give. */
export interface Scored {
  value: number;
  low: number;
  high: number;
}

/** Scores of one embedding over all classes. */
export interface RetrievalScores {
  /** Mean over classes, each counting the same. */
  meanAveragePrecision: Scored;
  /** Mean over classes, each by how rare it is. */
  rarityWeighted: Scored;
  precisionAtTen: Scored;
  chance: number;
  /** Classes that were scored. */
  classes: number;
}

/** Options of {@link retrievalScores}. */
export interface ScoreOptions {
  /** `[classes]`, as `rarityOf` gives it for the training set. Default: each the same. */
  rarity?: Float32Array | undefined;
  /** `[n]`, as in {@link RetrievalSet}. Default: each its own. */
  places?: readonly string[] | undefined;
  /** How often places are drawn anew. Default: 1000. */
  draws?: number | undefined;
  /** The same seed gives the same intervals. Default: 1. */
  seed?: number | string | undefined;
}

/**
 * Retrieval over all classes, with bootstrap intervals: places are drawn anew, with all their queries.
 *
 * Percentile intervals of the query scores; the database of answers stays as it is. Figures are NaN where no class could be scored.
 *
 * @param scored as {@link retrieval} gives it
 * @see Efron & Tibshirani 1993, An introduction to the bootstrap, ch. 13
 */
export function retrievalScores(
  scored: readonly ClassRetrieval[],
  { rarity, places, draws = 1000, seed = 1 }: ScoreOptions = {},
): RetrievalScores {
  const { parts, count } = partsOf(scored, rarity, places);
  const random = randomFor(seed, 'bootstrap');
  const once = new Uint32Array(count).fill(1);
  const resampled = Array.from({ length: draws }, () => drawnCounts(count, random));
  const interval = (of: Of, isWeighted = false): Scored => {
    const values = resampled.map((drawn) => meanOver(parts, drawn, of, isWeighted)).sort((a, b) => a - b);
    const at = (share: number): number => values[Math.min(draws - 1, Math.floor(share * draws))];
    return { value: meanOver(parts, once, of, isWeighted), low: at(0.025), high: at(0.975) };
  };
  return {
    meanAveragePrecision: interval(({ averagePrecision }) => averagePrecision),
    rarityWeighted: interval(({ averagePrecision }) => averagePrecision, true),
    precisionAtTen: interval(({ precisionAtTen }) => precisionAtTen),
    chance: meanOver(parts, once, ({ chance }) => chance, false),
    classes: parts.length,
  };
}

/** A class that was scored. */
interface Part {
  score: ClassRetrieval;
  weight: number;
  /** Number of each query's place. */
  place: Uint32Array;
}

/** Which of a class's figures is averaged. */
type Of = (score: ClassRetrieval) => Float64Array;

function partsOf(
  scored: readonly ClassRetrieval[],
  rarity: Float32Array | undefined,
  places: readonly string[] | undefined,
): { parts: Part[]; count: number } {
  const numbers = new Map<string, number>();
  const numberOf = (query: number): number => {
    const name = places?.[query] ?? String(query);
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return numbers.get(name)!;
  };
  const parts = scored.flatMap((score, k): Part[] =>
    score.reason === undefined ? [{ score, weight: rarity?.[k] ?? 1, place: score.queries.map(numberOf) }] : [],
  );
  return { parts, count: numbers.size };
}

/** Mean over classes of the mean over their queries, each as often as its place was drawn. */
function meanOver(parts: readonly Part[], drawn: Uint32Array, of: Of, isWeighted: boolean): number {
  let [sum, total] = [0, 0];
  for (const { score, place, weight } of parts) {
    const values = of(score);
    let [all, queries] = [0, 0];
    for (let q = 0; q < values.length; q++) {
      all += drawn[place[q]] * values[q];
      queries += drawn[place[q]];
    }
    if (queries === 0) continue; // none of its places was drawn
    sum += (isWeighted ? weight : 1) * (all / queries);
    total += isWeighted ? weight : 1;
  }
  return sum / total;
}

function drawnCounts(n: number, random: () => number): Uint32Array {
  const counts = new Uint32Array(n);
  for (let i = 0; i < n; i++) counts[Math.floor(random() * n)]++;
  return counts;
}
