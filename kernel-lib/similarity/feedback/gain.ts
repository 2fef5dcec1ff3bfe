import type { DatasetRow, Split } from '../../datasets/index.ts';
import { type Interval, bootstrap } from '../../statistics/index.ts';
import { chancePrecision } from '../../training/index.ts';
import { FEEDBACK_METHODS, type FeedbackMethod, type Search, startSearch } from './feedback.ts';
import { type Vectors, rowsOf } from '../nearest.ts';
import { averagePrecision } from '../report.ts';

/** What one round of one method has brought, over all questions. */
export interface GainRow {
  /** `none`: the plain search, page after page. */
  method: FeedbackMethod | 'none';
  /** Rounds judged; 0 is the query alone. */
  round: number;
  /** Answers judged so far, a question. */
  judged: number;
  /** Average precision on the other half of the ground, of which nothing was shown: what was learnt. And its 95 % interval. */
  averagePrecision: number;
  low: number;
  high: number;
  /** Share of the answers of the last round that had the label; not there in round 0. */
  precision: number;
  /** Share of the places with the label, on the half that was shown, that were found so far: what was collected. */
  recall: number;
}

/** What feedback brings for one label. */
export interface FeedbackGain {
  label: string;
  /** One a method and round. */
  rows: GainRow[];
  questions: number;
  /** What answers in random order would score. */
  chance: number;
  /** Why nothing could be scored. */
  reason?: string | undefined;
}

/** Options of {@link simulateFeedback}. */
export interface SimulateOptions {
  /** Default: all, and `none` beside them. */
  methods?: readonly (FeedbackMethod | 'none')[] | undefined;
  /** Default: 5. */
  rounds?: number | undefined;
  /** Answers a round. Default: 12. */
  k?: number | undefined;
  /** Questions, evenly spread over the places with the label. Default: 20, or all where there are fewer. */
  questions?: number | undefined;
  /** Ground on which it is played. Default: `test`. */
  split?: Split | undefined;
}

/**
 * Plays feedback for a label with a user who knows it: who accepts what has it, rejects what has not, and leaves open what is not known.
 *
 * Squares of ground are dealt into two halves, every other one in the order of their ids. One half is asked and judged, the other only scored: what
 * was judged would be found too easily (the test-and-control method).
 * Intervals are percentiles of a bootstrap over questions.
 *
 * @param vectors of length 1
 * @param rows the chips, in the order of `vectors`
 * @returns a row a method and round; none, and the reason, where the label cannot be scored
 * @throws {RangeError} when vectors and rows differ in number, or rounds, k or questions are not positive
 * @see Chang, Cirillo & Razon 1971, Evaluation of feedback retrieval using modified freezing, residual collection, and test and control groups
 */
export function simulateFeedback(
  vectors: Vectors,
  rows: readonly DatasetRow[],
  label: string,
  { methods = ['none', ...FEEDBACK_METHODS], rounds = 5, k = 12, questions = 20, split = 'test' }: SimulateOptions = {},
): FeedbackGain {
  for (const [name, value] of Object.entries({ rounds, k, questions }))
    if (!(Number.isInteger(value) && value > 0)) throw new RangeError(`simulateFeedback requires positive whole ${name}, got ${value}`); // prettier-ignore
  const ground = groundOf(vectors, rows, label, split);
  if ('reason' in ground) return { label, rows: [], questions: 0, chance: Number.NaN, reason: ground.reason };
  const { having } = ground;
  const count = Math.min(questions, having.length);
  const asked = Array.from({ length: count }, (_, at) => having[Math.floor((at * having.length) / count)]);
  const gains = methods.flatMap((method) => {
    const played = asked.map((query) => playQuestion(ground, query, method, rounds, k));
    return Array.from({ length: rounds + 1 }, (_, round) => meanRow(method, round, played.map((each) => each[round]))); // prettier-ignore
  });
  return { label, rows: gains, questions: count, chance: ground.chance };
}

/** A half to ask and judge, and a half to score. */
interface Ground {
  vectors: Vectors;
  rows: DatasetRow[];
  label: string;
  /** Rows of the half that is judged. */
  isPool: boolean[];
  /** One row of each place of the pool that has the label. */
  having: number[];
  /** Rows that are scored: their label is known. */
  control: number[];
  chance: number;
}

function groundOf(vectors: Vectors, rows: readonly DatasetRow[], label: string, split: Split): Ground | { reason: string } {
  if (vectors.values.length !== rows.length * vectors.width)
    throw new RangeError(`simulateFeedback got ${rows.length} rows and ${vectors.values.length / vectors.width} vectors: one each`);
  const held = [...rows.keys()].filter((index) => rows[index].split === split);
  const own = held.map((index) => rows[index]);
  const ids = [...new Set(own.map(({ id }) => id))].sort();
  const pool = new Set(ids.filter((_, at) => at % 2 === 0));
  const isPool = own.map(({ id }) => pool.has(id));
  const has = (index: number): boolean => own[index].labels[label] === 1;
  const placesOf = (inPool: boolean): number[] => firstOfPlace(own, [...own.keys()].filter((index) => isPool[index] === inPool && has(index)));
  const [having, others] = [placesOf(true), placesOf(false)];
  const control = [...own.keys()].filter((index) => !isPool[index] && own[index].labels[label] != null);
  const relevant = control.filter(has).length;
  if (having.length < 2 || others.length < 1)
    return { reason: `${having.length + others.length} places of the ${split} ground have ${label}, ${having.length} of them in the half that is judged: two are needed there, and one in the other` };
  if (relevant === control.length) return { reason: `every chip of the ${split} ground that is scored has ${label}: nothing can be told apart` };
  return { vectors: rowsOf(vectors, held), rows: own, label, isPool, having, control, chance: chancePrecision(relevant, control.length) };
} // prettier-ignore

function firstOfPlace(rows: readonly DatasetRow[], indices: readonly number[]): number[] {
  const seen = new Set<string>();
  return indices.filter((index) => !seen.has(rows[index].id) && seen.add(rows[index].id));
}

/** What a question brought up to a round. */
interface Played {
  judged: number;
  averagePrecision: number;
  precision: number;
  recall: number;
}

function playQuestion(
  ground: Ground,
  query: number,
  method: FeedbackMethod | 'none',
  rounds: number,
  k: number,
): Played[] {
  const { vectors, rows, isPool, having, label } = ground;
  const search = startSearch(vectors, rows, { query, k, method: method === 'none' ? 'rocchio' : method, admit: (index) => isPool[index] }); // prettier-ignore
  const played = [{ judged: 0, averagePrecision: scored(ground, search), precision: Number.NaN, recall: 0 }];
  let [judged, found] = [0, 0];
  for (let round = 1; round <= rounds; round++) {
    const { answers } = search;
    const numbers = (value: number): number[] => answers.filter(({ row }) => row.labels[label] === value).map(({ number }) => number); // prettier-ignore
    const [right, wrong] = [numbers(1), numbers(0)];
    judged += right.length + wrong.length;
    found += right.length;
    if (method !== 'none') {
      search.accept(right);
      search.reject(wrong);
    }
    const precision = right.length / (right.length + wrong.length); // NaN where nothing was left to judge
    played.push({ judged, averagePrecision: scored(ground, search), precision, recall: found / (having.length - 1) });
    search.next();
  }
  return played;
}

function scored({ rows, control, label }: Ground, search: Search): number {
  const scores = search.scores();
  const order = control.toSorted((a, b) => scores[b] - scores[a] || a - b);
  return averagePrecision(order.map((index) => Number(rows[index].labels[label] === 1)));
}

function meanRow(method: GainRow['method'], round: number, played: readonly Played[]): GainRow {
  const mean = (of: (one: Played) => number, some: readonly Played[] = played): number => {
    const values = some.map(of).filter((value) => !Number.isNaN(value));
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const ofPrecision = ({ averagePrecision: value }: Played): number => value;
  const { at }: Record<'at', Interval> = bootstrap(played, (drawn) => ({ at: mean(ofPrecision, drawn) }));
  return {
    method,
    round,
    judged: mean((one) => one.judged),
    averagePrecision: mean(ofPrecision),
    low: at[0],
    high: at[1],
    precision: mean((one) => one.precision),
    recall: mean((one) => one.recall),
  };
}

/** The gain as lines over rounds: what `show.lines` draws. */
export function gainLines(
  { rows }: FeedbackGain,
  what: 'averagePrecision' | 'precision' | 'recall' = 'averagePrecision',
): { name: string; x: number[]; y: number[]; low?: number[]; high?: number[] }[] {
  return [...new Set(rows.map(({ method }) => method))].map((method) => {
    const own = rows.filter((row) => row.method === method && !Number.isNaN(row[what]));
    const line = { name: method, x: own.map(({ round }) => round), y: own.map((row) => row[what]) };
    if (what !== 'averagePrecision') return line;
    return { ...line, low: own.map(({ low }) => low), high: own.map(({ high }) => high) };
  });
}
