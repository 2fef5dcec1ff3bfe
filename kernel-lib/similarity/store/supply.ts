/** What a deploy is made of: cells, tiles, embeddings and maps, in the data folder or in a bucket. */
import { join } from 'node:path';
import { type Cell, type SourceFile, type Tile, cellOf, cellsOnDisk, dataRoot, eachUnit, openSource, paddedZone, tilesOf, zonesOnDisk } from '../../ard/index.ts'; // prettier-ignore
import { type LentFile, type Outbox, lentInBucket, lentOnDisk } from '../../infra/index.ts';
import { osmPath } from '../../osm/index.ts';

/** The tiles of a cell, and the marks of their STAC items. */
export interface CellTiles {
  tiles: Tile[];
  /** Name and mark of each item. */
  items: [name: string, mark: string][];
}

/** Where a deploy finds what it is made of. */
export interface Supply {
  /** `ard` of the data folder or the bucket, for messages. */
  address: string;
  zones: () => Promise<number[]>;
  /** Every cell of a zone that has a folder. */
  cells: (zone: number) => Promise<Cell[]>;
  /** Tiles of some cells by cell id, with what their STAC items say. */
  tiles: (zone: number, cells: readonly Cell[]) => Promise<Map<string, CellTiles>>;
  /** The map of a cell; nothing where there is none. */
  map: (cell: Cell) => Promise<LentFile | undefined>;
}

/** Cells whose files are listed at once. */
const CELLS_AT_ONCE = 16;

/** @param outbox of a bucket: tiles of a zone and maps that the data folder has not are there */
export function supplyOf(dataPath: string, outbox?: Outbox): Supply {
  return outbox ? bucketSupply(diskSupply(dataPath), outbox, dataPath) : diskSupply(dataPath);
}

function diskSupply(dataPath: string): Supply {
  const root = dataRoot(dataPath);
  const source = openSource(root);
  return {
    address: join(root, 'ard'),
    zones: () => zonesOnDisk(dataPath),
    cells: (zone) => cellsOnDisk(dataPath, zone),
    map: (cell) => lentOnDisk(root, keyOfMap(root, cell)),
    tiles: async (zone, cells) => {
      const files = await filesOf(zone, cells, (prefix) => source.list(prefix));
      const mark = async (key: string): Promise<string> => (await lentOnDisk(root, key))?.mark ?? 'none';
      return byCell(await tilesOf({ source, prefix: 'ard/', files }), mark);
    },
  };
}

function bucketSupply(disk: Supply, outbox: Outbox, dataPath: string): Supply {
  const isHere = async (zone: number): Promise<boolean> => (await zonesOnDisk(dataPath)).includes(zone);
  return {
    address: `${outbox.address}/ard`,
    zones: async () => {
      const there = (await outbox.folders('ard')).filter((name) => /^(0[1-9]|[1-5]\d|60)$/.test(name)).map(Number);
      return [...new Set([...(await disk.zones()), ...there])].sort((a, b) => a - b);
    },
    cells: async (zone) => {
      if (await isHere(zone)) return disk.cells(zone);
      const names = await outbox.folders(`ard/${paddedZone(zone)}`);
      return names.filter((name) => /^[0-3]{12}$/.test(name)).map((quadkey) => cellOf(zone, quadkey));
    },
    map: async (cell) => {
      const key = keyOfMap(outbox.root, cell);
      const file = (await outbox.list(key)).get(key);
      return (await disk.map(cell)) ?? (file && lentInBucket(outbox, file));
    },
    tiles: async (zone, cells) => {
      if (await isHere(zone)) return disk.tiles(zone, cells);
      const files = await filesOf(zone, cells, async (prefix) => [...(await outbox.list(prefix)).values()]);
      const held = new Map(files.map((file) => [file.key, file]));
      return byCell(await outbox.tiles(files), async (key) => lentInBucket(outbox, held.get(key)!).mark);
    },
  };
}

function keyOfMap(root: string, cell: Cell): string {
  return osmPath(root, cell).slice(root.length + 1);
}

async function filesOf(zone: number, cells: readonly Cell[], list: (prefix: string) => Promise<SourceFile[]>): Promise<SourceFile[]> {
  const listed = await eachUnit(cells, 'cells', ({ quadkey }) => list(`ard/${paddedZone(zone)}/${quadkey}/`), { concurrency: CELLS_AT_ONCE });
  return listed.flat();
} // prettier-ignore

/** @param markOf of a STAC item, by its key */
async function byCell(tiles: readonly Tile[], markOf: (key: string) => Promise<string>): Promise<Map<string, CellTiles>> {
  const cells = new Map<string, CellTiles>();
  for (const tile of tiles) {
    const own = cells.get(tile.cell.id) ?? { tiles: [], items: [] };
    cells.set(tile.cell.id, own);
    own.tiles.push(tile);
    const { item } = tile.files;
    if (item !== undefined) own.items.push([item.slice(item.lastIndexOf('/') + 1), await markOf(item)]);
  }
  return cells;
} // prettier-ignore
