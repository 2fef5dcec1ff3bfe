// Tiles with few blocks, quickly made, and the program that cuts them, in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type Cell, METRES_PER_PIXEL, TILE_PIXELS, cellOf, paddedZone, writeCog } from 'imagesim/ard';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));

/** Which blocks of a tile hold anything, and which pixels of them are real. */
export type Real = (column: number, row: number) => ((x: number, y: number) => boolean) | undefined;

/** Six blocks, three of them halved by a diagonal: 15 whole chips and 6 with an edge in them. */
const sixBlocks: Real = (column, row) => {
  if (column < 5 || column > 7 || row < 5 || row > 6) return undefined;
  return row === 5 ? (x, y) => x > y : () => true;
};

/** Writes a tile in its cell's place. @param seed of its noise @returns the path */
export async function writeSmallTile(
  path: string,
  { tileBounds, epsg }: Cell,
  real: Real = sixBlocks,
  seed = 0,
): Promise<string> {
  // prettier-ignore
  const [west, , , north] = tileBounds;
  await mkdir(dirname(path), { recursive: true });
  await writeCog(path, {
    width: TILE_PIXELS, height: TILE_PIXELS, epsg, origin: [west, north], metresPerPixel: METRES_PER_PIXEL, bands: 3,
    blocks: (column, row) => {
      const isReal = real(column, row);
      return isReal && { pixels: pixelsOf(column * 64 + row + seed), mask: Uint8Array.from({ length: 512 ** 2 }, (_, at) => +isReal(at % 512, at >> 9)) };
    },
  }); // prettier-ignore
  return path;
}

/** Noise of its own for each block, so that no two chips are the same. */
function pixelsOf(seed: number): Uint8Array {
  const pixels = new Uint8Array(512 ** 2 * 3);
  for (let at = 0, state = seed + 1; at < pixels.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    pixels[at] = (at % 89) + (state >>> 25);
  }
  return pixels;
}

/** A delivery of small tiles, one in each of so many cells of a zone that lie side by side. @returns their paths */
export function smallDelivery(folder: string, zone: number, cells: number): Promise<string[]> {
  const paths = Array.from({ length: cells }, (_, index) => {
    const cell = cellOf(zone, `0311330${index.toString(4).padStart(5, '0')}`);
    const path = join(folder, 'ard', paddedZone(zone), cell.quadkey, '2023-05-17/1030010000000001-visual.tif');
    return writeSmallTile(path, cell);
  });
  return Promise.all(paths);
}

/** A run of the program: its exit code, words, seconds and peak memory. */
export interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
  peakBytes: number;
  seconds: number;
}

/**
 * Told by the process itself as it ends; what it is started with does not reach its threads. Not `maxRSS`, which begins at
 * what the process that started it had.
 */
const PEAK = `data:text/javascript,import{readFileSync}from'node:fs';process.on('exit',()=>console.log(/VmHWM.*kB/.exec(readFileSync('/proc/self/status','utf8'))[0]))`;

/** Starts `imagesim chip` on a data folder. */
export function startChip(data: string, args: string[]): ChildProcess {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('IMAGESIM_')); // none of the tester's
  return spawn(process.execPath, ['--import', PEAK, cli, 'chip', ...args], {
    env: { ...Object.fromEntries(own), IMAGESIM_DATA: data },
    timeout: 600_000,
  });
}

/** Runs `imagesim chip` to its end. */
export async function runChip(data: string, args: string[]): Promise<Run> {
  const started = performance.now();
  const child = startChip(data, args);
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  const peakBytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(stdout)?.[1]) * 1024;
  return { code: child.exitCode, stdout, stderr, peakBytes, seconds: (performance.now() - started) / 1000 };
}
