// A dataset's first version and the next one after one chip was changed, beside git, which hashes and stores the same files.
import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CHIPS_PER_SIDE, cellOf, chipIdAt } from 'imagesim/ard';
import {
  type Absent,
  type Bench,
  type BenchOptions,
  type Contest,
  type Peer,
  type Round,
  memoryFolder,
  rateOf,
} from './measure.ts';

const CELL_CHIPS = CHIPS_PER_SIDE ** 2;
const CHIP_BYTES = 4000;
const LABELS = 10;
/** Cells of which git is given the chips: rates are by chip, and with 600,000 files it did not end. */
const PEER_CELLS = 7;

/** Whether all is versioned for the first time, nothing known of any file; or again, one file changed. */
type Turn = 'first' | 'again';

async function open(turn: Turn, { scale }: BenchOptions): Promise<Contest> {
  const count = process.env.IMAGESIM_PROOF || scale === 'full' ? 600_000 : 60_000;
  const folder = await mkdtemp(join(await memoryFolder(2 * CHIP_BYTES * count), 'imagesim-bench-'));
  const changed = fill(join(folder, 'chips/33'), count);
  await setTimeout(2500); // what was written this moment would be read again next time
  const change = (): Promise<void> => writeFile(changed, randomBytes(CHIP_BYTES));
  const ours = async (): Promise<Round> => {
    if (turn === 'again') await change();
    else await rm(join(folder, 'datasets'), { recursive: true, force: true });
    return version(folder, turn);
  };
  if (turn === 'again') await version(folder, 'first');
  const peer = await openGit(folder, turn, change);
  const note = `${count} chips of ${CHIP_BYTES} bytes, git ${PEER_CELLS * 2 * CELL_CHIPS} of them; ${LABELS} labels: hashes, rows, table, manifest; finding the chips and labelling are not part of it`;
  return { ours, peer, note, close: () => rm(folder, { recursive: true, force: true }) };
}

/** A version of the chips on disk, made by a program that begins with it, as `git add` does. */
async function version(folder: string, turn: Turn): Promise<Round> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'version.ts'), folder, turn, String(LABELS)]); // prettier-ignore
  const { rate, read, count } = JSON.parse(stdout) as { rate: number; read: number; count: number };
  return { rate, found: foundOf(read, count) };
}

/** In the same words for both sides, however many chips each has. */
function foundOf(read: number, count: number): string {
  return read === count ? 'every chip read' : `chips read: ${read}`;
}

/** `git add` of the first cells' files into a repository of its own, without packing the pixels. */
async function openGit(folder: string, turn: Turn, change: () => Promise<void>): Promise<Peer | Absent> {
  const { stdout, error } = spawnSync('git', ['--version'], { encoding: 'utf8' });
  if (error) return { missing: `apt-get install git (${error.message})` };
  const store = join(folder, 'store.git');
  const git = (...args: string[]): Promise<unknown> =>
    promisify(execFile)('git', ['-c', 'core.compression=0', `--git-dir=${store}`, `--work-tree=${folder}`, ...args]);
  const init = async (): Promise<void> => {
    await rm(store, { recursive: true, force: true });
    await git('init', '-q');
  };
  const count = PEER_CELLS * 2 * CELL_CHIPS;
  const cells = (await readdir(join(folder, 'chips/33'))).sort().slice(0, PEER_CELLS);
  const add = (): Promise<unknown> => git('add', ...cells.map((cell) => `chips/33/${cell}`));
  await init();
  if (turn === 'again') await add();
  const round = async (): Promise<Round> => {
    if (turn === 'again') await change();
    else await init();
    return { rate: await rateOf(count, add), found: foundOf(turn === 'again' ? 1 : count, count) };
  };
  return { name: `${stdout.trim()} add`, round, close: () => undefined };
}

/** Writes chips of two dates, square after square. @returns the file of one, in the middle of those that git has too */
function fill(chipDir: string, count: number): string {
  const middle: string[] = [];
  for (let k = 0; k < count; k++) {
    const [catid, date] = k % 2 === 0 ? ['10400100BC69F3F8', '2022-06-14'] : ['103001007FBB177B', '2023-05-21'];
    const chip = (k >> 1) % CELL_CHIPS;
    const cell = cellOf(33, `0311112${Math.floor(k / CELL_CHIPS / 2).toString(4).padStart(5, '0')}`); // prettier-ignore
    const folder = join(chipDir, cell.quadkey, date);
    if (chip === 0) mkdirSync(folder, { recursive: true });
    const path = join(folder, `${chipIdAt(cell, Math.floor(chip / CHIPS_PER_SIDE), chip % CHIPS_PER_SIDE)}_${catid}.jpg`); // prettier-ignore
    writeFileSync(path, randomBytes(CHIP_BYTES));
    if (k === PEER_CELLS * CELL_CHIPS) middle.push(path);
  }
  return middle[0];
}

export const datasets: Bench[] = [
  { name: 'datasets: version', unit: 'chips/s', open: (options) => open('first', options) },
  { name: 'datasets: version, after one change', unit: 'chips/s', open: (options) => open('again', options) },
];
