// A dataset's first version and the next one after one chip was changed, beside git, which hashes and stores the same files.
import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CHIPS_PER_SIDE, cellOf, chipIdAt } from 'imagesim/ard';
import { type DatasetRow, hashChips, rowPath, writeDataset } from 'imagesim/datasets';
import { type Absent, type Bench, type BenchOptions, type Contest, type Peer, type Round, rateOf } from './measure.ts';

const CELL_CHIPS = CHIPS_PER_SIDE ** 2;
const CHIP_BYTES = 12_000;
const LABELS = Array.from({ length: 8 }, (_, k) => `label ${k}`);

/** Whether all is versioned for the first time, nothing known of any file; or again, one file changed. */
type Turn = 'first' | 'again';

async function open(turn: Turn, { scale }: BenchOptions): Promise<Contest> {
  const count = process.env.IMAGESIM_PROOF || scale === 'full' ? 600_000 : 60_000;
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  const rows = Array.from({ length: count }, (_, k) => rowAt(k));
  await fill(folder, rows);
  await setTimeout(2500); // what was written this moment would be read again next time
  const change = (): Promise<void> => writeFile(rowPath(folder, rows[count >> 1]), randomBytes(CHIP_BYTES));
  const ours = async (): Promise<Round> => {
    if (turn === 'again') await change();
    else await rm(join(folder, 'datasets'), { recursive: true, force: true });
    let read = 0;
    const rate = await rateOf(count, async () => (read = await version(folder, rows, turn)));
    return { rate, found: `${read} of ${count} chips read` };
  };
  if (turn === 'again') await version(folder, rows, 'first');
  const peer = await openGit(folder, count, turn, change);
  const note = `${count} chips of ${CHIP_BYTES} bytes, ${LABELS.length} labels: hashes, table, manifest; labelling is not part of it`;
  return { ours, peer, note, close: () => rm(folder, { recursive: true, force: true }) };
}

async function version(folder: string, rows: readonly DatasetRow[], turn: Turn): Promise<number> {
  const { sha256, read } = await hashChips(join(folder, 'chips/33'), rows, { again: turn === 'first' });
  const rules = LABELS.map((label) => ({ label, tags: [`tag=${label}`], measure: 'area' as const, atLeast: 0.05 }));
  const facts = { name: 'bench', zone: 33, schema: { version: 1 as const, labels: rules }, split: { seed: 1 }, licences: [] }; // prettier-ignore
  await writeDataset(folder, facts, rows.map((row, k) => ({ ...row, sha256: sha256[k] }))); // prettier-ignore
  return read;
}

/** `git add` of the same files into a repository of its own, without packing the pixels. */
async function openGit(folder: string, count: number, turn: Turn, change: () => Promise<void>): Promise<Peer | Absent> {
  const { stdout, error } = spawnSync('git', ['--version'], { encoding: 'utf8' });
  if (error) return { missing: `apt-get install git (${error.message})` };
  const store = join(folder, 'store.git');
  const git = (...args: string[]): Promise<unknown> =>
    promisify(execFile)('git', ['-c', 'core.compression=0', `--git-dir=${store}`, `--work-tree=${folder}`, ...args]);
  const init = async (): Promise<void> => {
    await rm(store, { recursive: true, force: true });
    await git('init', '-q');
  };
  await init();
  if (turn === 'again') await git('add', 'chips');
  const round = async (): Promise<Round> => {
    if (turn === 'again') await change();
    else await init();
    return { rate: await rateOf(count, () => git('add', 'chips')), found: `${turn === 'again' ? 1 : count} of ${count} chips read` }; // prettier-ignore
  };
  return { name: `${stdout.trim()} add`, round, close: () => undefined };
}

function rowAt(k: number): DatasetRow {
  const chip = (k >> 1) % CELL_CHIPS;
  const cell = cellOf(33, `0311112${Math.floor(k / CELL_CHIPS / 2).toString(4).padStart(5, '0')}`); // prettier-ignore
  return {
    id: chipIdAt(cell, Math.floor(chip / CHIPS_PER_SIDE), chip % CHIPS_PER_SIDE),
    catid: k % 2 === 0 ? '10400100BC69F3F8' : '103001007FBB177B',
    date: k % 2 === 0 ? '2022-06-14' : '2023-05-21',
    split: (['train', 'validation', 'test', 'buffer'] as const)[(chip >> 8) % 4],
    weight: k % 3 === 0 ? 0.5 : 1,
    labels: Object.fromEntries(LABELS.map((label, at) => [label, ([0, 1, null] as const)[(k * 7 + at * 3) % 3]])),
    gapDays: k % 2 === 0 ? 352 : 11,
    offNadir: 12.3,
    gsd: 0.46,
  };
}

async function fill(folder: string, rows: readonly DatasetRow[]): Promise<void> {
  let last = '';
  for (const row of rows) {
    const path = rowPath(folder, row);
    if (dirname(path) !== last) await mkdir((last = dirname(path)), { recursive: true });
    await writeFile(path, randomBytes(CHIP_BYTES));
  }
}

export const datasets: Bench[] = [
  { name: 'datasets: version', unit: 'chips/s', open: (options) => open('first', options) },
  { name: 'datasets: version, after one change', unit: 'chips/s', open: (options) => open('again', options) },
];
