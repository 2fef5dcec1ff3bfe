import { availableParallelism } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Piscina } from 'piscina';
import { type Raster, CHIPS_PER_SIDE, cannotWrite, eachUnit, partName } from '../ard/index.ts';
import crop, { type CropTask, type Cropped } from './cropper.ts';

const BLOCK = 512;

let threads: Piscina | undefined;

/** Where chips go: each into a file of its own, or, as the bytes of one, to the caller. */
export type Sink = { pathOf: (chip: number) => string } | { onChip: (chip: number, bytes: Uint8Array) => void };

/**
 * Crops chips out of the JPEG blocks of a raster as they are, on a thread for each core where there are several.
 *
 * @param blocks chips by the block that they share, as `cutTile` numbers them
 * @returns the blocks that cannot be cropped and must be decoded: all where the raster is no JPEG in blocks of 512 px
 * @throws {Error} naming the raster, when a block is damaged; the file, when it cannot be written
 */
export async function cropBlocks(
  raster: Raster,
  blocks: Map<number, number[]>,
  sink: Sink,
  signal: AbortSignal | undefined,
): Promise<Map<number, number[]>> {
  const [level] = raster.levels;
  const jpeg = level.compression === 7 && level.blockSize === BLOCK ? await raster.jpegTables(0) : undefined;
  if (!jpeg) return blocks;
  const cores = availableParallelism();
  const run = cores > 1 ? await onThreads(cores) : here;
  const task = (row: [number, number[]][]): CropTask => ({
    path: raster.path,
    ...jpeg,
    blocks: row.map(([block, chips]) => ({ block, ...placeOf(raster, block), chips: chips.map(chipOf(sink)) })),
  });
  const work = async (row: [number, number[]][]): Promise<number[]> => {
    const cropped = await run(task(row));
    if (cropped.fault) throw faultOf(raster.path, cropped.fault);
    if ('onChip' in sink) for (const made of cropped.jpegs) sink.onChip(made.chip, made.jpeg);
    return cropped.rest;
  };
  const rest = await eachUnit(rowsOf(blocks), 'rows', work, { signal, concurrency: cores + 1 });
  return new Map(rest.flat().map((block) => [block, blocks.get(block)!]));
}

async function onThreads(cores: number): Promise<(task: CropTask) => Promise<Cropped>> {
  const { Piscina } = await import('piscina');
  // execArgv: what the process itself was started with would be loaded in every thread
  threads ??= new Piscina({ filename: new URL('./cropper.js', import.meta.url).href, maxThreads: cores, idleTimeout: 2000, execArgv: [] }); // prettier-ignore
  const pool = threads;
  return (task) => pool.run(task) as Promise<Cropped>;
}

/** For one core: a thread more would take 60 MB and its own start, only to take turns with this one. */
async function here(task: CropTask): Promise<Cropped> {
  await nextTurn(); // whoever wants to stop, or to show a sign of life, comes first
  return crop(task);
}

/** Blocks side by side: a task of some hundred chips. */
function rowsOf(blocks: ReadonlyMap<number, number[]>): [number, number[]][][] {
  const rows = new Map<number, [number, number[]][]>();
  for (const entry of blocks) {
    const row = Math.floor(entry[0] / BLOCK);
    rows.set(row, [...(rows.get(row) ?? []), entry]);
  }
  return [...rows.values()];
}

/** Where a block lies in the file: those of the cell begin after one of the apron. */
function placeOf({ levels: [level] }: Raster, block: number): { offset: number; bytes: number } {
  const at = (Math.floor(block / BLOCK) + 1) * level.blocksAcross + (block % BLOCK) + 1;
  return { offset: level.offsets[at], bytes: level.byteCounts[at] };
}

function chipOf(sink: Sink): (chip: number) => CropTask['blocks'][number]['chips'][number] {
  return (chip) => {
    const quarter = (Math.floor(chip / CHIPS_PER_SIDE) & 1) * 2 + (chip & 1);
    if ('onChip' in sink) return { chip, quarter };
    const path = sink.pathOf(chip);
    return { chip, quarter, file: { path, part: partName(path) } };
  };
}

function faultOf(path: string, { message, code, file, part, block }: NonNullable<Cropped['fault']>): unknown {
  if (code !== undefined && file !== undefined)
    return cannotWrite(file, part!, Object.assign(new Error(message), { code, path: part }));
  const place = `block ${(block % BLOCK) + 1} from the west, ${Math.floor(block / BLOCK) + 1} from the north`;
  return new Error(`${path} holds a damaged JPEG block (${message}; ${place}): fetch it again`);
}
