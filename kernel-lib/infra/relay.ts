/** From bucket to bucket, by way of a disk that holds a few tiles. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Delivery, type Digest, type Source, type SourceFile, type Tile, eachUnit, isOpenData, openSource, paddedZone } from '../ard/index.ts'; // prettier-ignore
import { type Outbox, outboxOf } from './outbox.ts';
import { planSync, refuseFullDisk } from './plan.ts';
import { looksSame } from './same.ts';
import { type Placed, type SyncOptions, type SyncReport, OSM_DATA, chooseDelivery, isSynthetic, mixture, placeFiles, shareOf } from './sync.ts'; // prettier-ignore
import { bringFiles } from './transfer.ts';

/** Tiles that are under way at once: so many the disk must hold. */
const TILES_AT_ONCE = 2;
const AT_ONCE = 16;

/**
 * Brings a delivery from one bucket to another, under the keys that {@link syncDelivery} would give it below the data folder.
 *
 * The unit is the tile: its files are brought to `scratch` of the data folder, checked as {@link syncDelivery} checks them, put with the raster last, and
 * removed. A file that is there is not brought: its ETag is the same, or where that tells nothing, it is as large and not older. Map data and
 * vectors that differ and are newer there stay. Nothing is deleted there.
 *
 * @param address s3:// prefix of a delivery, its `ard`, or a zone of it
 * @param to s3:// prefix
 * @param options endpoint, region and anonymity are of the delivery; of `to` as the environment has them
 * @throws {Error} as {@link syncDelivery}; naming the object that could not be put: then its tile is still here, and not brought again
 */
export async function relayDelivery(address: string, dataPath: string, to: string, options: SyncOptions = {}): Promise<SyncReport> {
  const outbox = outboxOf(dataPath, to, options.signal)!;
  const chosen = await chooseDelivery(address, options);
  const { source } = chosen.delivery;
  for (const zone of new Set(chosen.tiles.map(({ cell }) => cell.zone))) await refuseMixture(chosen.delivery, chosen.tiles, zone, outbox);
  const { files, ...share } = shareOf(chosen, options.shard);
  placeFiles(source, files, outbox.root); // refuses a key that leads out of it
  const there = await heldOf(outbox, files);
  const states = options.again ? files.map(() => 'missing') : await eachUnit(files, 'files', (file) => stateOf(file, source, there.get(file.to), outbox), { concurrency: AT_ONCE });
  const missing = files.filter((_, at) => states[at] === 'missing');
  const units = unitsOf(missing);
  const sizes = (some: readonly SourceFile[]): number[] => some.map(({ bytes }) => bytes);
  const from = isOpenData(source.address) ? 'open data' : 'bucket';
  const plan = await planSync(sizes(files), sizes(missing), { to: outbox.root, from, concurrency: options.concurrency ?? 8, relays: true });
  options.onPlan?.(plan);
  const started = performance.now();
  if (!options.dryRun) refuseFullDisk({ ...plan, missingBytes: mostAtOnce(units) }, outbox.root);
  const others = files.filter((_, at) => states[at] !== 'missing');
  if (!options.dryRun) await Promise.all(others.map(({ to: key }) => rm(join(outbox.root, key), { force: true }))); // beside one that could not be put
  const unverified = options.dryRun ? [] : await relayUnits(units, { source, outbox, there }, options);
  return {
    ...share,
    kept: files.filter((_, at) => states[at] === 'newer').map(({ to: key }) => key),
    files: files.length, bytes: plan.bytes, moved: missing.length, movedBytes: plan.missingBytes, plan, unverified,
    seconds: options.dryRun ? 0 : (performance.now() - started) / 1000,
    licences: files.filter((file) => file.to.startsWith('licences/')).map((file) => `${outbox.address}/${file.to}`),
  };
} // prettier-ignore

/** Throws where a zone of the bucket holds other tiles, and those are synthetic and these are not, or the reverse. One tells: no zone was ever mixed. */
async function refuseMixture({ source, files, prefix }: Delivery, tiles: readonly Tile[], zone: number, outbox: Outbox): Promise<void> {
  const folder = `ard/${paddedZone(zone)}`;
  const own = new Set(files.map(({ key }) => `ard/${key.slice(prefix.length)}`));
  const item = [...(await outbox.list(`${folder}/`)).values()].find(({ key }) => /\/\d{4}-\d\d-\d\d\/[^/]+\.json$/.test(key) && !own.has(key));
  if (!item) return;
  const [other] = await outbox.tiles([item]);
  const synthetic = tiles.some((tile) => tile.cell.zone === zone && isSynthetic(tile));
  if (other && isSynthetic(other) !== synthetic) throw mixture(`${outbox.address}/${folder}`, source, synthetic, 'name another prefix');
} // prettier-ignore

/** What the bucket holds under the keys of some files, and beside them. */
async function heldOf(outbox: Outbox, files: readonly Placed[]): Promise<Map<string, SourceFile>> {
  const prefixes = new Set(files.map(({ to }) => /^(ard\/\d\d\/[0-3]{12}\/|(?:ard\/)?[^/]+\/)/.exec(to)![1]));
  const lists = await eachUnit([...prefixes], 'folders', (prefix) => outbox.list(prefix), { concurrency: AT_ONCE });
  return new Map(lists.flatMap((list) => [...list]));
}

/** Whether the bucket holds the same as a file, lacks it, or has another that somebody has changed there since. */
async function stateOf(file: Placed, source: Source, other: SourceFile | undefined, outbox: Outbox): Promise<'same' | 'missing' | 'newer'> {
  if (!other) return 'missing';
  const isNewer = other.modified.getTime() >= file.modified.getTime();
  const isEditable = file.to.startsWith('demo-ard/') || OSM_DATA.test(file.to);
  const differs = isEditable && isNewer ? 'newer' : 'missing';
  if (other.bytes !== file.bytes) return differs;
  if (other.etag !== undefined && other.etag === file.etag) return 'same';
  const [mine, its] = [await source.digest(file), await openSource(outbox.address).digest(other)];
  if ('value' in mine && 'value' in its && kindOf(mine) === kindOf(its)) return mine.value === its.value ? 'same' : differs;
  return isNewer ? 'same' : 'missing';
} // prettier-ignore

/** Digests of one kind are the same where the bytes are. */
function kindOf(digest: Digest): string {
  return digest.algorithm === 'md5-parts' ? `${digest.algorithm} ${digest.partBytes}` : digest.algorithm;
}

/** Files that go together: those of a tile, and each other one by itself. */
function unitsOf(files: readonly Placed[]): Placed[][] {
  const units = new Map<string, Placed[]>();
  for (const file of files) {
    const tile = /^(.*\/\d{4}-\d\d-\d\d\/(?:[0-9A-F]{16}|[0-9a-f-]{36}-inv))/.exec(file.to)?.[1] ?? file.to;
    units.set(tile, [...(units.get(tile) ?? []), file]);
  }
  return [...units.values()];
}

function mostAtOnce(units: readonly Placed[][]): number {
  const sizes = units.map((unit) => unit.reduce((sum, { bytes }) => sum + bytes, 0)).sort((a, b) => b - a);
  return sizes.slice(0, TILES_AT_ONCE).reduce((sum, bytes) => sum + bytes, 0);
}

interface Way {
  source: Source;
  outbox: Outbox;
  /** What the bucket holds, by key. */
  there: ReadonlyMap<string, SourceFile>;
}

/** @returns files that were checked by their size alone */
async function relayUnits(units: readonly Placed[][], { source, outbox, there }: Way, { signal, onProgress, concurrency, retries, stallMs }: SyncOptions): Promise<string[]> {
  const unverified: string[] = [];
  const totalBytes = units.flat().reduce((sum, { bytes }) => sum + bytes, 0);
  let bytes = 0;
  const relay = async (unit: Placed[]): Promise<void> => {
    const moves = placeFiles(source, unit, outbox.root);
    const isHere = await Promise.all(moves.map(({ path, file }) => looksSame(path, file))); // what could not be put
    const brought = await bringFiles(source, moves.filter((_, at) => !isHere[at]), { signal, concurrency, retries, stallMs });
    unverified.push(...brought.unverified);
    const paths = unit.map(({ to }) => join(outbox.root, to));
    const raster = paths.find((path) => path.endsWith('-visual.tif'));
    await outbox.put({ files: paths.filter((path) => path !== raster), record: raster, there });
    bytes += unit.reduce((sum, file) => sum + file.bytes, 0);
  };
  await eachUnit(units, 'tiles', relay, { signal, concurrency: TILES_AT_ONCE, onProgress: (progress) => onProgress?.({ ...progress, bytes, totalBytes }) });
  return unverified;
} // prettier-ignore
