import type { AnswerRecall, Columns, Hit, Origin, Query, SearchFilter } from '../similarity/index.ts';
import { RequestError } from './fault.ts';
import type { OpenedStore } from './openstore.ts';
import type { AnswerCollection } from './page/shapes.ts';
import type { Question, RowName } from './question.ts';

type Found = Pick<AnswerCollection, 'recall' | 'milliseconds' | 'left' | 'score'> & { hits: Hit[]; asked: Hit[] };

/**
 * Answers a question by the store: a plain one by `search`, one with verdicts by `startSearch`.
 *
 * @throws {RequestError} 404 naming the chip, place or tag that the store has not
 */
export async function answerQuestion(opened: OpenedStore, question: Question): Promise<AnswerCollection> {
  const { answersGeojson } = await import('../similarity/index.ts');
  const { store } = opened;
  const { columns } = await opened.loaded();
  if (question.tag !== undefined && !columns.tagNames.includes(question.tag))
    throw new RequestError(404, `no chip of table ${store.name} has the tag ${question.tag}`);
  const isPlain = question.like.length + question.unlike.length === 0;
  const { hits, asked, ...how } = await (isPlain ? plain(opened, question) : judged(opened, question));
  const { name: table, version, model, rows, licences } = store;
  return { ...answersGeojson({ hits }), asked: answersGeojson({ hits: asked }), ...how, rows, table, version, model, licences };
} // prettier-ignore

async function plain(opened: OpenedStore, question: Question): Promise<Found> {
  const { search, sift } = await import('../similarity/index.ts');
  const { k, apartMetres, verify, tag } = question;
  const row = await seedOf(opened, question);
  const { columns } = await opened.loaded();
  const query: Query = row === undefined ? { tag: tag! } : { chip: columns.ids[row], date: columns.dates[row], catid: columns.catids[row] }; // prettier-ignore
  const filter = filterOf(question);
  try {
    const { hits, asked, recall, milliseconds, left } = await search(opened.store, query, { ...filter, k, apartMetres, verify }); // prettier-ignore
    return { hits, asked: asked.chips.map((chip) => ({ ...chip, similarity: 1 })), recall, milliseconds, left, score: 'cosine' }; // prettier-ignore
  } catch (error) {
    if (sift(columns, filter, originOf(columns, row === undefined ? [] : [row])).length > 0) throw error;
    const asked = row === undefined ? [] : [await hitOf(opened, row, 1)];
    return { hits: [], asked, recall: EXACT(0), milliseconds: 0, left: 0, score: 'cosine' }; // nothing is left
  }
}

const EXACT = (k: number): AnswerRecall => ({ value: 1, from: 'exact', k, questions: 1 });

/** What the store is filtered by, once more as the library has it. */
function filterOf({ bbox, since, until, tags, maxCloud, maxOffNadir, awayMetres }: Question): SearchFilter {
  return { bbox, since, until, tags: tags?.length ? tags : undefined, maxCloud, maxOffNadir, awayMetres };
}

function originOf({ ids, lons, lats }: Columns, rows: readonly number[]): Origin {
  return { ids: new Set(rows.map((row) => ids[row])), places: rows.map((row) => [lons[row], lats[row]]) };
}

async function hitOf(opened: OpenedStore, row: number, similarity: number): Promise<Hit> {
  const { rowOf } = await import('../similarity/index.ts');
  return { ...rowOf((await opened.loaded()).columns, row, opened.store.model), similarity };
}

/** Rounds that are gone through for answers that lie apart. */
const MOST_ROUNDS = 20;

/** Answers that follow from what is wanted and what is not. */
async function judged(opened: OpenedStore, question: Question): Promise<Found> {
  const { sift, startSearch } = await import('../similarity/index.ts');
  const { k, method = 'rocchio' } = question;
  const { columns, values } = await opened.loaded();
  const [accepted, rejected] = [await rowsNamed(opened, question.like), await rowsNamed(opened, question.unlike)];
  const seed = await seedOf(opened, question);
  const seeds = seed === undefined ? accepted : [seed];
  const query = question.tag === undefined ? seeds : await vectorOfTag(opened, question.tag);
  if (rejected.some((row) => seeds.includes(row) || accepted.includes(row)))
    throw new RequestError(400, 'unlike names a chip that is asked with, or liked: leave one out');
  const start = performance.now();
  const origin = originOf(columns, [...seeds, ...accepted, ...rejected]);
  const left = sift(columns, filterOf(question), origin);
  const admitted = new Uint8Array(columns.n);
  for (const row of left) admitted[row] = 1;
  const vectors = { values, width: opened.store.width };
  const found = left.length === 0 ? undefined : startSearch(vectors, opened.datasetRows(columns), { query, method, k, accepted, rejected, admit: (row) => admitted[row] === 1 }); // prettier-ignore
  const picked: { index: number; score: number }[] = [];
  for (let answers = found?.answers ?? []; answers.length > 0 && picked.length < k;) {
    for (const answer of answers) if (picked.length < k && (await isApart(columns, picked, answer, question))) picked.push(answer); // prettier-ignore
    answers = picked.length < k && found!.round < MOST_ROUNDS ? found!.next() : [];
  }
  const hits = await Promise.all(picked.map(({ index, score }) => hitOf(opened, index, score)));
  const asked = await Promise.all(seeds.map((row) => hitOf(opened, row, 1)));
  const milliseconds = performance.now() - start;
  return { hits, asked, recall: EXACT(k), milliseconds, left: left.length, score: method === 'rocchio' ? 'cosine' : 'probability' }; // prettier-ignore
}

async function isApart({ lons, lats }: Columns, picked: readonly { index: number }[], { index }: { index: number }, { apartMetres = 0 }: Question): Promise<boolean> {
  if (apartMetres === 0) return true;
  const { metresBetween } = await import('../similarity/index.ts');
  return picked.every((one) => metresBetween([lons[one.index], lats[one.index]], [lons[index], lats[index]]) >= apartMetres);
} // prettier-ignore

async function vectorOfTag({ store }: OpenedStore, tag: string): Promise<Float32Array> {
  const { search } = await import('../similarity/index.ts');
  return (await search(store, { tag }, { k: 1 })).asked.vector;
}

/** The row of a chip or a place asked with; nothing where something else is. */
async function seedOf(opened: OpenedStore, { chip, at, asOf }: Question): Promise<number | undefined> {
  if (chip) return (await rowsNamed(opened, [chip], asOf))[0];
  if (!at) return undefined;
  const { chipsUnder } = await import('../similarity/index.ts');
  const there = await opened.rowsOf();
  const id = chipsUnder(at).find((one) => there.has(one));
  if (id === undefined) throw new RequestError(404, `nothing is deployed at ${at.join(', ')} in table ${opened.store.name}: ask elsewhere, or deploy the cell there`); // prettier-ignore
  return (await rowsNamed(opened, [{ chip: id }], asOf))[0];
}

/** The rows of some names: of one without a date the newest, on some day or before where there is one. */
async function rowsNamed(opened: OpenedStore, names: readonly RowName[], asOf?: string): Promise<number[]> {
  const { columns } = await opened.loaded();
  const there = await opened.rowsOf();
  const newer = (a: number, b: number): number => (columns.dates[a] < columns.dates[b] ? 1 : columns.dates[a] > columns.dates[b] ? -1 : 0); // prettier-ignore
  return names.map(({ chip, date, catid }) => {
    const all = there.get(chip) ?? [];
    const fitting = all.filter((row) => (date === undefined || columns.dates[row] === date) && (catid === undefined || columns.catids[row] === catid)).sort(newer); // prettier-ignore
    if (fitting.length > 0)
      return fitting.find((row) => asOf === undefined || columns.dates[row] <= asOf) ?? fitting[0];
    const which = all.length === 0 ? `deploy its cell, ${chip.slice(0, 16)}` : `there is ${all.map((row) => `${columns.dates[row]} ${columns.catids[row]}`).join(', ')}`; // prettier-ignore
    throw new RequestError(404, `no chip ${[chip, date, catid].filter(Boolean).join(' ')} in table ${opened.store.name}: ${which}`); // prettier-ignore
  });
}
