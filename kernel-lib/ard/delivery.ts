import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { type Cell, cellOf, paddedZone } from './grid.ts';
import { dataRoot } from './layout.ts';
import { openSource } from './address.ts';
import { type Source, SourceError, type SourceFile, type SourceOptions, type SourceTop } from './source.ts';
import { eachUnit } from './step.ts';

/** One acquisition over one cell: what a date folder of a delivery holds under one catalogue id. */
export interface Tile {
  cell: Cell;
  /** UTC date of the acquisition, `2022-06-14`. */
  date: string;
  /** Catalogue id of the acquisition, `1040010076B31B00`. */
  catid: string;
  /** Path of each file inside the source, by its descriptor: `visual`, `ms`, `data-mask`, …; `item` is the STAC item. */
  files: Record<string, string>;
  /** What the STAC item says; `undefined` where there is no item. */
  metadata: TileMetadata | undefined;
}

/** What a STAC item says of a tile; a field it lacks is `undefined`. */
export interface TileMetadata {
  /** Date and time of the acquisition, ISO 8601, UTC. */
  datetime: string | undefined;
  platform: string | undefined;
  /** Fraction of the tile that has pixels, 0–1. */
  filled: number | undefined;
  /** Percent of the data under cloud, 0–100. */
  cloudPercent: number | undefined;
  /** Degrees from nadir. */
  offNadir: number | undefined;
  /** Native ground sample distance, metres: the sensor's, not the raster's. */
  gsd: number | undefined;
  /** Degrees. */
  sunElevation: number | undefined;
  /** Degrees from north, clockwise. */
  sunAzimuth: number | undefined;
  /** Whether no satellite took it: a tile of imagesim's own sample, which says so in `imagesim:synthetic`. */
  synthetic: boolean;
}

const TILE_AREA_KM2 = 5.3125 ** 2;
const FILE =
  /^(?:ard\/)?(?<zone>\d{2})\/(?<quadkey>[0-3]{12})\/(?<date>\d{4}-\d{2}-\d{2})\/(?<catid>10[1-6][0-9A-F]{13}|[0-9a-f-]{36}-inv)(?:-(?<kind>[a-z-]+))?\.(?<ext>\w+)$/;

const itemSchema = z.object({
  properties: z.looseObject({
    datetime: z.string().nullish(),
    platform: z.string().nullish(),
    gsd: z.number().nullish(),
    'view:off_nadir': z.number().nullish(),
    'view:sun_elevation': z.number().nullish(),
    'view:sun_azimuth': z.number().nullish(),
    'tile:data_area': z.number().nullish(),
    'tile:clouds_percent': z.number().nullish(),
    'imagesim:synthetic': z.boolean().nullish(),
  }),
});

/** The source of a delivery and where in it the zones lie: `ard/` where there is such a folder. */
export interface Delivery {
  source: Source;
  /** `ard/`, or empty where the zones lie at the top. */
  prefix: string;
  /** Tiles, collections, the demo's vectors, and what lies at the top. */
  files: SourceFile[];
}

/** Options of {@link openDelivery}. */
export interface DeliveryOptions extends SourceOptions {
  /** Lists only this UTM zone. Default: the one that the address ends in, else all. */
  zone?: number | undefined;
  /** Lists only cells whose quadkey begins so; needs a zone. Default: what the address ends in, else all. */
  quadkey?: string | undefined;
}

/** A delivery's own address, and the part of it that is meant. */
export interface DeliveryAddress {
  address: string;
  zone: number | undefined;
  quadkey: string | undefined;
}

/**
 * An address as it can be used anywhere: a folder absolute, and of the delivery where its `ard`, a zone or the beginning
 * of a quadkey below is named: `s3://imagesim-storage/ard/33/0311`.
 */
export function deliveryAddress(address: string): DeliveryAddress {
  if (address.trim() === '') throw new Error('no delivery is named: give a folder or s3://bucket/prefix');
  const inBucket = address.startsWith('s3://');
  const whole = inBucket ? address.replace(/(?<=[^/:])\/+$/, '') : resolve(address); // notebooks run in a folder of their own
  const [, top, zone, quadkey] = /^(.*)\/(0[1-9]|[1-5]\d|60)(?:\/([0-3]{1,12}))?$/.exec(whole) ?? [];
  const named = top !== undefined && (basename(top) === 'ard' || !inBucket) && !existsSync(join(whole, 'ard'));
  const part = named ? top : whole;
  const inArd = basename(part) === 'ard' && !inBucket && !existsSync(join(part, 'ard'));
  return {
    address: inArd ? dirname(part) : part,
    zone: named ? Number(zone) : undefined,
    quadkey: named ? quadkey : undefined,
  };
}

/**
 * Opens a delivery and lists its files; in a bucket, of a zone or quadkey asked for those alone.
 *
 * @param address a folder or s3:// prefix that holds `ard/<zone>/<quadkey>/<date>/…`, or is such an `ard`, or a zone of it
 * @throws {Error} when there is no tile in it, saying what was found instead
 */
export async function openDelivery(address: string, options: DeliveryOptions = {}): Promise<Delivery> {
  const place = deliveryAddress(address);
  const { zone = place.zone, quadkey = place.quadkey } = options;
  const { source, top } = await openTop(place.address, options);
  const prefix = top.folders.includes('ard') ? 'ard/' : '';
  const cells = zone === undefined ? zonesIn(top, prefix) : [`${prefix}${paddedZone(zone)}/${quadkey ?? ''}`];
  const beside = ['demo-ard/', `${prefix}acquisition_collections/`].filter((folder) => holds(top, folder));
  const listed = await Promise.all([...cells, ...beside].map((folder) => source.list(folder)));
  const files = uniqueByKey([...listed.flat(), ...top.files]);
  if (!files.some(({ key }) => FILE.test(key))) throw noTile(address, place.address, top, zone, quadkey);
  return { source, prefix, files };
}

/** A bucket's `ard` is opened from above, where its licence lies; where that may not be listed, as it is. */
async function openTop(address: string, options: SourceOptions): Promise<{ source: Source; top: SourceTop }> {
  const above = /^(s3:\/\/.+)\/ard\/?$/.exec(address)?.[1];
  if (above) {
    const source = openSource(above, options);
    const top = await source.top().catch((error: unknown) => {
      if (error instanceof SourceError) return undefined; // what is asked for may be readable all the same
      throw error;
    });
    if (top?.folders.includes('ard')) return { source, top };
  }
  const source = openSource(address, options);
  return { source, top: await source.top() };
}

function zonesIn({ folders }: SourceTop, prefix: string): string[] {
  return prefix ? [prefix] : folders.filter((name) => /^\d\d$/.test(name)).map((name) => `${name}/`);
}

const holds = ({ folders }: SourceTop, folder: string): boolean => folders.includes(folder.split('/')[0]);

/** A folder that lies below another that is listed comes twice. */
function uniqueByKey(files: SourceFile[]): SourceFile[] {
  return [...new Map(files.map((file) => [file.key, file])).values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function noTile(
  address: string,
  opened: string,
  { folders, files }: SourceTop,
  zone?: number,
  quadkey?: string,
): Error {
  const hasZones = folders.some((name) => name === 'ard' || /^\d\d$/.test(name));
  if (zone !== undefined && hasZones)
    return new Error(`no tile of zone ${zone}${quadkey ? ` under quadkey ${quadkey}` : ''} in ${address}`);
  const names = [...folders.map((name) => `${name}/`), ...files.map(({ key }) => key)];
  const some = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
  const found = names.length === 0 ? `${opened} is empty` : `${opened} holds ${some}`;
  return new Error(
    `no ARD tile in ${address}: ${found}; expected ard/<zone>/<quadkey>/<date>/<catalogue id>-visual.tif`,
  );
}

/** A tile as its files' names have it, its STAC item not yet read. */
export type BareTile = Omit<Tile, 'metadata'>;

/** What a delivery holds as its files' names have it, in order of cell, date and catalogue id; no item is read. */
export function bareTilesOf({ prefix, files }: Pick<Delivery, 'prefix' | 'files'>): BareTile[] {
  const tiles = new Map<string, BareTile>();
  for (const { key } of files) {
    const found = key.startsWith(prefix) ? FILE.exec(key)?.groups : undefined;
    if (!found) continue;
    const { zone, quadkey, date, catid } = found;
    const id = `${zone}/${quadkey}/${date}/${catid}`;
    const tile = tiles.get(id) ?? { cell: cellOf(Number(zone), quadkey), date, catid, files: {} };
    tile.files[found.kind ?? (found.ext === 'json' ? 'item' : found.ext)] = key;
    tiles.set(id, tile);
  }
  return [...tiles].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, tile]) => tile);
}

/**
 * What a delivery holds, tile by tile, in order of cell, date and catalogue id.
 *
 * @param delivery an opened delivery
 * @param keep which tiles are wanted: of the others no STAC item is read. Default: all
 * @param onFault told of a tile whose STAC item is damaged, which is left out. Default: throws
 * @throws {Error} naming a STAC item that is not JSON or not an item
 */
export async function tilesOf(
  delivery: Delivery,
  keep: (tile: BareTile) => boolean = () => true,
  onFault?: (fault: Error) => void,
): Promise<Tile[]> {
  const { source } = delivery;
  const work = async (tile: BareTile): Promise<Tile[]> => {
    try {
      return [{ ...tile, metadata: await readMetadata(source, tile.files.item) }];
    } catch (error) {
      if (!onFault) throw error;
      onFault(error as Error);
      return [];
    }
  };
  return (await eachUnit(bareTilesOf(delivery).filter(keep), 'tiles', work, { concurrency: 16 })).flat();
}

/**
 * The tiles under the data folder, optionally of one zone; file paths are absolute.
 *
 * @param options.onFault told of a tile whose STAC item is damaged, which is left out. Default: throws
 * @throws {Error} when there is none, saying what to do
 */
export async function readTiles(
  dataPath: string,
  { zone, onFault }: { zone?: number | undefined; onFault?: ((fault: Error) => void) | undefined } = {},
): Promise<Tile[]> {
  const root = dataRoot(dataPath);
  const place = join('ard', zone === undefined ? '' : paddedZone(zone));
  const tiles = existsSync(join(root, place)) ? await tilesUnder(openSource(root), place, onFault) : [];
  if (tiles.length === 0) {
    throw new Error(
      `no ARD tile under ${join(root, place)}: sync a delivery first (imagesim sync, or notebook 01-infra), or set IMAGESIM_DATA`,
    );
  }
  const absolute = (paths: Record<string, string>): Record<string, string> =>
    Object.fromEntries(Object.entries(paths).map(([kind, path]) => [kind, join(root, path)]));
  return tiles.map((tile) => ({ ...tile, files: absolute(tile.files) }));
}

async function tilesUnder(source: Source, place: string, onFault?: (fault: Error) => void): Promise<Tile[]> {
  return tilesOf({ source, prefix: 'ard/', files: await source.list(place) }, undefined, onFault);
}

async function readMetadata(source: Source, key: string | undefined): Promise<TileMetadata | undefined> {
  if (key === undefined) return undefined;
  const text = Buffer.from(await source.read(key)).toString('utf8');
  const fault = (found: string): Error =>
    new Error(`${source.address}/${key} is no STAC item: ${found}; fetch it again`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw fault(`not JSON, it begins with ${JSON.stringify(text.slice(0, 40))}`);
  }
  const { success, data, error } = itemSchema.safeParse(json);
  if (!success) throw fault(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join(', '));
  const item = data.properties;
  const area = item['tile:data_area'];
  return {
    datetime: isoTime(item.datetime),
    platform: item.platform ?? undefined,
    filled: typeof area === 'number' ? Math.min(1, area / TILE_AREA_KM2) : undefined,
    cloudPercent: item['tile:clouds_percent'] ?? undefined,
    offNadir: item['view:off_nadir'] ?? undefined,
    gsd: item.gsd ?? undefined,
    sunElevation: item['view:sun_elevation'] ?? undefined,
    sunAzimuth: item['view:sun_azimuth'] ?? undefined,
    synthetic: item['imagesim:synthetic'] ?? false,
  };
}

/** STAC items write the time with a space, a `Z` or an offset; all mean UTC where no offset is given. */
function isoTime(text: string | null | undefined): string | undefined {
  if (!text) return undefined;
  const spelt = text.replace(' ', 'T');
  const time = new Date(/Z|[+-]\d\d:?\d\d$/.test(spelt) ? spelt : `${spelt}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}
