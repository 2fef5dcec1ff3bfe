import { rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type Cell, type Delivery, type SourceFile, type Tile, cellFolder, openDelivery, readTiles, tilesOf, zonesOnDisk,
} from '../ard/index.ts'; // prettier-ignore
import { patiently } from './patience.ts';
import { looksSame } from './same.ts';
import { bringFiles } from './transfer.ts';

/** The tiles of a zone, on a disk or in a bucket. */
export interface Ground {
  /** In order of cell, date and catalogue id. The paths of their files are where they lie, or will lie once they are brought. */
  tiles: Tile[];
  /** Where a file lies now: a path, or the address of a bucket's object, parts of which can be read without bringing it. */
  addressOf: (path: string) => string;
  /** Bytes of a tile's file, and when it was last written: of a bucket's without bringing it. */
  facts: (path: string) => Promise<{ bytes: number; modified: Date }>;
  /** Brings such files of a tile as it has; on a disk they are there. @throws {Error} naming the file that arrives damaged */
  bring: (tile: Tile, kinds: readonly string[]) => Promise<void>;
  /** Removes what was brought of a cell; a delivery's own files stay. */
  forget: (cell: Cell) => Promise<void>;
}

/** Options of {@link openGround}. */
export interface GroundOptions {
  /** UTM zone. Default: all there are. */
  zone?: number | undefined;
  /** Folder that tiles are brought to, as a data folder holds them. */
  scratch: string;
  /** Told of a tile whose STAC item is damaged, which is left out. Default: throws. */
  onFault?: ((fault: Error) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Where the tiles of a zone are read: in the data folder, and where none of the zone lies there, in the bucket that what is made of
 * them goes to.
 */
export async function groundAddress(dataPath: string, zone: number, to: string | undefined): Promise<string> {
  if (to === undefined || (await zonesOnDisk(dataPath)).includes(zone)) return dataPath;
  return to;
}

/**
 * Looks which tiles of a zone there are.
 *
 * @param address a data folder, or an s3:// prefix that holds `ard`
 * @throws {Error} when there is none, saying what to do
 */
export async function openGround(address: string, options: GroundOptions): Promise<Ground> {
  return address.startsWith('s3://') ? inBucket(address, options) : onDisk(address, options);
}

/** Lists a zone of a delivery; a bucket that is away for some seconds is waited for. @throws {Error} when there is no tile in it */
export function openPatiently(address: string, zone: number | undefined, signal?: AbortSignal): Promise<Delivery> {
  return patiently(() => openDelivery(address, { zone }), { retries: 8, signal });
}

async function onDisk(dataPath: string, { zone, onFault }: GroundOptions): Promise<Ground> {
  return groundOf(await readTiles(dataPath, { zone, onFault }));
}

/** Tiles that lie on a disk. */
export function groundOf(tiles: Tile[]): Ground {
  return {
    tiles,
    addressOf: (path) => path,
    facts: async (path) => {
      const { size: bytes, mtime: modified } = await stat(path);
      return { bytes, modified };
    },
    bring: async () => undefined,
    forget: async () => undefined,
  };
}

async function inBucket(address: string, { zone, scratch, onFault, signal }: GroundOptions): Promise<Ground> {
  const delivery = await openPatiently(address, zone, signal);
  const files = new Map(delivery.files.map((file) => [file.key, file]));
  const objects = new Map<string, SourceFile>();
  const placed = ({ cell, date, files: keys, ...tile }: Tile): Tile => {
    const paths = Object.entries(keys).map(([kind, key]) => {
      const path = join(cellFolder(scratch, cell), date, basename(key));
      objects.set(path, files.get(key)!);
      return [kind, path];
    });
    return { ...tile, cell, date, files: Object.fromEntries(paths) as Tile['files'] };
  };
  const tiles = (await tilesOf(delivery, undefined, onFault)).map(placed);
  const coming = new Map<string, Promise<void>>();
  const bringOne = async (path: string): Promise<void> => {
    const file = objects.get(path)!;
    if (!(await looksSame(path, file))) await bringFiles(delivery.source, [{ file, path }], { signal });
  };
  return {
    tiles,
    addressOf: (path) => `${delivery.source.address.replace(/\/+$/, '')}/${objects.get(path)!.key}`,
    facts: async (path) => objects.get(path)!,
    bring: async ({ files: paths }, kinds) => {
      const wanted = kinds.flatMap((kind) => paths[kind] ?? []);
      const bringOnce = (path: string): Promise<void> => {
        if (!coming.has(path)) coming.set(path, bringOne(path));
        return coming.get(path)!;
      };
      await Promise.all(wanted.map(bringOnce));
    },
    forget: async (cell) => {
      for (const path of coming.keys()) if (path.startsWith(`${cellFolder(scratch, cell)}/`)) coming.delete(path);
      await rm(cellFolder(scratch, cell), { recursive: true, force: true });
    },
  };
}
