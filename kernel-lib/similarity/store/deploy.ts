/** From a delivery to a store that can be asked: what `imagesim similarity deploy` does. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type Bounds, type Cell, type Shard, type StepOptions, type Tile, cellsOnDisk, dataRoot, deliveryAddress, isShare, lonLatBounds, openSource, paddedZone,
  tilesOf, zonesOnDisk,
} from '../../ard/index.ts'; // prettier-ignore
import { chipTiles } from '../../chips/index.ts';
import { syncDelivery, touches } from '../../infra/index.ts';
import { osmPath } from '../../osm/index.ts';
import { type ModelCard, type RuntimeOptions, embeddingParts, encodeChips, findModel, readCard, readEmbeddings, readPartFacts } from '../../training/index.ts'; // prettier-ignore
import { type ChangeOptions, type StoreBatch, changeTable } from './commit.ts';
import type { IndexFacts } from './facts.ts';
import { storePlace } from './place.ts';
import { storeRow } from './row.ts';
import { type Tagger, taggerOf } from './tags.ts';

/** Options of {@link deploy}. */
export interface DeployOptions extends Omit<StepOptions, 'concurrency'>, RuntimeOptions, ChangeOptions {
  /** Name, name@version of which the first digits do, or folder of a model. */
  model: string;
  /** Delivery whose tiles are to be found: a folder or s3:// prefix, or a zone of it; they are brought first. Default: the tiles of the data folder. */
  ard?: string | undefined;
  /** UTM zone. Default: the one that `ard` names, else all of the data folder. */
  zone?: number | undefined;
  /** Only cells that this box touches: `[west, south, east, north]`, degrees. Default: all. */
  bbox?: Bounds | undefined;
  /** Name of the table. Default: the model's. */
  table?: string | undefined;
  /** Folder or s3:// prefix above `embeddings`, where the tables lie. Default: the data folder. */
  store?: string | undefined;
  /** Only encodes the cells that fall to this one of several workers; without it, what all have encoded goes into the store. Default: all. */
  shard?: Shard | undefined;
}

/** What {@link deploy} did. */
export interface DeployReport {
  /** Where the tables lie, and this one's name. */
  place: string;
  table: string;
  /** `v1`, `v2` and so on; not there where nothing had changed. */
  version?: string | undefined;
  /** name@version */
  model: string;
  /** Rows of the table, and those of them that were written now. */
  rows: number;
  written: number;
  /** Cells asked for, of one of several workers its own; of those with embeddings, which came or changed, and which were there as they are. */
  cells: number;
  changed: number;
  kept: number;
  /** Cells whose rows went, for they have no tile any more. */
  withdrawn: number;
  /** Whether all that was there went, being of another model. */
  replaced: boolean;
  /** Chips encoded now. */
  encoded: number;
  seconds: number;
  /** Of the table; none where all answers are exact. */
  index?: IndexFacts | undefined;
  /** What was left out, and why. */
  leftOut: string[];
  /** Chips and tiles that could not be read: they are not in the store. */
  failed: string[];
}

/** Rows written at once. */
const BATCH = 65_536;

/**
 * Puts the chips of a delivery into the similarity store, by a model's embeddings: a row for each acquisition of each real chip.
 *
 * Vectors come from `embeddings/parts`; what is not encoded yet is encoded straight from the tiles, which are not cut for it. A second deploy takes in
 * only the cells that are new or have changed: their embeddings, their map, or what their STAC items say. The rows of a cell go whose folder holds no tile
 * any more; cells without a folder are another delivery's, and stay. Vectors of another model replace the whole table. Until all is written, whoever asks gets what was there before.
 *
 * One of several workers encodes its cells and leaves the store as it is: once all have ended, `deploy` without `shard` finds every part and writes the
 * store, once and whole. What a worker has not done is done then.
 *
 * @throws {Error} when there is no such model, no tile in the zone and box, or the table is being written by another process
 * @throws {RangeError} when one of several workers is to bring a delivery: they deal out what is there
 */
export async function deploy(dataPath: string, options: DeployOptions): Promise<DeployReport> {
  const start = performance.now();
  const folder = await findModel(dataPath, options.model);
  const card = await readCard(folder);
  const place = storePlace(options.store ?? dataPath);
  const { table = card.name } = options;
  const report: DeployReport = {
    place, table, model: `${card.name}@${card.version}`, rows: 0, written: 0, cells: 0, changed: 0, kept: 0, withdrawn: 0, replaced: false,
    encoded: 0, seconds: 0, leftOut: [], failed: [],
  }; // prettier-ignore
  if (isShare(options.shard)) return encodeShare(dataPath, folder, card, options, report).then(() => timed(report, start));
  const { cells, bare } = await partsOf(dataPath, folder, card, options, report);
  const tagger = await taggerOf(dataPath, card);
  const digests = new Map<CellPart, string>();
  for (const cell of cells) digests.set(cell, await digestOf(dataPath, cell, tagger));
  const changed = await changeTable(place, table, async (live) => {
    report.replaced = live !== undefined && (live.model !== report.model || live.width !== card.embeddingWidth);
    const base = report.replaced || !live ? undefined : live;
    const due = cells.filter((cell) => base?.cells[cell.cell.id] !== digests.get(cell));
    const gone = bare.filter((id) => base && id in base.cells);
    report.leftOut.push(...bare.map((id) => (gone.includes(id) ? `${id} has no tile any more: its chips went from the store` : bareLine(id))));
    if (cells.length + gone.length === 0) throw nothingToDeploy(dataPath, options, report.leftOut[0]);
    Object.assign(report, { cells: cells.length + gone.length, changed: due.length, kept: cells.length - due.length, withdrawn: gone.length, rows: base?.rows ?? 0 });
    if (due.length + gone.length === 0) return undefined;
    const known = { ...base?.cells, ...Object.fromEntries(due.map((cell) => [cell.cell.id, digests.get(cell)!])) };
    for (const id of gone) delete known[id];
    return {
      facts: {
        model: report.model, width: card.embeddingWidth, encoder: card.files['encoder.onnx'].sha256, licences: card.licences, cells: known,
        change: `${due.length} ${due.length === 1 ? 'cell' : 'cells'} deployed${gone.length > 0 ? `, ${gone.length} withdrawn` : ''}`,
      },
      remove: base ? [...due.map(({ cell }) => cell.id), ...gone] : 'all',
      batches: batchesOf(due, tagger, report, options),
    };
  }, options);
  if (changed) Object.assign(report, { version: changed.version, rows: changed.facts.rows, index: changed.facts.index });
  return timed(report, start);
} // prettier-ignore

function timed(report: DeployReport, start: number): DeployReport {
  return { ...report, seconds: (performance.now() - start) / 1000 };
}

/** A cell with the file of its embeddings, and the tiles that they are of. */
interface CellPart {
  cell: Cell;
  part: string;
  tiles: Tile[];
}

/** Encodes the cells of one of several workers. In each zone another begins the dealing: of many small zones not all heaviest cells are the first one's. */
async function encodeShare(dataPath: string, folder: string, card: ModelCard, options: DeployOptions & { shard?: Shard | undefined }, report: DeployReport): Promise<void> {
  const { ard, shard } = options;
  if (ard !== undefined && deliveryAddress(ard).address !== dataRoot(dataPath))
    throw new RangeError(`${ard} cannot be brought by one of ${shard!.count} workers, for they deal out the tiles that are there: run imagesim sync first, and deploy without --ard`);
  const zones = await wantedCells(dataPath, options);
  if (zones.size === 0) throw nothingToDeploy(dataPath, options);
  for (const [turn, [zone, wanted]] of [...zones].entries()) {
    const own = { index: (shard!.index + turn) % shard!.count, count: shard!.count };
    await encoded(dataPath, folder, card, { ...options, zone, shard: own }, wanted, report);
  }
} // prettier-ignore

/** The cells asked for that have a folder, by zone. */
async function wantedCells(dataPath: string, { zone, bbox }: Pick<DeployOptions, 'zone' | 'bbox'>): Promise<Map<number, Cell[]>> {
  const zones = new Map<number, Cell[]>();
  for (const each of zone === undefined ? await zonesOnDisk(dataPath) : [zone]) {
    const wanted = (await cellsOnDisk(dataPath, each)).filter((cell) => !bbox || touches(lonLatBounds(cell), bbox));
    if (wanted.length > 0) zones.set(each, wanted);
  }
  return zones;
} // prettier-ignore

function nothingToDeploy(dataPath: string, { zone, bbox }: Pick<DeployOptions, 'zone' | 'bbox'>, why?: string): Error {
  const where = [zone === undefined ? '' : ` of zone ${zone}`, bbox ? ` in ${bbox.join(',')}` : ''].join('');
  return new Error(`no cell${where} in ${dataRoot(dataPath)}/ard that can be deployed${why ? ` (${why})` : ''}: bring tiles with imagesim sync, or name a delivery with --ard`);
} // prettier-ignore

function bareLine(id: string): string {
  return `${id} has no embeddings: none of its chips is real, or it has no tile`;
}

/** The cells that are to be in the store, encoded; and the ids of those that have no tile or no embeddings. */
async function partsOf(dataPath: string, folder: string, card: ModelCard, options: DeployOptions, report: DeployReport): Promise<{ cells: CellPart[]; bare: string[] }> {
  const { ard, bbox, signal, onProgress } = options;
  const zone = options.zone ?? (ard === undefined ? undefined : deliveryAddress(ard).zone);
  if (ard !== undefined && deliveryAddress(ard).address !== dataRoot(dataPath)) await syncDelivery(ard, dataPath, { zone, bbox, signal, onProgress });
  const [found, bare]: [CellPart[], string[]] = [[], []];
  for (const [each, wanted] of await wantedCells(dataPath, { zone, bbox })) {
    const tiles = await tilesIn(dataPath, each, wanted);
    const held = wanted.filter(({ id }) => tiles.has(id));
    const parts = held.length === 0 ? undefined : await encoded(dataPath, folder, card, { ...options, zone: each }, held, report);
    for (const cell of wanted) {
      const [part, own] = [parts?.get(cell.quadkey), tiles.get(cell.id)];
      if (part !== undefined && own) found.push({ cell, part, tiles: own });
      else bare.push(cell.id);
    }
  }
  if (found.length + bare.length === 0) throw nothingToDeploy(dataPath, { zone, bbox });
  return { cells: found, bare };
} // prettier-ignore

/**
 * Parts by quadkey. What is not encoded yet, or of chips or tiles that have changed, is encoded: from chips on disk where the part is of such, else straight
 * from the tiles. One of several workers encodes those that fall to it.
 */
async function encoded(dataPath: string, model: string, card: ModelCard, options: DeployOptions & { zone: number }, wanted: readonly Cell[], report: DeployReport): Promise<Map<string, string>> {
  const { zone, bbox, shard, signal, onProgress, threads, load } = options;
  const named = { model: card.name, version: card.version };
  const ofChips = new Set<string>(await cutCells(dataPath, named, zone));
  for (const from of ['chips', 'ard'] as const) {
    const all: string[] = wanted.map(({ quadkey }) => quadkey).filter((quadkey) => ofChips.has(quadkey) === (from === 'chips'));
    if (all.length === 0) continue;
    const indexed = from === 'ard' ? await chipTiles({ dataPath, zone, bbox, shard, indexOnly: true, signal, onProgress }) : undefined;
    const share = indexed && isShare(shard) ? { quadkeys: indexed.quadkeys.filter((quadkey) => all.includes(quadkey)) } : { quadkeys: all, shard }; // dealt out once
    const done = await encodeChips(dataPath, { model, zone, from, ...share, threads, load, signal, onProgress });
    report.cells += isShare(shard) ? done.cells : 0;
    report.encoded += done.chips;
    report.leftOut.push(...done.leftOut);
    report.failed.push(...done.failed);
  }
  const parts = await embeddingParts(dataPath, named, zone).catch(() => []); // says only that there are none: no chip is real, or they are others'
  return new Map(parts.map((path) => [quadkeyOf(path), path]));
} // prettier-ignore

/** Cells whose part is of chips that lie on disk. */
async function cutCells(dataPath: string, named: { model: string; version: string }, zone: number): Promise<string[]> {
  if (!existsSync(join(dataRoot(dataPath), 'chips', paddedZone(zone)))) return [];
  const parts = await embeddingParts(dataPath, named, zone).catch(() => []); // says only that there are none
  const origins = await Promise.all(parts.map((part) => readPartFacts(part).then(({ chips }) => chips, () => 'damaged'))); // such a one is made again
  return parts.filter((_, at) => origins[at].startsWith('chips')).map(quadkeyOf);
} // prettier-ignore

function quadkeyOf(part: string): string {
  return basename(part, '.parquet');
}

/** Tiles of some cells by cell id, with what their STAC items say. */
async function tilesIn(dataPath: string, zone: number, cells: readonly Cell[]): Promise<Map<string, Tile[]>> {
  const root = dataRoot(dataPath);
  const source = openSource(root);
  const files = (await Promise.all(cells.map(({ quadkey }) => source.list(`ard/${paddedZone(zone)}/${quadkey}/`)))).flat();
  const tiles = await tilesOf({ source, prefix: 'ard/', files });
  const perCell = new Map<string, Tile[]>();
  for (const tile of tiles) perCell.set(tile.cell.id, [...(perCell.get(tile.cell.id) ?? []), tile]);
  return perCell;
} // prettier-ignore

/** What the rows of a cell follow from: its part, its map and its STAC items by size and time, and the rule for tags. */
async function digestOf(dataPath: string, { cell, part, tiles }: CellPart, { rule }: Tagger): Promise<string> {
  const items = tiles.flatMap(({ files: { item } }) => (item === undefined ? [] : [join(dataRoot(dataPath), item)]));
  const hash = createHash('sha256').update(rule);
  for (const path of [part, osmPath(dataPath, cell), ...items])
    hash.update(`\n${basename(path)} ${await stat(path).then(({ size, mtimeMs }) => `${size} ${mtimeMs}`, () => 'none')}`);
  return hash.digest('hex').slice(0, 16);
} // prettier-ignore

async function* batchesOf(cells: readonly CellPart[], tagger: Tagger, report: DeployReport, { signal, onProgress }: DeployOptions): AsyncGenerator<StoreBatch> {
  let batch: StoreBatch[] = [];
  for (const [done, cell] of cells.entries()) {
    signal?.throwIfAborted();
    batch.push(await rowsOf(cell, tagger, report));
    onProgress?.({ done: done + 1, total: cells.length, unit: 'cells', note: cell.cell.id });
    const rows = batch.flatMap((each) => each.rows);
    if (rows.length < BATCH && done + 1 < cells.length) continue;
    report.written += rows.length;
    yield { rows, values: joined(batch.map(({ values }) => values)) };
    batch = [];
  }
} // prettier-ignore

async function rowsOf({ cell, part, tiles }: CellPart, tagger: Tagger, report: DeployReport): Promise<StoreBatch> {
  const { rows, values } = await readEmbeddings(part, { model: report.model });
  const tags = await tagger.tagsOf(cell);
  if (!tags) report.leftOut.push(`${cell.id} has no osm_data.json: its chips are in the store without tags; run imagesim osm --zone ${cell.zone}`);
  const known = new Map(tiles.map(({ date, catid, metadata }) => [`${date} ${catid}`, metadata]));
  const whole = rows.map(({ id, catid, date }) => {
    const { cloudPercent = null, offNadir = null, gsd = null } = known.get(`${date} ${catid}`) ?? {};
    return storeRow({ id, catid, date, tags: tags?.get(id) ?? [], cloudPercent, offNadir, gsd, model: report.model });
  });
  return { rows: whole, values };
} // prettier-ignore

function joined(parts: readonly Float32Array[]): Float32Array {
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return values;
}
