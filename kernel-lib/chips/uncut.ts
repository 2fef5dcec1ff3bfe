import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Tile, CHIPS_PER_SIDE, chipIds, dataRoot, paddedZone } from '../ard/index.ts';
import { type Ground, type Outbox, groundAddress, openGround } from '../infra/index.ts';
import { type Cut, cutInMemory, readCut } from './cut.ts';
import { type NodataIndex, readNodataIndex } from './nodataindex.ts';
import { type Product, openProduct } from './product.ts';
import { heldCut, heldRecord } from './handover.ts';
import { type CellRecord, chipsOf, fileFacts, readRecord } from './record.ts';

/** The tiles of a cell, whose chips are taken straight out of them. */
export interface UncutCell {
  quadkey: string;
  tiles: Tile[];
  /** Of their rasters. */
  bytes: number;
}

/** A zone of which nothing need be cut. */
export interface UncutZone {
  cells: UncutCell[];
  /** How chips are taken: as those on disk were cut, else as `chipTiles` cuts where nothing is asked for. */
  cut: Cut;
  indexPath: string;
  /** What was read from the masks of a cell; of a bucket's tiles what the bucket holds of it. */
  recordOf: (cell: string) => Promise<CellRecord>;
  /** The no-data index, read when it is first asked for: only of cells that have no record. */
  index: () => Promise<NodataIndex>;
  /** Where the tiles lie. */
  ground: Ground;
  /** Tiles that have not the raster. */
  leftOut: string[];
  /** Tiles that could not be used. */
  failed: string[];
}

/** A tile's real chips, each cut when it is asked for. */
export interface UncutTile {
  tile: Tile;
  /** Which file, which of its chips, cut how: where it is the same, so are the chips' bytes. */
  identity: string;
  /** Row × 64 + column of each real chip, by its id, in order of the ids: four by four they lie in one block. */
  chips: ReadonlyMap<string, number>;
  /** @returns what the files of these chips would hold, by index @throws {Error} naming the raster that is damaged */
  read(indices: readonly number[], signal?: AbortSignal): Promise<Map<number, Uint8Array>>;
  close(): Promise<void>;
}

/** A tile of which it is not known, or no longer, what is real in it. */
export class NotIndexedError extends Error {
  override readonly name = 'NotIndexedError';
}

/** How chips are taken where nothing says otherwise. */
const AS_CUT: Cut = { format: 'jpg', quality: 'as delivered', minValid: 1, product: 'visual' };

/**
 * The tiles of a zone, cell by cell, in order.
 *
 * @param outbox of a bucket, whose records count before those of the data folder, and whose tiles where none of the zone lies there.
 *   Default: the data folder is all there is
 */
export async function uncutZone(dataPath: string, zone: number, outbox?: Outbox): Promise<UncutZone> {
  const root = dataRoot(dataPath);
  const chipDir = join(root, 'chips', paddedZone(zone));
  const cut = (outbox && (await heldCut(outbox, zone))) ?? (await readCut(chipDir)) ?? AS_CUT;
  const indexPath = join(root, 'nodata-index.json');
  const recordOf = async (cell: string): Promise<CellRecord> =>
    (outbox && (await heldRecord(outbox, cell))) ?? readRecord(indexPath, cell);
  const [leftOut, failed]: [string[], string[]] = [[], []];
  const onFault = ({ message }: Error): void => void failed.push(message);
  const scratch = outbox?.inbox ?? join(root, 'scratch');
  const ground = await openGround(await groundAddress(dataPath, zone, outbox?.address), { zone, scratch, onFault });
  const cells = new Map<string, UncutCell>();
  for (const tile of ground.tiles) {
    const { quadkey } = tile.cell;
    const path = tile.files[cut.product];
    if (path === undefined) {
      leftOut.push(`${tile.cell.id} ${tile.date} ${tile.catid}: it has no ${cut.product} raster`);
      continue;
    }
    const cell = cells.get(quadkey) ?? { quadkey, tiles: [], bytes: 0 };
    cells.set(quadkey, cell);
    cell.tiles.push(tile);
    cell.bytes += await ground.facts(path).then(({ bytes }) => bytes, () => 0); // prettier-ignore
  }
  let index: Promise<NodataIndex> | undefined;
  const sorted = [...cells.values()].sort((a, b) => (a.quadkey < b.quadkey ? -1 : 1));
  return {
    cells: sorted,
    cut,
    indexPath,
    recordOf,
    index: () => (index ??= readNodataIndex(indexPath)),
    ground,
    leftOut,
    failed,
  };
}

/**
 * Opens a tile: what is real in it is read from the record of its cell, else from the no-data index. The raster is opened when the first chip
 * is read.
 *
 * @throws {NotIndexedError} when the tile was never indexed, or has been replaced since
 */
export async function openUncut(tile: Tile, zone: UncutZone): Promise<UncutTile> {
  const { cut, ground } = zone;
  const indices = await realIndices(tile, zone);
  const ids = chipIds(tile.cell);
  const chips = new Map(indices.map((index) => [ids[index], index] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
  const facts = await fileFacts(tile.files[cut.product], tile.files['data-mask'], ground.facts);
  let opened: Promise<Product> | undefined;
  return {
    tile,
    identity: JSON.stringify([tile.cell.id, tile.date, tile.catid, cut, facts, indices]),
    chips,
    read: async (wanted, signal) => {
      const open = async (): Promise<Product> => {
        await ground.bring(tile, [cut.product, 'visual', 'data-mask']);
        return openProduct(tile, cut.product);
      };
      const { raster, readSquare } = await (opened ??= open());
      return cutInMemory(raster, wanted, { ...cut, ...(readSquare && { readSquare }), signal });
    },
    close: async () => {
      const product = await opened?.catch(() => undefined); // who asked for it was told
      await product?.close();
    },
  };
}

/** Which of a tile's chips are real enough, row by row. */
async function realIndices(
  { cell, date, catid, files }: Tile,
  { cut, index, indexPath, recordOf, ground }: UncutZone,
): Promise<number[]> {
  const remedy = `run imagesim chip --zone ${cell.zone} --index-only`;
  const path = files[cut.product];
  const { tiles } = await recordOf(cell.id);
  const known = tiles.find((one) => one.date === date && one.catid === catid);
  if (known) {
    const now = await fileFacts(files['visual'] ?? path, files['data-mask'], ground.facts);
    if (JSON.stringify(known.file) !== JSON.stringify(now))
      throw new NotIndexedError(`${path} has changed since it was indexed: ${remedy}`);
    return chipsOf(known, cut.minValid);
  }
  if (tiles.length > 0 || !existsSync(indexPath))
    throw new NotIndexedError(`what is real in ${path} is not known: ${remedy}`);
  const { chips } = await index();
  const ids = chipIds(cell);
  return Array.from({ length: CHIPS_PER_SIDE ** 2 }, (_, at) => at).filter((at) => chips[ids[at]]?.includes(catid));
}
