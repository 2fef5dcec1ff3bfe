import { closeSync, openSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Room } from './bitwriter.ts';
import { type Photometric } from './jpegframe.ts';
import { quarterViews } from './jpegcrop.ts';

/** Blocks of a raster that chips are cropped out of. */
export interface CropTask {
  path: string;
  /** Of the TIFF tag JPEGTables. */
  tables: Uint8Array;
  photometric: Photometric;
  blocks: {
    block: number;
    offset: number;
    bytes: number;
    /** Which quarter of the block each is; of one that is to be a file, where it goes, and the name that it has until it is whole. */
    chips: { chip: number; quarter: number; file?: { path: string; part: string } }[];
  }[];
}

/** What came of it. */
export interface Cropped {
  /** Blocks that cannot be cropped and must be decoded. */
  rest: number[];
  /** Chips that are to be no files. */
  jpegs: { chip: number; jpeg: Uint8Array }[];
  /** What ended it: a block that is damaged, or, with its code, a file that cannot be written. */
  fault?: { message: string; block: number; code?: string; file?: string; part?: string };
}

/** What `cropBlocks` has done, on threads where there are several cores: it waits for the disk, having nothing else to do. */
export default function crop({ path, blocks, ...jpeg }: CropTask): Cropped {
  const [rest, jpegs]: [number[], Cropped['jpegs']] = [[], []];
  const file = openSync(path, 'r');
  try {
    for (const { block, offset, bytes, chips } of blocks) {
      const onRest = (): void => void rest.push(block);
      const fault = cropBlock(readBlock(file, offset, bytes), chips, jpeg, { jpegs, onRest });
      if (fault) return { rest, jpegs, fault: { ...fault, block } };
    }
    return { rest, jpegs };
  } finally {
    closeSync(file);
  }
}

const room = new Room();

/** @returns what holds until the next is read */
function readBlock(file: number, offset: number, bytes: number): Uint8Array {
  const block = room.of(bytes);
  return block.subarray(0, readSync(file, block, 0, bytes, offset));
}

function cropBlock(
  block: Uint8Array,
  chips: CropTask['blocks'][number]['chips'],
  { tables, photometric }: Pick<CropTask, 'tables' | 'photometric'>,
  { jpegs: made, onRest }: Pick<Cropped, 'jpegs'> & { onRest: () => void },
): Omit<NonNullable<Cropped['fault']>, 'block'> | undefined {
  let jpegs: (Uint8Array | undefined)[];
  try {
    jpegs = quarterViews(block, tables, { photometric, quarters: chips.map(({ quarter }) => quarter) });
  } catch (error) {
    return { message: (error as Error).message };
  }
  if (jpegs.includes(undefined)) {
    onRest();
    return undefined;
  }
  for (const [index, { chip, file }] of chips.entries()) {
    if (!file) made.push({ chip, jpeg: jpegs[index]!.slice() });
    const fault = file && writeNamed(jpegs[index]!, file.path, file.part);
    if (fault) return fault;
  }
  return undefined;
}

/** Writes a file whole or not at all. */
function writeNamed(
  content: Uint8Array,
  path: string,
  part: string,
): Omit<NonNullable<Cropped['fault']>, 'block'> | undefined {
  try {
    writeFileSync(part, content);
    renameSync(part, path);
    return undefined;
  } catch (error) {
    rmSync(part, { force: true });
    const { message, code = 'EIO' } = error as NodeJS.ErrnoException;
    return { message, code, file: path, part };
  }
}
