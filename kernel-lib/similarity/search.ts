/** Search: which chips of a store look like what it is asked with. */
import type { Licence } from '../datasets/index.ts';
import type { VectorQuery } from '@lancedb/lancedb';
import type { RecordBatch } from 'apache-arrow';
import { rightOf } from './store/ann.ts';
import { COLUMNS } from './store/arrow.ts';
import { type Columns, columnsOf, rowOf } from './store/columns.ts';
import { bestOf, similarities } from './exact.ts';
import { type Origin, type SearchFilter, isSelective, metresBetween, sift } from './filter.ts';
import { type Store, rowNamed, whileThere } from './store/open.ts';
import { type Asked, type Query, ask } from './query.ts';
import type { StoreRow } from './store/row.ts';

/** An answer. */
export interface Hit extends StoreRow {
  /** Cosine, −1 to 1. */
  similarity: number;
}

/** How far the answers are those that a search of every row gives. */
export interface AnswerRecall {
  /** Share of them that are among the answers, 0–1. */
  value: number;
  /** `exact`: every row that passed the filter was looked at. `sample`: mean over questions when the index was built. `question`: this very one. */
  from: 'exact' | 'sample' | 'question';
  /** Answers counted for it, and questions. */
  k: number;
  questions: number;
}

/** What the store answered. */
export interface Answers {
  /** The most alike first. */
  hits: Hit[];
  recall: AnswerRecall;
  /** From the vector to the hits. */
  milliseconds: number;
  /** Rows that the filter left, of how many. With an index it is not known how many it left. */
  left: number | undefined;
  rows: number;
  table: string;
  version: string;
  model: string;
  /** Whose data the answers are made of: goes with them wherever they are shown. */
  licences: readonly Licence[];
  /** What was asked with. */
  asked: Asked;
}

/** Options of {@link search}. */
export interface SearchOptions extends SearchFilter {
  /** Answers wanted. Default: 12. */
  k?: number | undefined;
  /** Whether squares asked with may be answers too. Default: no. */
  own?: boolean | undefined;
  /** Whether a square counts at each of its dates. Default: once, at the most alike. */
  allDates?: boolean | undefined;
  /** Metres that answers lie apart at least; the more alike stays. Default: 0. */
  apartMetres?: number | undefined;
  /** Whether the index is passed by. Default: where a filter leaves something out, and in tables that have none. */
  exact?: boolean | undefined;
  /** Measures the recall of this very question: searches twice. Default: no. */
  verify?: boolean | undefined;
}

/**
 * The chips of a store that look most like what it is asked with.
 *
 * Exact where the table has no index, and wherever a filter leaves something out: an index loses answers to filters without a word (lancedb #2761). All rows
 * that pass are looked at then, which takes some 30 ms for a million of 128 numbers on two cores.
 *
 * @throws {RangeError} when an option means nothing
 * @throws {Error} when the store cannot be asked with it, or the filter leaves nothing
 */
export async function search(store: Store, query: Query, options: SearchOptions = {}): Promise<Answers> {
  const { k = 12, own = false, exact = false, verify = false, apartMetres = 0 } = options;
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`search requires a positive whole k, got ${k}`);
  if (!(apartMetres >= 0)) throw new RangeError(`apartMetres is ${apartMetres}: expected metres, 0 or more`);
  const asked = await ask(store, query);
  if ((options.awayMetres ?? 0) > 0 && asked.places.length === 0)
    throw new RangeError(`awayMetres is ${options.awayMetres}, but a tag, an image or a vector lies nowhere: ask with chips or a place, or leave it out`); // prettier-ignore
  const origin = originOf(asked, own);
  const isExact = exact || !store.index || isSelective(filterOf(options));
  const start = performance.now();
  const found = isExact ? undefined : await indexed(store, asked, origin, { ...options, k });
  const whole = found ?? (await exactly(store, asked, origin, { ...options, k }));
  const milliseconds = performance.now() - start;
  const recall = found ? recallOf(store, k) : { value: 1, from: 'exact' as const, k, questions: 1 };
  return {
    ...whole, milliseconds, rows: store.rows, table: store.name, version: store.version, model: store.model, licences: store.licences, asked,
    recall: found && verify ? await verified(store, asked, origin, { ...options, k }, found.hits) : recall,
  }; // prettier-ignore
}

function originOf({ chips, places }: Asked, own: boolean): Origin {
  return { ids: new Set(own ? [] : chips.map(({ id }) => id)), places };
}

/** The part of the options that is a filter. */
function filterOf({ bbox, within, cells, since, until, tags, maxCloud, maxOffNadir, awayMetres }: SearchOptions): SearchFilter {
  return { bbox, within, cells, since, until, tags: tags?.length ? tags : undefined, maxCloud, maxOffNadir, awayMetres };
} // prettier-ignore

type Wanted = SearchOptions & { k: number };
type Found = Pick<Answers, 'hits' | 'left'>;

async function exactly(store: Store, { vector }: Asked, origin: Origin, options: Wanted): Promise<Found> {
  const { columns, values } = await store.load();
  const filter = filterOf(options);
  const isAll = !isSelective(filter) && !filter.awayMetres && origin.ids.size === 0;
  const rows = isAll ? undefined : sift(columns, filter, origin);
  const left = rows?.length ?? columns.n;
  if (left === 0) throw new Error(`the filter leaves none of the ${columns.n} rows of table ${store.name}: loosen it (${filterText(filter) || 'the question is all there is'})`); // prettier-ignore
  const scores = await similarities(values, vector, rows);
  const hits: Hit[] = [];
  for (let many = 4 * options.k; hits.length < options.k; many *= 8) {
    const best = bestOf(scores, many);
    hits.splice(0, hits.length, ...pick(columns, [...best].map((at) => ({ row: rows ? rows[at] : at, similarity: scores[at] })), options, store.model)); // prettier-ignore
    if (best.length === scores.length) break;
  }
  return { hits, left };
}

/** What a filter asks for, in words. */
export function filterText(filter: SearchFilter): string {
  const named = Object.entries(filter).filter(([, value]) => value !== undefined);
  return named.map(([name, value]) => `${name} ${typeof value === 'object' && !Array.isArray(value) ? 'a polygon' : String(value)}`).join(', '); // prettier-ignore
}

interface Candidate {
  row: number;
  similarity: number;
}

/** The first of the candidates that may stand beside each other. */
function pick(columns: Columns, candidates: readonly Candidate[], { k, allDates = false, apartMetres = 0 }: Wanted, model: string): Hit[] {
  const hits: Hit[] = [];
  const squares = new Set<string>();
  for (const { row, similarity } of candidates) {
    if (hits.length === k) break;
    const place = [columns.lons[row], columns.lats[row]] as const;
    if (!allDates && squares.has(columns.ids[row])) continue;
    if (apartMetres > 0 && hits.some(({ lon, lat }) => metresBetween([lon, lat], place) < apartMetres)) continue;
    squares.add(columns.ids[row]);
    hits.push({ ...rowOf(columns, row, model), similarity });
  }
  return hits;
} // prettier-ignore

/** By LanceDB's index: as many as are wanted, and more until those left by date and distance are enough. None where they are not. */
async function indexed(store: Store, { vector }: Asked, origin: Origin, options: Wanted): Promise<Found | undefined> {
  const { table, index, model, rows } = store;
  const most = Math.min(rows, 64 * options.k);
  for (let many = 2 * options.k + 8 * origin.ids.size; ; many = Math.min(most, 4 * many)) {
    const nearest = table.query().nearestTo(vector).distanceType('dot').nprobes(index!.probes).limit(Math.min(many, most));
    const { columns, candidates } = await whileThere(store, () => candidatesOf(store, nearest));
    const admitted = new Set(sift(columns, { awayMetres: options.awayMetres }, origin, candidates.map(({ row }) => row)));
    const hits = pick(columns, candidates.filter(({ row }) => admitted.has(row)), options, model);
    if (hits.length === options.k) return { hits, left: undefined };
    if (many >= most) return undefined;
  }
} // prettier-ignore

/** What LanceDB finds, the most alike first. Of rows in memory it is asked for their names alone: to fetch them takes ten times as long as to find them. */
async function candidatesOf(store: Store, nearest: VectorQuery): Promise<{ columns: Columns; candidates: Candidate[] }> {
  const loaded = await store.loaded();
  const wanted = loaded ? nearest.select(['_distance']).withRowId() : nearest.select([...COLUMNS, '_distance']);
  const batches: RecordBatch[] = [];
  for await (const batch of wanted) batches.push(batch);
  const all = <Value>(name: string): Value[] => batches.flatMap((batch) => [...(batch.getChild(name)!.toArray() as Iterable<Value>)]);
  const rows = loaded ? all<bigint>('_rowid').map((name) => rowNamed(loaded.names, name)) : undefined;
  const candidates = all<number>('_distance').map((distance, at) => ({ row: rows ? rows[at] : at, similarity: 1 - distance }));
  candidates.sort((a, b) => b.similarity - a.similarity || a.row - b.row);
  return { columns: loaded ? loaded.columns : columnsOf(batches), candidates };
} // prettier-ignore

/** What was measured when the index was built, for as many answers or the next number above. */
function recallOf({ index }: Store, k: number): AnswerRecall {
  const measured = index!.recall.find((each) => each.k >= k) ?? index!.recall.at(-1)!;
  return { value: measured.recall, from: 'sample', k: measured.k, questions: index!.questions };
}

async function verified(store: Store, asked: Asked, origin: Origin, options: Wanted, hits: readonly Hit[]): Promise<AnswerRecall> {
  const { hits: truth } = await exactly(store, asked, origin, options);
  const there = rightOf(hits.map(({ similarity }) => similarity), truth.map(({ similarity }) => similarity));
  return { value: there / truth.length, from: 'question', k: truth.length, questions: 1 };
} // prettier-ignore
