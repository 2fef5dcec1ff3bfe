/** Chips on disk as images to be encoded. */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { dataRoot, eachUnit, paddedZone, squareId } from '../ard/index.ts';
import type { Outbox } from '../infra/index.ts';
import { type Chip, chipCells, datesOfCell, decodeImage, recordedChips } from '../chips/index.ts';
import { hashChips } from '../datasets/index.ts';
import {
  ALL_AT_ONCE,
  type CellSource,
  type ChipFault,
  type ChipName,
  type ZoneSource,
  byName,
  joined,
} from './zonesource.ts';

/** Cells of a bucket whose chips are counted at once. */
const CELLS_AT_ONCE = 16;

/**
 * The chips of a zone that a bucket holds: those of a cell are brought when it is opened, and removed when it is closed.
 *
 * @throws {Error} when there is none
 */
async function bucketSource(outbox: Outbox, zone: number): Promise<ZoneSource> {
  const here = outbox.at(outbox.inbox);
  const folder = `chips/${paddedZone(zone)}`;
  const quadkeys = (await here.folders(folder)).filter((name) => /^[0-3]{12}$/.test(name));
  const count = async (quadkey: string): Promise<{ quadkey: string; weight: number }> => ({ quadkey, weight: (await here.list(`${folder}/${quadkey}/`)).size }); // prettier-ignore
  const cells = await eachUnit(quadkeys, 'cells', count, { concurrency: CELLS_AT_ONCE });
  if (cells.length === 0) throw new Error(`no chips in ${outbox.address}/${folder}: run imagesim chip --zone ${zone} --to ${outbox.address}, or encode with --from ard`); // prettier-ignore
  const leftOut: string[] = [];
  const open = async (quadkey: string): Promise<CellSource> => {
    const files = [
      ...(await here.list(`${folder}/${quadkey}/`)),
      ...(await here.list(`nodata-index.parts/${squareId(zone, quadkey)}.json`)),
    ];
    await here.bring(files.map(([, file]) => file));
    const source = await openAt(here.root, zone, quadkey, leftOut);
    const close = (): Promise<void> => rm(join(here.root, folder, quadkey), { recursive: true, force: true });
    return { ...source, close };
  };
  return { cells, open, leftOut, failed: [] };
}

/** A cell's chips on disk, without those whose tile has gone. */
async function openAt(root: string, zone: number, quadkey: string, leftOut: string[]): Promise<CellSource> {
  const chipDir = join(root, 'chips', paddedZone(zone));
  const { recorded, orphans } = await recordedChips(
    join(root, 'nodata-index.json'),
    await chipsOfCell(chipDir, quadkey),
  );
  if (orphans.length > 0)
    leftOut.push(`${orphans.length} chips of tiles that are gone or unreadable, as ${orphans[0].path}: bring the tiles back and chip again, or delete the chips`); // prettier-ignore
  return openCell(chipDir, quadkey, recorded.sort(byName));
}

/** The chips of a zone as they lie under `chips/<zone>`. Those whose tile has gone are left out, as they are of datasets. */
export async function chipSource(dataPath: string, zone: number, outbox?: Outbox): Promise<ZoneSource> {
  const chipDir = join(dataRoot(dataPath), 'chips', paddedZone(zone));
  const cells: ZoneSource['cells'] = [];
  for (const quadkey of await chipCells(chipDir)) {
    let weight = 0;
    for await (const chips of datesOfCell(chipDir, quadkey)) weight += chips.length;
    if (weight > 0) cells.push({ quadkey, weight });
  }
  if (cells.length === 0 && outbox) return bucketSource(outbox, zone);
  if (cells.length === 0)
    throw new Error(`no chips in ${chipDir}: run imagesim chip --zone ${zone}, or encode with --from ard`);
  const leftOut: string[] = [];
  const open = (quadkey: string): Promise<CellSource> => openAt(dataRoot(dataPath), zone, quadkey, leftOut);
  return { cells, open, leftOut, failed: [] };
}

async function chipsOfCell(chipDir: string, quadkey: string): Promise<Chip[]> {
  const chips: Chip[] = [];
  for await (const some of datesOfCell(chipDir, quadkey)) chips.push(...some);
  return chips;
}

async function openCell(chipDir: string, quadkey: string, chips: readonly Chip[]): Promise<CellSource> {
  const paths = new Map(chips.map((chip) => [keyOf(chip), chip.path]));
  return {
    quadkey,
    chips: chips.map(({ id, catid, date }) => ({ id, catid, date })),
    identity: await identityOf(chipDir, chips),
    read: async (wanted, size, signal) => {
      const [read, faults]: [ChipName[], ChipFault[]] = [[], []];
      const images = await eachUnit(wanted, 'images', (chip) => decoded(chip, paths.get(keyOf(chip))!, size), {
        signal,
        concurrency: ALL_AT_ONCE,
      });
      const whole = images.filter((image, index) => {
        if (image instanceof Uint8Array) return read.push(wanted[index]) > 0;
        faults.push(image);
        return false;
      });
      return { chips: read, pixels: joined(whole as Uint8Array[], size * size * 3), faults };
    },
    close: async () => undefined,
  };
}

async function decoded(chip: ChipName, path: string, size: number): Promise<Uint8Array | ChipFault> {
  return decodeImage(path, size).catch((error: unknown) => ({
    ...chip,
    why: `cannot read the image ${path}: ${String(error).split('\n')[0]}; cut it again`,
  }));
}

/** Of the names and the contents of chips. What one reads of them is kept beside them: a chip that is as it was is not read for it again. */
async function identityOf(chipDir: string, chips: readonly Chip[]): Promise<string> {
  const { sha256 } = await hashChips(chipDir, chips);
  const lines = chips.map((chip, index) => `${keyOf(chip)} ${sha256[index]}`);
  return `chips ${createHash('sha256').update(lines.join('\n')).digest('hex')}`;
}

function keyOf({ id, catid, date }: ChipName): string {
  return `${date} ${catid} ${id}`;
}
