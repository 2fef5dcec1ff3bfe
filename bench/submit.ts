// Workers beside each other: the same cells cut by two processes of one core each, and by one. Twice the rate is all there is; 1.7 of it is an efficiency of 0.85.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cellOf } from 'imagesim/ard';
import { writeSmallTile } from '../test/chips/small.ts';
import { type Bench, type Contest, type Round, memoryFolder, spreadOf } from './measure.ts';

const cli = fileURLToPath(new URL('../kernel-lib/bin/imagesim.js', import.meta.url));
/**
 * Cells, and blocks a side of each that hold pixels: 1,600 chips a cell and date. Work for one worker's half a minute or more, so that the
 * start of the program, a second until its code is compiled too, weighs little: a shard of the real thing takes hours.
 */
const [CELLS, BLOCKS] = [8, 20];
const DATES = Array.from({ length: 9 }, (_, index) => `${2015 + index}-05-17`);

/** Has a process say at its end how long it had the processor. */
const SPENT = `data:text/javascript,process.on('exit',()=>{const{user,system}=process.cpuUsage();console.error('spent '+(user+system)/1e6)})`;

/** Runs `imagesim` on one core. @returns its last line, and seconds of the processor @throws {Error} with what it said, when it fails */
export async function onCore(core: number, words: readonly string[], data: string): Promise<{ line: string; seconds: number }> {
  const child = spawn('taskset', ['-c', String(core), process.execPath, '--import', SPENT, cli, ...words], {
    env: { ...process.env, IMAGESIM_DATA: data },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const spent = [...stderr.matchAll(/^spent ([\d.]+)$/gm)].at(-1)?.[1];
  if (child.exitCode !== 0 || spent === undefined) throw new Error(`imagesim ${words.join(' ')}: ${stderr}`);
  return { line: stdout.trimEnd().split('\n').at(-1)!, seconds: Number(spent) };
} // prettier-ignore

const ARITHMETIC =
  'const start=performance.now();for(let i=0,sum=0;i<5e8;i++)sum=(sum+i*i)|0;console.log(performance.now()-start)';

/** Milliseconds that the same arithmetic takes on each of so many cores at once; of the slowest. */
async function arithmetic(workers: number): Promise<number> {
  const spins = Array.from({ length: workers }, (_, core) => promisify(execFile)('taskset', ['-c', String(core), process.execPath, '-e', ARITHMETIC])); // prettier-ignore
  return Math.max(...(await Promise.all(spins)).map(({ stdout }) => Number(stdout)));
}

/** Cuts all cells under `ard` by so many workers, each on a core of its own. @returns chips a second, starts of the program included */
async function cutBy(workers: number, ard: string): Promise<Round & { spent: number }> {
  const data = await mkdtemp(join(await memoryFolder(3 * 2 ** 31), 'imagesim-bench-submit-'));
  await symlink(ard, join(data, 'ard'));
  const start = performance.now();
  const cores = Array.from({ length: workers }, (_, core) => core);
  const said = await Promise.all(cores.map((core) => onCore(core, ['chip', '--zone', '33', '--shard', `${core}/${workers}`], data))); // prettier-ignore
  const seconds = (performance.now() - start) / 1000;
  await rm(data, { recursive: true, force: true });
  const cut = said.reduce((sum, { line }) => sum + Number(/^(\d+) chips/.exec(line)?.[1]), 0);
  const spent = said.reduce((sum, one) => sum + one.seconds, 0);
  return { rate: cut / seconds, found: `${cut} chips cut`, spent };
}

async function open(): Promise<Contest> {
  if (availableParallelism() < 2) throw new Error('found one core: two workers want one each');
  const data = await mkdtemp(join(tmpdir(), 'imagesim-bench-submit-'));
  for (let index = 0; index < CELLS; index++) {
    const cell = cellOf(33, `0311330${index.toString(4).padStart(5, '0')}`);
    const inside = (at: number): boolean => at >= 5 && at < 5 + BLOCKS;
    const [first, ...others] = DATES.map((date) =>
      join(data, 'ard/33', cell.quadkey, date, '1030010000000001-visual.tif'),
    );
    await writeSmallTile(first, cell, (column, row) => (inside(column) && inside(row) ? () => true : undefined));
    for (const other of others) {
      await mkdir(dirname(other));
      await link(first, other);
    }
  }
  const ard = join(data, 'ard');
  const paces = { 1: [] as number[], 2: [] as number[] };
  const round = async (workers: 1 | 2): Promise<Round> => {
    paces[workers].push(await arithmetic(workers));
    const cut = await cutBy(workers, ard);
    paces[workers].push(await arithmetic(workers));
    return cut;
  };
  const note = (): string => {
    const machine = (2 * spreadOf(paces[1]).median) / spreadOf(paces[2]).median;
    return `${CELLS} cells of ${DATES.length} dates, each worker on a core of its own, start and merge of the index within the time; plain arithmetic, before and after each round: ${machine.toFixed(2)} times as much by two cores as by one`;
  };
  return {
    ours: () => round(2),
    peer: { name: 'one worker; half the ratio is the efficiency', round: () => round(1), close: () => undefined },
    note,
    close: () => rm(data, { recursive: true, force: true }),
  };
}

export const submit: Bench[] = [{ name: 'submit: chip at scale, by two workers', unit: 'chips/s', open }];
