/** From a delivery to a store that can be asked: what `imagesim similarity deploy` does. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Bounds, type Cell, type Shard, type StepOptions, type Tile, dataRoot, deliveryAddress, eachUnit, isShare, lonLatBounds, paddedZone } from '../../ard/index.ts'; // prettier-ignore
import { chipTiles } from '../../chips/index.ts';
import { type LentFile, type Outbox, outboxOf, syncDelivery, touches } from '../../infra/index.ts';
import { type ModelCard, type RuntimeOptions, encodeChips, modelFolder, partPlace, readCard, readEmbeddings } from '../../training/index.ts'; // prettier-ignore
import { type ChangeOptions, type StoreBatch, changeTable } from './commit.ts';
import type { IndexFacts } from './facts.ts';
import { storePlace } from './place.ts';
import { storeRow } from './row.ts';
import { type Supply, supplyOf } from './supply.ts';
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
  /**
   * `s3://` prefix that embeddings go to, a cell at a time, under the same keys; what lies there is not encoded again. Tiles of a zone, maps, chips, a
   * model and its dataset that the data folder has not are taken from there. Default: the data folder.
   */
  to?: string | undefined;
  /** Folder or s3:// prefix above `embeddings`, where the tables lie. Default: `to`, else the data folder. */
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
/** Parts that are asked at once what they are of. */
const PARTS_AT_ONCE = 16;

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
 * With `to` no disk is shared, and little of it is needed: tiles, maps and embeddings are brought a cell at a time, and removed.
 *
 * @throws {Error} when there is no such model, no tile in the zone and box, or the table is being written by another process
 * @throws {RangeError} when one of several workers is to bring a delivery: they deal out what is there; or one is to be brought to a bucket
 */
export async function deploy(dataPath: string, options: DeployOptions): Promise<DeployReport> {
  const start = performance.now();
  const outbox = outboxOf(dataPath, options.to, options.signal);
  checkDelivery(dataPath, options);
  const folder = await modelFolder(dataPath, options.model, outbox);
  const card = await readCard(folder);
  const work: Work = { dataPath, folder, card, outbox, supply: supplyOf(dataPath, outbox) };
  const place = storePlace(options.store ?? options.to ?? dataPath);
  const { table = card.name } = options;
  const report: DeployReport = {
    place, table, model: `${card.name}@${card.version}`, rows: 0, written: 0, cells: 0, changed: 0, kept: 0, withdrawn: 0, replaced: false,
    encoded: 0, seconds: 0, leftOut: [], failed: [],
  }; // prettier-ignore
  if (isShare(options.shard)) return encodeShare(work, options, report).then(() => timed(report, start));
  const { cells, bare } = await partsOf(work, options, report);
  const tagger = await taggerOf(dataPath, card, outbox);
  const digests = new Map(cells.map((cell) => [cell, digestOf(cell, tagger)]));
  const changed = await changeTable(place, table, async (live) => {
    report.replaced = live !== undefined && (live.model !== report.model || live.width !== card.embeddingWidth);
    const base = report.replaced || !live ? undefined : live;
    const due = cells.filter((cell) => base?.cells[cell.cell.id] !== digests.get(cell));
    const gone = bare.filter((id) => base && id in base.cells);
    report.leftOut.push(...bare.map((id) => (gone.includes(id) ? `${id} has no tile any more: its chips went from the store` : bareLine(id))));
    if (cells.length + gone.length === 0) throw nothingToDeploy(work, options, report.leftOut[0]);
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

/** What all of a deploy goes by. */
interface Work {
  dataPath: string;
  /** Of the model. */
  folder: string;
  card: ModelCard;
  /** Of the bucket that parts go to, if they go to one. */
  outbox: Outbox | undefined;
  supply: Supply;
}

/** A cell with its embeddings, its map, and the tiles that both are of. */
interface CellPart {
  cell: Cell;
  part: LentFile;
  map: LentFile | undefined;
  tiles: Tile[];
  items: [name: string, mark: string][];
}

/** Whether a delivery is to be brought that is not the data folder's own. */
function isElsewhere(dataPath: string, ard: string | undefined): ard is string {
  return ard !== undefined && deliveryAddress(ard).address !== dataRoot(dataPath);
}

function checkDelivery(dataPath: string, { ard, shard, to }: DeployOptions): void {
  if (!isElsewhere(dataPath, ard)) return;
  if (to !== undefined) {
    const sync = ard.startsWith('s3://') ? `imagesim sync ${ard} ${to}` : `imagesim sync ${ard}`; // a folder goes into the data folder, whose tiles are taken then
    throw new RangeError(`${ard} is not brought to ${to} by deploy: run ${sync} first, and deploy without --ard`);
  }
  if (isShare(shard)) throw new RangeError(`${ard} cannot be brought by one of ${shard.count} workers, for they deal out the tiles that are there: run imagesim sync first, and deploy without --ard`);
} // prettier-ignore

/** Encodes the cells of one of several workers. In each zone another begins the dealing: of many small zones not all heaviest cells are the first one's. */
async function encodeShare(work: Work, options: DeployOptions & { shard?: Shard | undefined }, report: DeployReport): Promise<void> {
  const { shard } = options;
  const zones = await wantedCells(work, options);
  if (zones.size === 0) throw nothingToDeploy(work, options);
  for (const [turn, [zone, wanted]] of [...zones].entries()) {
    const own = { index: (shard!.index + turn) % shard!.count, count: shard!.count };
    await encode(work, { ...options, zone, shard: own }, wanted, report);
  }
} // prettier-ignore

/** The cells asked for that have a folder, by zone. */
async function wantedCells({ supply }: Work, { zone, bbox }: Pick<DeployOptions, 'zone' | 'bbox'>): Promise<Map<number, Cell[]>> {
  const zones = new Map<number, Cell[]>();
  for (const each of zone === undefined ? await supply.zones() : [zone]) {
    const wanted = (await supply.cells(each)).filter((cell) => !bbox || touches(lonLatBounds(cell), bbox));
    if (wanted.length > 0) zones.set(each, wanted);
  }
  return zones;
} // prettier-ignore

function nothingToDeploy({ supply, outbox }: Work, { zone, bbox }: Pick<DeployOptions, 'zone' | 'bbox'>, why?: string): Error {
  const where = [zone === undefined ? '' : ` of zone ${zone}`, bbox ? ` in ${bbox.join(',')}` : ''].join('');
  const remedy = outbox ? `bring tiles there with imagesim sync s3://… ${outbox.address}` : 'bring tiles with imagesim sync, or name a delivery with --ard';
  return new Error(`no cell${where} in ${supply.address} that can be deployed${why ? ` (${why})` : ''}: ${remedy}`);
} // prettier-ignore

function bareLine(id: string): string {
  return `${id} has no embeddings: none of its chips is real, or it has no tile`;
}

/** The cells that are to be in the store, encoded; and the ids of those that have no tile or no embeddings. */
async function partsOf(work: Work, options: DeployOptions, report: DeployReport): Promise<{ cells: CellPart[]; bare: string[] }> {
  const { ard, bbox, signal, onProgress } = options;
  const { dataPath, card, outbox, supply } = work;
  const zone = options.zone ?? (ard === undefined ? undefined : deliveryAddress(ard).zone);
  if (isElsewhere(dataPath, ard)) await syncDelivery(ard, dataPath, { zone, bbox, signal, onProgress });
  const [found, bare]: [CellPart[], string[]] = [[], []];
  for (const [each, wanted] of await wantedCells(work, { zone, bbox })) {
    const tiles = await supply.tiles(each, wanted);
    const held = wanted.filter(({ id }) => tiles.has(id));
    if (held.length > 0) await encode(work, { ...options, zone: each }, held, report);
    const parts = await partPlace(dataPath, { model: card.name, version: card.version }, each, outbox);
    for (const cell of wanted) {
      const [part, own] = [await parts.lent(cell.quadkey), tiles.get(cell.id)];
      if (part !== undefined && own) found.push({ cell, part, map: await supply.map(cell), ...own });
      else bare.push(cell.id);
    }
  }
  if (found.length + bare.length === 0) throw nothingToDeploy(work, { zone, bbox });
  return { cells: found, bare };
} // prettier-ignore

/**
 * Encodes what is not encoded yet, or is of chips or tiles that have changed: from chips where the part is of such, else straight from the tiles. One of
 * several workers encodes those that fall to it.
 */
async function encode(work: Work, options: DeployOptions & { zone: number }, wanted: readonly Cell[], report: DeployReport): Promise<void> {
  const { dataPath, folder: model, outbox } = work;
  const { zone, bbox, shard, to, signal, onProgress, threads, load } = options;
  const ofChips = await cutCells(work, zone);
  for (const from of ['chips', 'ard'] as const) {
    const all: string[] = wanted.map(({ quadkey }) => quadkey).filter((quadkey) => ofChips.has(quadkey) === (from === 'chips'));
    if (all.length === 0) continue;
    const indexed = from === 'ard' ? await chipTiles({ dataPath, zone, bbox, shard, to, indexOnly: true, signal, onProgress }) : undefined;
    const share = indexed && isShare(shard) ? { quadkeys: indexed.quadkeys.filter((quadkey) => all.includes(quadkey)) } : { quadkeys: all, shard }; // dealt out once
    const done = await encodeChips(dataPath, { model, zone, from, ...share, to, threads, load, signal, onProgress });
    report.cells += isShare(shard) ? done.cells : 0;
    report.encoded += done.chips;
    report.leftOut.push(...done.leftOut);
    report.failed.push(...(outbox && indexed ? indexed.failed : []), ...done.failed); // records that could not be put
  }
} // prettier-ignore

/** Quadkeys of cells whose part is of chips. */
async function cutCells({ dataPath, card, outbox }: Work, zone: number): Promise<Set<string>> {
  if (!(await hasChips(dataPath, zone, outbox))) return new Set();
  const parts = await partPlace(dataPath, { model: card.name, version: card.version }, zone, outbox);
  const quadkeys = await parts.quadkeys();
  const isOfChips = async (quadkey: string): Promise<boolean> => (await parts.facts(quadkey))?.chips.startsWith('chips') ?? false;
  const isCut = await eachUnit(quadkeys, 'parts', isOfChips, { concurrency: PARTS_AT_ONCE });
  return new Set(quadkeys.filter((_, at) => isCut[at]));
} // prettier-ignore

async function hasChips(dataPath: string, zone: number, outbox: Outbox | undefined): Promise<boolean> {
  const key = `chips/${paddedZone(zone)}`;
  return existsSync(join(dataRoot(dataPath), key)) || (outbox !== undefined && (await outbox.folders(key)).length > 0);
}

/** What the rows of a cell follow from: its part, its map and its STAC items by size and time, and the rule for tags. */
function digestOf({ cell, part, map, items }: CellPart, { rule }: Tagger): string {
  const hash = createHash('sha256').update(rule);
  const files = [[`${cell.quadkey}.parquet`, part.mark], ['osm_data.json', map?.mark ?? 'none'], ...items];
  for (const [name, mark] of files) hash.update(`\n${name} ${mark}`);
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

async function rowsOf({ cell, part, map, tiles }: CellPart, tagger: Tagger, report: DeployReport): Promise<StoreBatch> {
  const { rows, values } = await part.read((path) => readEmbeddings(path, { model: report.model }));
  const tags = await map?.read((_, root) => tagger.tagsOf(root, cell));
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
