// The arithmetic of environment/SCALE.md: rates of one core, measured here, and from them hours, money and bytes for all open-data tiles.
//
//   node --import tsx bench/scale.ts [--scale full|city|tiny]
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cellOf, shardOf } from 'imagesim/ard';
import type { SampleScale } from 'imagesim/sample';
import { buildNetwork, saveModel } from 'imagesim/training';
import seedrandom from 'seedrandom';
import { onCore } from './submit.ts';
import { benchTile } from './tile.ts';

/** Open-data tiles, chips of a full one, and the mean share of them that is real. */
const [TILES, CHIPS, FILLED] = [22_792, 4096, 0.67];
/** US dollars: a processor an hour on demand and as spot (c6i, us-west-2, late 2026), a GB and month in S3, a thousand objects written. */
const PRICE = { onDemand: 0.0425, spot: 0.017, storage: 0.023, put: 0.005 };
/** A spot machine is taken away so often an hour; what it did of its cell is lost, and its worker waits so long for another. */
const [LOST_PER_HOUR, WAIT_SECONDS] = [0.05, 180];

/** What a core was measured to do. */
interface Measured {
  chips: number;
  tileBytes: number;
  chipBytes: number;
  /** Seconds of a run that finds everything done. */
  start: number;
  /** Chips a second, starts taken off. */
  cut: number;
  encode: number;
  encodeTiles: number;
  /** Bytes of a chip's embedding on disk, id and date included. */
  embedding: Record<'float32' | 'int8' | 'bit', number>;
  width: number;
  /** Seconds to merge the record of one cell into the index. */
  merge: number;
}

async function measure(scale: SampleScale): Promise<Measured> {
  const { folder, tile } = await benchTile(scale);
  const data = await mkdtemp(join(tmpdir(), 'imagesim-scale-'));
  try {
    await mkdir(join(data, 'ard'));
    await cp(join(folder, 'ard'), join(data, 'ard'), { recursive: true, preserveTimestamps: true });
    const width = await makeModel(join(data, 'models/bench/1'));
    const zone = ['--zone', '33'];
    const encode = (...more: string[]): string[] => ['encode', '--model', join(data, 'models/bench/1'), ...zone, '--force', ...more]; // prettier-ignore
    const first = await secondsOf(['chip', ...zone], data);
    const start = await secondsOf(['chip', ...zone], data);
    const files = (await readdir(join(data, 'chips'), { recursive: true })).filter((name) => name.endsWith('.jpg'));
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(data, 'chips', name))).size));
    await secondsOf(encode(), data); // its caches are warm after it
    const embedding = { float32: 0, int8: 0, bit: 0 };
    const seconds = { chips: 0, ard: await secondsOf(encode('--from', 'ard'), data) };
    for (const code of ['float32', 'int8', 'bit'] as const) {
      const took = await secondsOf(encode('--code', code), data);
      if (code === 'float32') seconds.chips = took;
      embedding[code] = (await bytesUnder(join(data, 'embeddings'))) / files.length;
    }
    const rate = (took: number): number => files.length / (took - start);
    return {
      chips: files.length, tileBytes: (await stat(tile.files['visual'])).size, chipBytes: sizes.reduce((sum, size) => sum + size, 0) / files.length,
      start, cut: rate(first), encode: rate(seconds.chips), encodeTiles: rate(seconds.ard), embedding, width, merge: await mergeSeconds(data, start),
    }; // prettier-ignore
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}

/** Of the processor, so that what else the machine does is not counted; nor is waiting for the disk. */
async function secondsOf(words: string[], data: string): Promise<number> {
  return (await onCore(0, words, data)).seconds;
}

async function bytesUnder(folder: string): Promise<number> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The default network at 64 px, untrained: what it computes takes as long. @returns the length of its embeddings */
async function makeModel(folder: string): Promise<number> {
  const network = await buildNetwork({ inputSize: 64, classes: ['a', 'b'] });
  await saveModel(folder, network, {
    name: 'bench', version: '1', datasetVersion: 'none', backend: 'none', settings: { losses: {} }, metrics: {}, curve: [], licences: [],
  }); // prettier-ignore
  const { embeddingWidth } = JSON.parse(await readFile(join(folder, 'card.json'), 'utf8')) as { embeddingWidth: number }; // prettier-ignore
  network.dispose();
  return embeddingWidth;
}

/** Copies the record of the cell to so many others, and has the index merged. */
async function mergeSeconds(data: string, start: number): Promise<number> {
  const [cells, parts] = [2000, join(data, 'nodata-index.parts')];
  const name = (await readdir(parts)).find((file) => file.endsWith('.json'))!;
  const record = JSON.parse(await readFile(join(parts, name), 'utf8')) as object;
  for (let index = 0; index < cells; index++) {
    const { id } = cellOf(33, `0300${index.toString(4).padStart(8, '0')}`);
    await writeFile(join(parts, `${id}.json`), JSON.stringify({ ...record, cell: id }));
  }
  return ((await secondsOf(['chip', '--zone', '33', '--index-only'], data)) - start) / cells;
}

/** A worker's day: the units of a shard one after another, each lost and begun again as often as its machine is taken away. */
function secondsOfShard(units: readonly number[], start: number, random: () => number): { seconds: number; lost: number } {
  let [seconds, lost] = [start, 0];
  const untilLoss = (): number => (-Math.log(1 - random()) * 3600) / LOST_PER_HOUR;
  let next = untilLoss();
  for (const unit of units) {
    for (let left = next; left < unit; left = untilLoss()) {
      seconds += left + WAIT_SECONDS + start;
      lost++;
      next = untilLoss();
    }
    next = Math.max(0, next - unit);
    seconds += unit;
  }
  return { seconds, lost };
} // prettier-ignore

/** Shards taken by workers as they come free. @returns hours to the last one's end, and processor hours of all */
function simulate(workers: number, perShard: number, measured: Measured, secondsPerChip: number): { hours: number; busy: number; lost: number } {
  const random = seedrandom(`scale ${workers} ${perShard}`);
  const tiles = Array.from({ length: TILES }, () => {
    const chips = CHIPS * filledShare(random);
    return { chips, bytes: (chips * measured.tileBytes) / measured.chips * spread(random) };
  });
  const count = Math.min(workers * perShard, 10_000);
  const free = Array.from({ length: workers }, () => 0);
  let [busy, lost] = [0, 0];
  for (const shard of dealt(tiles, count)) {
    const units = shard.map(({ chips }) => chips * secondsPerChip * spread(random));
    const run = secondsOfShard(units, measured.start, random);
    const first = free.indexOf(Math.min(...free));
    free[first] += run.seconds;
    busy += run.seconds;
    lost += run.lost;
  }
  return { hours: Math.max(...free) / 3600, busy: busy / 3600, lost };
} // prettier-ignore

/** Every shard, as each worker deals it out. */
function dealt<Unit extends { bytes: number }>(units: readonly Unit[], count: number): Unit[][] {
  const shards: Unit[][] = Array.from({ length: count }, () => []);
  const loads = new Float64Array(count);
  for (const unit of units.toSorted((a, b) => b.bytes - a.bytes)) {
    let lightest = 0;
    for (let shard = 1; shard < count; shard++) if (loads[shard] < loads[lightest]) lightest = shard;
    loads[lightest] += unit.bytes;
    shards[lightest].push(unit);
  }
  const [own] = [shardOf(units, { index: count - 1, count }, ({ bytes }) => bytes)];
  if (own.length !== shards[count - 1].length) throw new Error('the simulation deals otherwise than shardOf');
  return shards;
}

/** As the open tiles have it: a third of them under half full, 0.67 in the mean. */
function filledShare(random: () => number): number {
  return random() < 1 / 3 ? random() * 0.5 : 0.76 + 0.24 * random();
}

/** Cells of the same bytes do not take the same time: 15 % up or down, log-normal. */
function spread(random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.exp(0.15 * normal);
}

const figure = (value: number): string => value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(2); // prettier-ignore
const gigabytes = (bytes: number): string => `${figure(bytes / 1e9)} GB`;

function row(...cells: string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function page(measured: Measured): string {
  const { cut, encode, encodeTiles, start, tileBytes, chips, chipBytes, embedding, merge, width } = measured;
  const real = TILES * CHIPS * FILLED;
  const all = TILES * CHIPS;
  const chains = { 'chip, then encode': 1 / cut + 1 / encode, 'encode --from ard, no chips': 1 / encodeTiles };
  const lines = [
    `machine: one core of ${cpus()[0].model.trim()}, Node ${process.versions.node}; tile of ${chips} chips, ${(tileBytes / 1e6).toFixed(0)} MB`,
    `one core: start ${start.toFixed(1)} s; chip ${figure(cut)}/s, encode ${figure(encode)}/s, encode --from ard ${figure(encodeTiles)}/s at 64 px; merge ${(1000 * merge).toFixed(1)} ms a cell`,
    '', row('', 'cores', 'hours', 'core-hours', 'efficiency', 'workers lost', 'spot, $', 'on demand, $'), row('---', ...Array.from({ length: 7 }, () => '---:')),
  ]; // prettier-ignore
  for (const [name, perChip] of Object.entries(chains))
    for (const workers of [2, 16, 64, 256, 1024]) {
      const { hours, busy, lost } = simulate(workers, 4, measured, perChip);
      const ideal = (real * perChip) / 3600 / workers;
      lines.push(row(name, String(workers), figure(hours), figure(busy), (ideal / hours).toFixed(2), String(lost), figure(busy * PRICE.spot), figure(busy * PRICE.onDemand)));
    } // prettier-ignore
  lines.push('', row('', 'bytes each', `${figure(real / 1e6)} million real`, `${figure(all / 1e6)} million, were all real`, 'S3, $ a month', 'to write once, $'), row('---', '---:', '---:', '---:', '---:', '---:')); // prettier-ignore
  const stored: [string, number, number][] = [
    ['tiles', (TILES * tileBytes * (CHIPS / chips) * FILLED) / real, TILES],
    ['chips', chipBytes, real],
    ...Object.entries(embedding).map(([code, bytes]): [string, number, number] => [`embeddings, ${code}, width ${width}`, bytes, TILES]),
    [`bits alone, in memory`, width / 8, 0],
  ]; // prettier-ignore
  for (const [name, bytes, files] of stored)
    lines.push(row(name, figure(bytes), gigabytes(bytes * real), gigabytes(bytes * all), figure((bytes * real * PRICE.storage) / 1e9), figure((files / 1000) * PRICE.put))); // prettier-ignore
  lines.push(
    '',
    `the index: ${figure((merge * real) / chips / 60)} minutes to merge ${TILES.toLocaleString('en')} records, once an array`,
  );
  return lines.join('\n');
}

const { values } = parseArgs({ options: { scale: { type: 'string', default: 'full' } } });
console.log(page(await measure(values.scale as SampleScale)));
