/** Embeddings of a zone's chips by a model: what `imagesim encode` does. */
import { join } from 'node:path';
import { type Shard, type StepOptions, shardOf, sweepParts } from '../ard/index.ts';
import { type Outbox, outboxOf } from '../infra/index.ts';
import { ahead } from './ahead.ts';
import type { CodeKind } from './codes.ts';
import { ardSource } from './fromard.ts';
import { chipSource } from './fromchips.ts';
import { type ModelEncoder, openModelEncoder } from './modelencoder.ts';
import { type PartPlace, modelFolder, partPlace } from './handover.ts';
import { isModelName } from './name.ts';
import type { RuntimeOptions } from './onnx/session.ts';
import { type PartFacts, writePart } from './part.ts';
import type { CellSource, ChipFault, ChipName, ChipPixels, ZoneSource } from './zonesource.ts';

/** Options of {@link encodeChips}. */
export interface EncodeChipsOptions extends Omit<StepOptions, 'concurrency'>, RuntimeOptions {
  /** Name, name@version, or folder of the model. */
  model: string;
  /** UTM zone. */
  zone: number;
  /** Chips on disk, or the real chips of the tiles, none of them cut. Default: `chips`. */
  from?: 'chips' | 'ard' | undefined;
  /** How embeddings are kept. Default: `float32`. */
  code?: CodeKind | undefined;
  /** What bits are centred by, `[width]`: the same for all parts that are to be compared. Default: zeros. */
  mean?: Float32Array | undefined;
  /** Images at once. Default: 32. */
  batchSize?: number | undefined;
  /** Only these cells, by quadkey. Default: all of the zone. */
  quadkeys?: readonly string[] | undefined;
  /** Only the cells that fall to this one of several workers. Default: all. */
  shard?: Shard | undefined;
  /**
   * `s3://` prefix that parts go to, a cell at a time, under the same keys; what lies there is not encoded again. Tiles or chips of a zone,
   * and a model, that the data folder has not are taken from there, a cell's at a time; records of masks from there first. Default: the
   * data folder.
   */
  to?: string | undefined;
  /** Encodes again what is there. Default: leaves it. */
  force?: boolean | undefined;
}

/** What {@link encodeChips} did. */
export interface EncodeReport {
  /** `embeddings/parts/<model>-<version>/<zone>` of the data folder or bucket. */
  folder: string;
  /** name@version */
  model: string;
  /** `onnxruntime`, or the training backend that stood in for it. */
  runtime: string;
  /** Why it was not onnxruntime. */
  why?: string | undefined;
  /** Cells of this worker, and those of them that were there from an earlier run. */
  cells: number;
  kept: number;
  /** Chips encoded in this run. */
  chips: number;
  /** Of this run, from the first chip read to the last part written; and how much of it the encoder was at work. */
  seconds: number;
  encoderSeconds: number;
  /** What was left out, and why. */
  leftOut: string[];
  /** Chips and tiles that could not be read. They have no embedding. And parts that could not be put into the bucket. */
  failed: string[];
}

/** Batches read while one is encoded. */
const BATCHES_AHEAD = 2;

/** What is settled before work begins. */
interface Plan extends EncodeChipsOptions {
  outbox: Outbox | undefined;
  place: PartPlace;
  encoder: ModelEncoder;
  batchSize: number;
  facts: Pick<PartFacts, 'model' | 'version' | 'encoder' | 'runtime' | 'code' | 'width' | 'mean' | 'licences'>;
}

/**
 * Encodes the chips of a zone, each cell into a file of its own, `embeddings/parts/<model>-<version>/<zone>/<quadkey12>.parquet`: rows of id, catid,
 * date and vector, in order of date, acquisition and id. Of `float32` a vector is a list of numbers, of `int8` and `bit` bytes as `codeBytes` makes them.
 *
 * A part that is there, of the same encoder, code and chips, is left; one whose chips have changed, or have become more or fewer, is made again.
 * Chips on disk are the same where their contents are; chips of tiles where the tiles' files and the no-data index are. From either the embeddings
 * are the same, for the same bytes are decoded.
 *
 * @throws {Error} naming what there is, when there is no such model; the file, when the model is damaged; the folder, when nothing is to be encoded
 * @throws {RangeError} when a setting is out of range
 */
export async function encodeChips(dataPath: string, options: EncodeChipsOptions): Promise<EncodeReport> {
  const plan = await settle(dataPath, options);
  const { encoder, place, outbox, facts, zone, from = 'chips', quadkeys, shard } = plan;
  try {
    const source = await (from === 'ard' ? ardSource : chipSource)(dataPath, zone, outbox);
    const asked = quadkeys ? new Set(quadkeys) : undefined;
    const cells = source.cells.filter(({ quadkey }) => asked?.has(quadkey) ?? true);
    const own = shard ? shardOf(cells, shard, ({ weight }) => weight) : cells;
    const report: EncodeReport = {
      folder: place.address, model: `${facts.model}@${facts.version}`, runtime: encoder.runtime, ...(encoder.why !== undefined && { why: encoder.why }),
      cells: own.length, kept: 0, chips: 0, seconds: 0, encoderSeconds: 0, leftOut: source.leftOut, failed: source.failed,
    }; // prettier-ignore
    await new Run(plan, source, report).encode(own.map(({ quadkey }) => quadkey));
    const isAll = own.length > 0 && own.length === source.cells.length; // of a few cells it may well be that no chip is real
    if (isAll && report.kept + report.chips + report.failed.length === 0)
      throw new Error(`nothing of zone ${zone} can be encoded: ${report.leftOut[0]}`);
    if (!shard || shard.index === 0) await tellOrphans(place, source, report);
    await sweepParts(place.folder);
    return report;
  } finally {
    await encoder.close();
  }
}

async function settle(dataPath: string, options: EncodeChipsOptions): Promise<Plan> {
  const { zone, batchSize = 32, code = 'float32', mean } = options;
  if (!Number.isInteger(zone) || zone < 1 || zone > 60) throw new RangeError(`encodeChips requires a zone of 1 to 60, got ${zone}`);
  if (!Number.isInteger(batchSize) || batchSize < 1) throw new RangeError(`encodeChips requires a positive whole batchSize, got ${batchSize}`);
  const outbox = outboxOf(dataPath, options.to, options.signal);
  const encoder = await openModelEncoder(await modelFolder(dataPath, options.model, outbox), options);
  const { card, width, runtime } = encoder;
  try {
    if (!isModelName(card.name) || !isModelName(card.version)) throw new Error(`card.json calls the model ${card.name}@${card.version}, which cannot be a folder's name: save it under another`);
    if (mean && mean.length !== width) throw new RangeError(`encodeChips: a mean of ${mean.length} numbers, the model makes ${width}`);
    const facts = {
      model: card.name, version: card.version, encoder: card.files['encoder.onnx'].sha256, runtime, code, width, licences: card.licences,
      ...(mean && code === 'bit' && { mean: [...mean] }),
    };
    return { ...options, batchSize, encoder, facts, outbox, place: await partPlace(dataPath, facts, zone, outbox) };
  } catch (error) {
    await encoder.close();
    throw error;
  }
} // prettier-ignore

/** A cell under way. */
interface CellWork {
  source: CellSource;
  rows: ChipName[];
  vectors: Float32Array[];
  faults: ChipFault[];
}

/** A batch of a cell's chips; the last has no successor. */
interface Batch extends ChipPixels {
  cell: CellWork;
  isLast: boolean;
}

/** One run over the cells: files are read and decoded ahead of the encoder, also over the border of a cell. */
class Run {
  readonly #plan: Plan;
  readonly #zone: ZoneSource;
  readonly #report: EncodeReport;
  readonly #start = performance.now();
  readonly #sources = new Set<CellSource>();
  #done = 0;

  constructor(plan: Plan, zone: ZoneSource, report: EncodeReport) {
    this.#plan = plan;
    this.#zone = zone;
    this.#report = report;
  }

  async encode(quadkeys: readonly string[]): Promise<void> {
    try {
      await this.#encode(quadkeys);
    } finally {
      for (const source of this.#sources) await source.close();
    }
  }

  async #encode(quadkeys: readonly string[]): Promise<void> {
    const { encoder, batchSize, signal } = this.#plan;
    for await (const { cell, chips, pixels, faults, isLast } of ahead(this.#batches(quadkeys), BATCHES_AHEAD)) {
      signal?.throwIfAborted();
      const start = performance.now();
      if (chips.length > 0) cell.vectors.push(await encoder.encode(pixels, { batchSize, signal }));
      this.#report.encoderSeconds += (performance.now() - start) / 1000;
      cell.rows.push(...chips);
      cell.faults.push(...faults.filter((fault) => !isTold(fault, cell.faults)));
      this.#report.chips += chips.length;
      this.#report.seconds = (performance.now() - this.#start) / 1000;
      if (isLast) await this.#finish(cell);
      else this.#tell(`${cell.source.quadkey}: ${cell.rows.length} of ${cell.source.chips.length} chips`);
    }
  }

  /** Readers of the batches of all cells that are to be encoded. */
  async *#batches(quadkeys: readonly string[]): AsyncGenerator<() => Promise<Batch>> {
    const { batchSize, encoder, signal } = this.#plan;
    const opening = quadkeys.map((quadkey) => () => this.#open(quadkey));
    for await (const source of ahead(opening, 1)) {
      if (!source) continue;
      const cell: CellWork = { source, rows: [], vectors: [], faults: [] };
      const { chips } = source;
      for (let first = 0; first < chips.length; first += batchSize) {
        const some = chips.slice(first, first + batchSize);
        const isLast = first + batchSize >= chips.length;
        yield async () => ({ ...(await source.read(some, encoder.inputSize, signal)), cell, isLast });
      }
    }
  }

  /** The chips of a cell; nothing where there are none, or their part is there. */
  async #open(quadkey: string): Promise<CellSource | undefined> {
    this.#plan.signal?.throwIfAborted();
    const source = await this.#zone.open(quadkey);
    this.#sources.add(source);
    const known = source.chips.length > 0 && !this.#plan.force ? await this.#current(source) : undefined;
    if (source.chips.length > 0 && !known) return source;
    await source.close();
    this.#sources.delete(source);
    if (known) this.#report.kept++;
    else if ((await this.#plan.place.quadkeys()).includes(quadkey))
      this.#report.leftOut.push(orphanLine(this.#plan.place, quadkey));
    this.#report.failed.push(...linesOf(known?.faults ?? []));
    if (known) await this.#hand(quadkey);
    this.#done++;
    this.#tell(quadkey);
    return undefined;
  }

  /** What the part of a cell says, where it is of the same encoder, code and chips; a damaged one is as if it were not there. */
  async #current(source: CellSource): Promise<PartFacts | undefined> {
    const there = await this.#plan.place.facts(source.quadkey);
    if (there?.chips !== source.identity || madeBy(there) !== madeBy(this.#plan.facts)) return undefined;
    const unread = there.faults.filter((fault): fault is ChipName & ChipFault => fault.id !== undefined);
    const { chips } = await source.read(unread, this.#plan.encoder.inputSize, this.#plan.signal);
    return chips.length === 0 ? there : undefined; // of those that could not be read one can be: the disk was at fault
  }

  async #finish({ source, rows, vectors, faults }: CellWork): Promise<void> {
    const { width } = this.#plan.facts;
    await source.close();
    this.#sources.delete(source);
    const values = new Float32Array(rows.length * width);
    let at = 0;
    for (const some of vectors) {
      values.set(some, at);
      at += some.length;
    }
    const whole = withoutFaults(rows, values, width, faults);
    await writePart(this.#pathOf(source.quadkey), whole.rows, whole.values, { ...this.#plan.facts, chips: source.identity, faults });
    this.#report.failed.push(...linesOf(faults));
    await this.#hand(source.quadkey);
    this.#report.seconds = (performance.now() - this.#start) / 1000;
    this.#done++;
    this.#tell(source.quadkey);
  } // prettier-ignore

  /** What cannot be put is told, and the others go on. */
  async #hand(quadkey: string): Promise<void> {
    await this.#plan.place.hand(quadkey).catch((error: unknown) => {
      this.#plan.signal?.throwIfAborted();
      this.#report.failed.push((error as Error).message);
    });
  }

  #pathOf(quadkey: string): string {
    return join(this.#plan.place.folder, `${quadkey}.parquet`);
  }

  #tell(what: string): void {
    const { chips, seconds, cells } = this.#report;
    const rate = chips > 0 ? `, ${(chips / seconds).toFixed(0)} images/s` : '';
    this.#plan.onProgress?.({ done: this.#done, total: cells, unit: 'cells', note: `${what}${rate}` });
  }
}

/** What makes the same embeddings of the same chips. */
function madeBy({ encoder, code, mean }: Pick<PartFacts, 'encoder' | 'code' | 'mean'>): string {
  return JSON.stringify([encoder, code, mean]);
}

/** Rows of acquisitions that turned out to be damaged later on are taken back. */
function withoutFaults(rows: readonly ChipName[], values: Float32Array, width: number, faults: readonly ChipFault[]): { rows: ChipName[]; values: Float32Array } {
  const bad = new Set(faults.filter(({ id }) => id === undefined).map(({ date, catid }) => `${date} ${catid}`));
  const good = [...rows.keys()].filter((row) => !bad.has(`${rows[row].date} ${rows[row].catid}`));
  const kept = new Float32Array(good.length * width);
  for (const [at, row] of good.entries()) kept.set(values.subarray(row * width, (row + 1) * width), at * width);
  return { rows: good.map((row) => rows[row]), values: kept };
} // prettier-ignore

/** Whether an acquisition is known to be at fault: of several batches that found it the first tells. */
function isTold({ id, date, catid }: ChipFault, faults: readonly ChipFault[]): boolean {
  return id === undefined && faults.some((fault) => fault.id === undefined && fault.date === date && fault.catid === catid); // prettier-ignore
}

function linesOf(faults: readonly ChipFault[]): string[] {
  return [...new Set(faults.map(({ why }) => why))];
}

/** Parts of cells of which there is nothing more are told, and stay. */
async function tellOrphans(place: PartPlace, { cells }: ZoneSource, { leftOut }: EncodeReport): Promise<void> {
  const there = new Set(cells.map(({ quadkey }) => quadkey));
  const orphans = (await place.quadkeys()).filter((quadkey) => !there.has(quadkey));
  leftOut.push(...orphans.map((quadkey) => orphanLine(place, quadkey)));
}

function orphanLine({ address }: PartPlace, quadkey: string): string {
  return `${address}/${quadkey}.parquet is of chips that are no more: delete it`;
}
