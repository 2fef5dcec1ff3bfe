import type { DatasetRow } from '../../datasets/index.ts';
import { type Example, examplesOf, fitLogistic } from './logistic.ts';
import { type Vectors, cosine, vectorAt } from '../nearest.ts';

/** How answers to the next round are found from what was accepted and rejected. */
export type FeedbackMethod = 'rocchio' | 'probe' | 'uncertain';

/** All of them, in the order in which they are explained. */
export const FEEDBACK_METHODS: readonly FeedbackMethod[] = ['rocchio', 'probe', 'uncertain'];

/** An answer that was shown. */
export interface SearchAnswer {
  /** By which it is accepted or rejected: the first shown is 1, and no two of a search have the same. */
  number: number;
  /** Row of `rows` and of `vectors`. */
  index: number;
  row: DatasetRow;
  /** What it was ranked by: of `rocchio` the cosine to the moved query, −1 to 1; of the others the probability that it is wanted, 0–1. */
  score: number;
  /** In which round it was shown. */
  round: number;
  verdict: 'accepted' | 'rejected' | 'open';
}

/** Options of {@link startSearch}. */
export interface SearchStart {
  /** What is looked for: a row, several, or a vector of length 1 such as an image of one's own encoded. */
  query: number | readonly number[] | Float32Array;
  /** Default: `rocchio`. */
  method?: FeedbackMethod | undefined;
  /** Answers a round. Default: 12. */
  k?: number | undefined;
  /** Rows that may be an answer: of one date, or one cell, say. Default: all. */
  admit?: ((index: number) => boolean) | undefined;
  /** Rows that were judged before, as a saved set has them. Default: none. */
  accepted?: readonly number[] | undefined;
  rejected?: readonly number[] | undefined;
}

/** A search that learns from its user, round by round. */
export interface Search {
  /** Rows of the query; none where it was a vector. */
  readonly query: readonly number[];
  readonly method: FeedbackMethod;
  /** The present round, from 1. */
  readonly round: number;
  /** Answers of the present round. */
  readonly answers: readonly SearchAnswer[];
  /** Answers of all rounds, by number. */
  readonly shown: readonly SearchAnswer[];
  /** Rows judged so far, those of before first. */
  readonly accepted: readonly number[];
  readonly rejected: readonly number[];
  /**
   * What is looked for. Called twice with the same numbers it does no harm, so that a cell may run again.
   *
   * @throws {RangeError} naming a number that was not shown, or was rejected; nothing is accepted then
   */
  accept(numbers: readonly number[]): void;
  /** What is not. @throws {RangeError} as `accept` does */
  reject(numbers: readonly number[]): void;
  /** Takes a verdict back. @throws {RangeError} naming a number that was not shown */
  reopen(numbers: readonly number[]): void;
  /**
   * The next round: of places not shown yet those that come first now, or, of `uncertain`, those of which the probe knows least.
   *
   * Without any verdict since it is the next page. Empty where everything was shown.
   *
   * @param method from now on. Default: the one before
   */
  next(method?: FeedbackMethod): readonly SearchAnswer[];
  /** How much each row is wanted by what is known now, `[n]`: what the rounds rank by, other ground or not. */
  scores(): Float64Array;
}

/**
 * Weights of the query, the mean of what was accepted and the mean of what was rejected.
 *
 * @see Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, section 9.1.1: "reasonable values might be α = 1, β = 0.75, and γ = 0.15"
 */
export const ROCCHIO = { query: 1, accepted: 0.75, rejected: 0.15 } as const;

/** C of the linear probe: embeddings of length 1 lie close together, and want steep lines. And how many rows that nobody has judged stand in for what is not wanted, and as how many rejected ones they count together. */
const [COST, PRESUMED, REJECTED] = [100, 100, 5];

/**
 * Starts a search that is steered by accepting and rejecting its answers.
 *
 * Each square of ground is shown once, at the date that fits best: of ground that was shown, accepted or asked with, another date is no
 * answer. `rocchio` moves the query towards what was accepted and away from what was rejected; `probe` learns a straight line between
 * the two (logistic regression); `uncertain` learns the same and shows what lies nearest to the line, where a verdict teaches most
 * (Lewis & Gale 1994, uncertainty sampling). All are the plain search until something is judged.
 *
 * @param vectors of length 1, `[n, width]`
 * @param rows the chips, in the order of `vectors`
 * @throws {RangeError} when vectors and rows differ in number, a row is not there, or k is not positive
 * @see Rocchio 1971, Relevance feedback in information retrieval
 */
export function startSearch(vectors: Vectors, rows: readonly DatasetRow[], options: SearchStart): Search {
  const { method = 'rocchio', k = 12, admit = () => true, accepted = [], rejected = [] } = options;
  const seeds = seedsOf(options.query, vectors, rows);
  checkStart(vectors, rows, options, seeds.indices);
  const state: State = { vectors, rows, seeds, before: { accepted, rejected }, method, shown: [], round: 0 };
  const judge = (verdict: SearchAnswer['verdict'], numbers: readonly number[]): void => {
    const answers = numbers.map((number) => answerOf(state, verb[verdict], number));
    const other = verdict === 'open' ? undefined : answers.find((answer) => answer.verdict !== 'open' && answer.verdict !== verdict); // prettier-ignore
    if (other) throw new RangeError(`${verb[verdict]}: answer ${other.number} was ${other.verdict} before: take that back first, with reopen([${other.number}])`); // prettier-ignore
    for (const answer of answers) answer.verdict = verdict;
    state.scores = undefined;
  };
  const next = (): readonly SearchAnswer[] => {
    const round = ++state.round;
    for (const { index, score } of chosen(state, k, admit))
      state.shown.push({ number: state.shown.length + 1, index, row: rows[index], score, round, verdict: 'open' });
    state.scores = undefined;
    return answersOf(state);
  };
  next();
  return {
    query: seeds.indices,
    get method() { return state.method; },
    get round() { return state.round; },
    get answers() { return answersOf(state); },
    get shown() { return state.shown; },
    get accepted() { return judged(state, 'accepted'); },
    get rejected() { return judged(state, 'rejected'); },
    accept: (numbers) => judge('accepted', numbers),
    reject: (numbers) => judge('rejected', numbers),
    reopen: (numbers) => judge('open', numbers),
    next: (by = state.method) => {
      checkMethod(by);
      if (by !== state.method) state.scores = undefined;
      state.method = by;
      return next();
    },
    scores: () => scoresOf(state).slice(),
  }; // prettier-ignore
}

const verb = { accepted: 'accept', rejected: 'reject', open: 'reopen' } as const;

/** What a search knows. */
interface State {
  vectors: Vectors;
  rows: readonly DatasetRow[];
  seeds: Seeds;
  before: Record<'accepted' | 'rejected', readonly number[]>;
  method: FeedbackMethod;
  shown: SearchAnswer[];
  round: number;
  /** What {@link scoresOf} found, until something is judged or shown. */
  scores?: Float64Array | undefined;
}

/** What was asked with. */
interface Seeds {
  indices: readonly number[];
  vectors: readonly Float32Array[];
}

function seedsOf(query: SearchStart['query'], vectors: Vectors, rows: readonly DatasetRow[]): Seeds {
  if (query instanceof Float32Array) {
    if (query.length === vectors.width) return { indices: [], vectors: [query] };
    throw new RangeError(`startSearch: a query of ${query.length} numbers, the vectors have ${vectors.width}: encode it with the same model`); // prettier-ignore
  }
  const indices = typeof query === 'number' ? [query] : [...query];
  if (indices.length === 0) throw new RangeError('startSearch requires a query, got no row');
  const missing = indices.find((index) => rows[index] === undefined);
  if (missing !== undefined) throw new RangeError(`startSearch: no row ${missing}, there are ${rows.length}`);
  return { indices, vectors: indices.map((index) => vectorAt(vectors, index)) };
}

function checkStart(
  { values, width }: Vectors,
  rows: readonly DatasetRow[],
  { k = 12, method = 'rocchio', accepted = [], rejected = [] }: SearchStart,
  query: readonly number[],
): void {
  if (values.length !== rows.length * width)
    throw new RangeError(`startSearch got ${rows.length} rows and ${values.length / width} vectors: one each`);
  if (!(Number.isInteger(k) && k > 0)) throw new RangeError(`startSearch requires a positive whole k, got ${k}`);
  checkMethod(method);
  const missing = [...accepted, ...rejected].find((index) => rows[index] === undefined);
  if (missing !== undefined) throw new RangeError(`startSearch: no row ${missing}, there are ${rows.length}`);
  const both = rejected.find((index) => accepted.includes(index) || query.includes(index));
  if (both !== undefined) throw new RangeError(`startSearch: row ${both} is rejected and wanted as well: leave one out`);
} // prettier-ignore

function checkMethod(method: string): void {
  if ((FEEDBACK_METHODS as readonly string[]).includes(method)) return;
  throw new RangeError(`unknown method "${method}": take ${FEEDBACK_METHODS.join(', ')}`);
}

function answersOf({ shown, round }: State): readonly SearchAnswer[] {
  return shown.filter((answer) => answer.round === round);
}

function answerOf({ shown }: State, doing: string, number: number): SearchAnswer {
  const answer = shown[number - 1];
  if (answer) return answer;
  const there = shown.length === 0 ? 'none was shown' : `1 to ${shown.length} were shown`;
  throw new RangeError(`${doing}: no answer ${number}, ${there}`);
}

function judged({ shown, before }: State, verdict: 'accepted' | 'rejected'): number[] {
  return [...before[verdict], ...shown.filter((answer) => answer.verdict === verdict).map(({ index }) => index)];
}

/** The rows of the next round, the best of each square of ground. */
function chosen(state: State, k: number, admit: (index: number) => boolean): { index: number; score: number }[] {
  const { rows, shown, seeds, method } = state;
  const scores = scoresOf(state);
  const isLearnt = judged(state, 'accepted').length + judged(state, 'rejected').length > 0;
  const merit = method === 'uncertain' && isLearnt ? scores.map((score) => -Math.abs(score - 0.5)) : scores;
  const known = [...seeds.indices, ...state.before.accepted, ...state.before.rejected, ...shown.map(({ index }) => index)]; // prettier-ignore
  const done = new Set(known.map((index) => rows[index].id));
  const order = [...rows.keys()].filter((index) => !done.has(rows[index].id) && admit(index));
  order.sort((a, b) => merit[b] - merit[a] || a - b);
  const picked: { index: number; score: number }[] = [];
  for (const index of order) {
    if (picked.length === k) break;
    if (done.has(rows[index].id)) continue;
    done.add(rows[index].id);
    picked.push({ index, score: scores[index] });
  }
  return picked;
}

function scoresOf(state: State): Float64Array {
  state.scores ??= newScores(state);
  return state.scores;
}

function newScores(state: State): Float64Array {
  const { vectors, method } = state;
  const [accepted, rejected] = [judged(state, 'accepted'), judged(state, 'rejected')];
  const isLearnt = method !== 'rocchio' && accepted.length + rejected.length > 0;
  const unwanted = isLearnt ? unwantedOf(state, accepted, rejected) : [];
  if (unwanted.length > 0) return probed(state, accepted, unwanted);
  const query = moved(state, accepted, rejected);
  const n = vectors.values.length / vectors.width;
  return Float64Array.from({ length: n }, (_, index) => cosine(vectorAt(vectors, index), query));
}

/** Rocchio's query, of length 1. */
function moved({ vectors, seeds }: State, accepted: readonly number[], rejected: readonly number[]): Float32Array {
  const query = new Float32Array(vectors.width);
  const add = (some: readonly Float32Array[], weight: number): void => {
    for (const vector of some) for (let k = 0; k < query.length; k++) query[k] += (weight / some.length) * vector[k];
  };
  const rowsOf = (indices: readonly number[]): Float32Array[] => indices.map((index) => vectorAt(vectors, index));
  add(seeds.vectors, ROCCHIO.query);
  add(rowsOf(accepted), ROCCHIO.accepted);
  add(rowsOf(rejected), -ROCCHIO.rejected);
  const length = Math.hypot(...query) || 1;
  return query.map((value) => value / length);
}

/** Probabilities by logistic regression: the query and what was accepted against what is not wanted. Both kinds count the same. */
function probed({ vectors, seeds }: State, accepted: readonly number[], unwanted: readonly Example[]): Float64Array {
  const wanted = [...seeds.vectors, ...accepted.map((index) => vectorAt(vectors, index))];
  const total = unwanted.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const balanced = unwanted.map(({ weight = 1, ...one }) => ({ ...one, weight: (weight * wanted.length) / total }));
  return fitLogistic([...wanted.map((vector) => ({ vector, wanted: true })), ...balanced], COST).probabilities(vectors);
}

/** What was rejected; and, with the weight of a few, rows that nobody has judged, evenly spread: of a rare thing nearly all are not wanted. */
function unwantedOf({ vectors, seeds, rows, shown }: State, accepted: readonly number[], rejected: readonly number[]): Example[] {
  const seen = new Set([...seeds.indices, ...accepted, ...rejected, ...shown.map(({ index }) => index)]);
  const others = [...rows.keys()].filter((index) => !seen.has(index));
  const count = Math.min(PRESUMED, others.length);
  const presumed = Array.from({ length: count }, (_, at) => others[Math.floor((at * others.length) / count)]);
  return [...examplesOf(vectors, rejected, false), ...examplesOf(vectors, presumed, false, REJECTED / count)];
} // prettier-ignore
