/** Chips of a delivery as images to be encoded, none of them cut into a file. */
import { createHash } from 'node:crypto';
import { eachUnit } from '../ard/index.ts';
import type { Outbox } from '../infra/index.ts';
import { NotIndexedError, type UncutCell, type UncutTile, type UncutZone, decodeImage, openUncut, uncutZone } from '../chips/index.ts'; // prettier-ignore
import {
  ALL_AT_ONCE,
  type CellSource,
  type ChipFault,
  type ChipName,
  type ZoneSource,
  byName,
  joined,
} from './zonesource.ts';

/**
 * The real chips of a zone's tiles, straight out of their rasters.
 *
 * @param outbox as `uncutZone` takes it
 */
export async function ardSource(dataPath: string, zone: number, outbox?: Outbox): Promise<ZoneSource> {
  const uncut = await uncutZone(dataPath, zone, outbox);
  const { cells, leftOut, failed } = uncut;
  if (cells.length === 0 && failed.length === 0)
    throw new Error(`no ${uncut.cut.product} raster of zone ${zone} in ${dataPath}: bring tiles with imagesim sync, or make a sample`); // prettier-ignore
  const byQuadkey = new Map(cells.map((cell) => [cell.quadkey, cell]));
  return {
    cells: cells.map(({ quadkey, bytes }) => ({ quadkey, weight: bytes })),
    open: (quadkey) => openCell(byQuadkey.get(quadkey)!, uncut),
    leftOut,
    failed,
  };
}

async function openCell({ quadkey, tiles }: UncutCell, zone: UncutZone): Promise<CellSource> {
  const opened = new Map<string, UncutTile>();
  for (const tile of tiles) {
    try {
      opened.set(acquisitionOf(tile), await openUncut(tile, zone));
    } catch (error) {
      (error instanceof NotIndexedError ? zone.leftOut : zone.failed).push((error as Error).message);
    }
  }
  const all = [...opened.values()];
  const names = all.flatMap(({ tile: { catid, date }, chips }) => [...chips.keys()].map((id) => ({ id, catid, date })));
  if (all.length > 0 && names.length === 0) zone.leftOut.push(`${quadkey}: none of its chips is real`);
  const identity = all.map((tile) => tile.identity).sort().join('\n'); // prettier-ignore
  return {
    quadkey,
    chips: names.sort(byName),
    identity: `ard ${createHash('sha256').update(identity).digest('hex')}`,
    read: (wanted, size, signal) => readChips(opened, wanted, size, signal),
    close: async () => {
      for (const tile of all) await tile.close();
      if (tiles.length > 0) await zone.ground.forget(tiles[0].cell);
    },
  };
}

/** A tile with a damaged block is at fault as a whole, as none of its chips would be cut: it is forgotten, so that the rest is not tried. */
async function readChips(
  tiles: Map<string, UncutTile>,
  wanted: readonly ChipName[],
  size: number,
  signal: AbortSignal | undefined,
): ReturnType<CellSource['read']> {
  const [chips, images, faults]: [ChipName[], Uint8Array[], ChipFault[]] = [[], [], []];
  for (const [key, some] of byAcquisition(wanted)) {
    const tile = tiles.get(key);
    if (!tile) continue;
    const indices = some.map(({ id }) => tile.chips.get(id)!);
    try {
      const files = await tile.read(indices, signal);
      const decode = (_: ChipName, at: number): Promise<Uint8Array> => decodeImage(files.get(indices[at])!, size);
      images.push(...(await eachUnit(some, 'images', decode, { signal, concurrency: ALL_AT_ONCE })));
      chips.push(...some);
    } catch (error) {
      signal?.throwIfAborted();
      tiles.delete(key);
      const [{ catid, date }] = some;
      faults.push({ catid, date, why: (error as Error).message.split('\n')[0] });
    }
  }
  return { chips, pixels: joined(images, size * size * 3), faults };
}

function byAcquisition(chips: readonly ChipName[]): Map<string, ChipName[]> {
  const groups = new Map<string, ChipName[]>();
  for (const chip of chips) {
    const key = acquisitionOf(chip);
    groups.set(key, [...(groups.get(key) ?? []), chip]);
  }
  return groups;
}

function acquisitionOf({ date, catid }: Omit<ChipName, 'id'>): string {
  return `${date} ${catid}`;
}
