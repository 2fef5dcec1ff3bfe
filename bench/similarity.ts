// Search in stores beside faiss and hnswlib, a store that grows by one cell, and one bit a number in place of thirty-two.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHIPS_PER_SIDE, cellOf, chipIds } from 'imagesim/ard';
import type { DatasetRow } from 'imagesim/datasets';
import {
  type Answers, type SearchOptions, type Store, averagePrecision, bitCodes, bitNearest, deployStore, extendStore, nearest, openStore, search, vectorAt,
} from 'imagesim/similarity'; // prettier-ignore
import { type Bench, type Contest, type Round, openPeer, rateOf } from './measure.ts';
import { clusteredVectors } from './vectors.ts';

/** A million with IMAGESIM_PROOF. */
const ROWS = process.env.IMAGESIM_PROOF ? 1_000_000 : 200_000;
const WIDTH = 128;
const K = 10;
/** Every hundredth row has the tag that is filtered by. */
const EVERY = 100;
const QUESTIONS = 20;
/** More for the recall: by twenty it is told to two points only. */
const JUDGED = 100;
const CELL_CHIPS = CHIPS_PER_SIDE ** 2;
const REMEDY = 'apt-get install python3-faiss python3-hnswlib';

/** A store that all rows of the table ask. */
interface Ground {
  folder: string;
  store: Store;
  values: Float32Array;
  /** The vectors as a file, for peers. */
  path: string;
  /** What it took to make. */
  said: string;
}

let ground: Promise<Ground> | undefined;

async function makeGround(): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const values = clusteredVectors(ROWS, WIDTH, 'bench');
  const path = join(folder, 'vectors.f32');
  await writeFile(path, values);
  const start = performance.now();
  await deployStore(folder, 'bench', rowsOf(ROWS), { values, width: WIDTH }, 'bench@1');
  const deployed = (performance.now() - start) / 1000;
  const store = await openStore(folder, 'bench');
  const before = process.memoryUsage();
  const begun = performance.now();
  const { values: loaded } = await store.load();
  const seconds = (performance.now() - begun) / 1000;
  const bytes = process.memoryUsage().rss - before.rss;
  const { partitions, probes, recall, buildSeconds } = store.index!;
  const reached = recall.map(({ k, recall: share, milliseconds }) => `@${k} ${share.toFixed(3)} in ${milliseconds.toFixed(1)} ms`);
  const said = `${ROWS} × ${WIDTH} clustered vectors; deployed in ${deployed.toFixed(0)} s, of that index ${buildSeconds.toFixed(0)} s (${probes} of ${partitions} groups, recall ${reached.join(', ')}); into memory in ${seconds.toFixed(1)} s, ${(bytes / 1e6).toFixed(0)} MB`;
  return { folder, store, values: loaded, path, said };
} // prettier-ignore

function rowsOf(n: number, first = 0): DatasetRow[] {
  const ids: string[] = [];
  for (let cell = first; ids.length < n; cell++) {
    const quadkey = `0311${cell.toString(4).padStart(8, '0')}`;
    ids.push(...chipIds(cellOf(33, quadkey)));
  }
  return ids.slice(0, n).map((id, at): DatasetRow => ({
    id, catid: '103001007FBB177B', date: '2023-05-21', split: 'test', weight: 1, labels: { all: 1, ...(at % EVERY === 0 && { rare: 1 }) },
  })); // prettier-ignore
}

/** Rows that ask, evenly spread: those that a filter leaves are among them, and none by which the index was tuned. */
function questions(count = QUESTIONS): number[] {
  return Array.from({ length: count }, (_, at) => Math.floor(((at + 0.5) * ROWS) / count));
}

async function openSearch(what: 'exact' | 'approximate' | 'filtered'): Promise<Contest> {
  const { store, values, path, said } = await (ground ??= makeGround());
  const options: SearchOptions = { k: K, exact: what === 'exact', ...(what === 'filtered' && { tags: ['rare'] }) };
  const ask = (row: number): Promise<Answers> =>
    search(store, { vector: values.slice(row * WIDTH, (row + 1) * WIDTH) }, options);
  const found = await recallOf(questions(JUDGED), values, ask, what === 'filtered' ? EVERY : 1);
  const times: number[] = [];
  const ours = async (): Promise<Round> => ({
    rate: await rateOf(QUESTIONS, async () => {
      for (const row of questions()) times.push((await ask(row)).milliseconds);
    }),
  });
  const task = {
    what,
    path,
    width: WIDTH,
    k: K,
    every: EVERY,
    questions: questions(),
    threads: availableParallelism(),
  };
  const peer = await openPeer('vectors.py', task, REMEDY);
  return { ours, peer, note: `recall@${K} of ours ${found.toFixed(3)} on ${JUDGED} questions; ${said}` };
}

/** Share of the answers of a full sort that are found. */
async function recallOf(
  asking: readonly number[],
  values: Float32Array,
  ask: (row: number) => Promise<Answers>,
  every: number,
): Promise<number> {
  const ids = rowsOf(ROWS).map(({ id }) => id);
  let found = 0;
  for (const row of asking) {
    const { hits } = await ask(row);
    const query = values.slice(row * WIDTH, (row + 1) * WIDTH);
    const truth = nearest({ values, width: WIDTH }, query, { k: K, admit: (at) => at % every === 0 });
    found += truth.filter(({ index }) => hits.some(({ id }) => id === ids[index])).length / K / asking.length;
  }
  return found;
}

/** One-bit codes with the first 200 put in order again, beside the cosine over all; and the average precision that is lost by it. */
async function openBits(): Promise<Contest> {
  const n = Math.min(ROWS, 50_000);
  const values = clusteredVectors(n, WIDTH, 'bench');
  const vectors = { values, width: WIDTH };
  const codes = bitCodes(vectors);
  const asking = Array.from({ length: QUESTIONS }, (_, at) => Math.floor((at * n) / QUESTIONS));
  const round = async (answer: (query: Float32Array) => unknown): Promise<Round> => ({
    rate: await rateOf(QUESTIONS, () => asking.forEach((row) => answer(vectorAt(vectors, row)))),
  });
  return {
    ours: () => round((query) => bitNearest(codes, vectors, query, { k: K })),
    peer: { name: 'the cosine over all', round: () => round((query) => nearest(vectors, query, { k: K })), close: () => undefined },
    note: `${n} rows, ${((4 * WIDTH * n) / 1e6).toFixed(0)} MB as numbers, ${((WIDTH * n) / 8e6).toFixed(1)} MB as bits; ${bitsLost(n)}`,
  };
} // prettier-ignore

/** How much of the average precision at a hundred answers bits lose: the right ones are the hundred that the cosine finds. */
function bitsLost(n: number): string {
  const values = clusteredVectors(n, WIDTH, 'bench');
  const vectors = { values, width: WIDTH };
  const codes = bitCodes(vectors);
  const scores = [200, 2000, 4000].map((candidates) => {
    const precisions = Array.from({ length: QUESTIONS }, (_, at) => {
      const query = vectorAt(vectors, Math.floor((at * n) / QUESTIONS));
      const right = new Set(nearest(vectors, query, { k: 100 }).map(({ index }) => index));
      const found = bitNearest(codes, vectors, query, { k: 100, candidates });
      const all = found.map(({ index }) => (right.has(index) ? 1 : 0));
      return (averagePrecision(all) * all.filter((value) => value === 1).length) / right.size;
    });
    return `${candidates} candidates${candidates === 2000 ? ' (the default)' : ''} ${(precisions.reduce((sum, value) => sum + value, 0) / QUESTIONS).toFixed(4)}`;
  });
  return `average precision beside the cosine's hundred: ${scores.join(', ')}`;
}

/** A cell of 4,096 chips that comes to a big store, each round another. */
async function openGrowth(): Promise<Contest> {
  const { folder, values } = await (ground ??= makeGround());
  const vectors = { values: values.subarray(0, CELL_CHIPS * WIDTH), width: WIDTH };
  let cell = 10_000;
  return {
    ours: async () => {
      const rows = rowsOf(CELL_CHIPS, cell++);
      return { rate: await rateOf(CELL_CHIPS, () => extendStore(folder, 'bench', rows, vectors, 'bench@1')) };
    },
    peer: { missing: 'faiss and hnswlib keep no versions' },
    note: `to ${ROWS} rows and those of earlier rounds`,
  };
}

export const similarity: Bench[] = [
  { name: 'similarity: exact', unit: 'questions/s', open: () => openSearch('exact') },
  { name: 'similarity: approximate', unit: 'questions/s', open: () => openSearch('approximate') },
  { name: 'similarity: 1 % filter', unit: 'questions/s', open: () => openSearch('filtered') },
  { name: 'similarity: add a cell', unit: 'chips/s', open: openGrowth },
  { name: 'similarity: bits', unit: 'questions/s', open: openBits },
];
