/** The index of a big table: LanceDB's, with parameters that are measured on the table's own rows. */
import { Index, type Table } from '@lancedb/lancedb';
import { mean, sampleStandardDeviation } from 'simple-statistics';
import { EXACT_ROWS, bestOf } from '../exact.ts';
import { type IndexFacts, INDEX_NAME } from './facts.ts';

// Statistics are asked for numbers of rows: without the middles of the groups, of which LanceDB warns at every call.
process.env.LANCE_INCLUDE_VECTOR_CENTROIDS ??= 'false';

/** Options of {@link tendIndex}. */
export interface IndexOptions {
  /** Rows up to which every answer is exact and no index is built. Default: {@link EXACT_ROWS}. */
  exactRows?: number | undefined;
  /** Told what is being done. Default: silence. */
  onNote?: ((note: string) => void) | undefined;
}

/** What an index has to find of the ten nearest: the lower end of the 95 % interval of the mean over the questions. */
const TARGET = 0.98;
const QUESTIONS = 100;
const KS = [1, 10, 100];
/** Rows added since it was built, as a share of all, from which on they are sorted into the index; until then they are searched beside it. */
const STALE = 0.1;
/** Files of a table from which on they are put together. */
const MANY_FILES = 64;

/**
 * Builds the index of a table that has become big, or takes in the rows that were added to it.
 *
 * @param state the table's rows and width, and the index that it had
 * @returns what the index is now; none where the table is searched exactly
 */
export async function tendIndex(
  table: Table,
  { index, rows, width }: { index: IndexFacts | undefined; rows: number; width: number },
  { exactRows = EXACT_ROWS, onNote }: IndexOptions = {},
): Promise<IndexFacts | undefined> {
  const { fragmentStats } = await table.stats();
  const isBig = rows > exactRows;
  const unsorted = isBig && index ? ((await table.indexStats(INDEX_NAME))?.numUnindexedRows ?? rows) : 0;
  if (fragmentStats.numFragments > MANY_FILES || unsorted > STALE * rows)
    await table.optimize({ cleanupOlderThan: new Date(0) }); // LanceDB's own default would forget versions that are a week old
  if (!isBig) return undefined;
  if (index && rows < 2 * index.rows) return index;
  onNote?.(`index of ${rows} rows`);
  const start = performance.now();
  const partitions = Math.round(Math.sqrt(rows));
  await table.createIndex('vector', {
    config: Index.ivfFlat({ distanceType: 'dot', numPartitions: partitions, sampleRate: 64, maxIterations: 20 }),
    replace: true,
  });
  const buildSeconds = (performance.now() - start) / 1000;
  onNote?.('recall of the index');
  return { kind: 'IVF_FLAT', partitions, rows, buildSeconds, ...(await tuned(table, rows, width, partitions)) };
}

/** The fewest probes that reach the target, and what they reach. */
async function tuned(table: Table, rows: number, width: number, partitions: number): Promise<Pick<IndexFacts, 'probes' | 'recall' | 'questions'>> {
  const truth = await exactAnswers(table, rows, width);
  const k = Math.min(10, rows);
  for (let probes = 8; ; probes = Math.min(partitions, Math.ceil(probes * 1.5))) {
    const { least } = await measured(table, truth, probes, k);
    if (least < TARGET && probes < partitions) continue;
    const all: IndexFacts['recall'] = [];
    for (const each of KS) all.push((await measured(table, truth, probes, Math.min(each, rows))).facts);
    return { probes, recall: all, questions: truth.length };
  }
} // prettier-ignore

/** A question of the sample: a row of the table. Names of rows are as LanceDB counts them. */
interface Truth {
  query: Float32Array;
  /** Rows of its own square, at any date: they are no answers. */
  own: ReadonlySet<bigint>;
  /** Cosines of the exact answers, the nearest first. */
  scores: number[];
}

/** The exact answers to rows evenly spread over the table, in one pass over it. */
async function exactAnswers(table: Table, rows: number, width: number): Promise<Truth[]> {
  const every = Math.max(1, Math.floor(rows / QUESTIONS));
  const questions = await questionsAt(table, Array.from({ length: Math.min(QUESTIONS, rows) }, (_, at) => at * every), width);
  const found = questions.map((): [name: bigint, score: number][] => []);
  for await (const batch of table.query().select(['vector']).withRowId()) {
    const values = batch.getChild('vector')!.getChildAt(0)!.toArray() as Float32Array;
    const names = batch.getChild('_rowid')!.toArray() as BigUint64Array;
    questions.forEach(({ query, own }, at) => {
      const scores = Float32Array.from({ length: names.length }, (_, row) => dot(values, row * width, query));
      const best = [...bestOf(scores, Math.max(...KS) + own.size)].filter((row) => !own.has(names[row]));
      found[at].push(...best.map((row): [bigint, number] => [names[row], scores[row]]));
      found[at] = found[at].sort(([, a], [, b]) => b - a).slice(0, Math.max(...KS));
    });
  }
  return questions.map((question, at) => ({ ...question, scores: found[at].map(([, score]) => score) }));
} // prettier-ignore

function dot(values: Float32Array, from: number, query: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < query.length; i++) sum += values[from + i] * query[i];
  return sum;
}

async function questionsAt(table: Table, offsets: number[], width: number): Promise<Pick<Truth, 'query' | 'own'>[]> {
  const taken = await table.takeOffsets(offsets).select(['id', 'vector']).toArrow();
  const values = taken.getChild('vector')!.getChildAt(0)!.toArray() as Float32Array;
  const ids = [...taken.getChild('id')!.toArray()] as string[];
  const own = new Map(ids.map((id) => [id, new Set<bigint>()]));
  const list = [...own.keys()].map((id) => `'${id}'`).join(', ');
  for await (const batch of table.query().where(`id IN (${list})`).select(['id']).withRowId())
    for (let row = 0; row < batch.numRows; row++)
      own.get(batch.getChild('id')!.get(row) as string)!.add(batch.getChild('_rowid')!.get(row) as bigint);
  return ids.map((id, at) => ({ query: values.slice(at * width, (at + 1) * width), own: own.get(id)! }));
} // prettier-ignore

/**
 * How many of the exact answers the index finds, without the question's own square. An answer is right that is as alike as the last of the exact ones: of
 * equal ones it does not matter which.
 *
 * @returns `least`: the lower end of the 95 % interval of the mean, by the spread of the questions
 */
async function measured(table: Table, truth: readonly Truth[], probes: number, k: number): Promise<{ facts: IndexFacts['recall'][number]; least: number }> {
  const times: number[] = [];
  const shares: number[] = [];
  for (const { query, own, scores } of truth) {
    const start = performance.now();
    const found = await table.query().nearestTo(query).distanceType('dot').nprobes(probes).limit(k + own.size).select(['_distance']).withRowId().toArrow();
    times.push(performance.now() - start);
    const names = found.getChild('_rowid')!.toArray() as BigUint64Array;
    const distances = found.getChild('_distance')!.toArray() as Float32Array;
    const exact = scores.slice(0, k);
    const others = [...distances].flatMap((distance, at) => (own.has(names[at]) ? [] : [1 - distance]));
    if (exact.length > 0) shares.push(rightOf(others, exact) / exact.length);
  }
  const recall = shares.length === 0 ? 1 : mean(shares);
  const error = shares.length < 2 ? 0 : sampleStandardDeviation(shares) / Math.sqrt(shares.length);
  return { facts: { k, recall, milliseconds: times.sort((a, b) => a - b)[times.length >> 1] }, least: recall - 1.96 * error };
} // prettier-ignore

/** How far two cosines of the same vectors may lie apart, summed up in another order. */
const ROUNDING = 1e-6;

/** How many of the answers that were found are as alike as the last of the exact ones, the most alike first in both; no more than there are exact ones. */
export function rightOf(found: readonly number[], exact: readonly number[]): number {
  const least = exact.at(-1)! - ROUNDING;
  return found.slice(0, exact.length).filter((score) => score >= least).length;
}
