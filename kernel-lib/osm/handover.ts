import { type Cell, type SourceFile, type StepOptions, cellFolder, bareTilesOf, paddedZone } from '../ard/index.ts';
import { type Outbox, groundAddress, openPatiently, outboxOf } from '../infra/index.ts';
import { metaPath, osmPath } from './read.ts';

/** Where maps of cells are written, and where they go from there. */
export interface OsmPlace {
  /** Data folder that they are written in. */
  root: string;
  /** Brings a cell's map from the bucket, if it holds one. */
  bring: (cell: Cell) => Promise<void>;
  /** Puts a cell's map into the bucket, the map itself last, and removes it here. What it refuses is told by {@link failed}. */
  hand: (cell: Cell) => Promise<void>;
  /** Why maps could not be put, and stay here. */
  failed: string[];
}

/** Maps that stay in the data folder, or go to a bucket. @param to s3:// prefix. Default: they stay */
export function osmPlace(dataPath: string, to: string | undefined, { signal }: Pick<StepOptions, 'signal'>): OsmPlace {
  const outbox = outboxOf(dataPath, to, signal);
  if (!outbox) return { root: dataPath, bring: async () => undefined, hand: async () => undefined, failed: [] };
  const held = new Map<string, ReadonlyMap<string, SourceFile>>();
  const failed: string[] = [];
  return {
    root: outbox.root,
    failed,
    bring: async (cell) => {
      const there = await mapThere(outbox, cell);
      held.set(cell.id, there);
      await outbox.bring(there.values());
    },
    hand: async (cell) => {
      const [files, record] = [[metaPath(outbox.root, cell)], osmPath(outbox.root, cell)];
      const there = held.get(cell.id);
      await outbox.put({ files, record, there }).catch((error: unknown) => {
        signal?.throwIfAborted();
        failed.push((error as Error).message);
      });
    },
  };
}

async function mapThere(outbox: Outbox, cell: Cell): Promise<Map<string, SourceFile>> {
  const keys = new Set([osmPath, metaPath].map((path) => outbox.keyOf(path(outbox.root, cell))));
  const found = await outbox.list(`${outbox.keyOf(cellFolder(outbox.root, cell))}/osm_data`);
  return new Map([...found].filter(([key]) => keys.has(key)));
}

/**
 * Cells of a zone whose tiles lie in a bucket, and the bytes of their rasters.
 *
 * @returns nothing where tiles of the zone lie in the data folder, or nothing goes to a bucket
 */
export async function cellsInBucket(
  dataPath: string,
  zone: number,
  to: string | undefined,
): Promise<Map<Cell, number> | undefined> {
  const address = await groundAddress(dataPath, zone, to);
  if (!address.startsWith('s3://')) return undefined;
  const delivery = await openPatiently(address, zone);
  const cells = new Map(bareTilesOf(delivery).map(({ cell }) => [cell.quadkey, cell]));
  const bytes = new Map<string, number>([...cells.keys()].map((quadkey) => [quadkey, 0]));
  for (const { key, bytes: size } of delivery.files) {
    const quadkey = key.endsWith('.tif')
      ? key.slice(`${delivery.prefix}${paddedZone(zone)}/`.length).split('/')[0]
      : '';
    if (bytes.has(quadkey)) bytes.set(quadkey, bytes.get(quadkey)! + size);
  }
  return new Map([...cells].map(([quadkey, cell]) => [cell, bytes.get(quadkey)!]));
}
