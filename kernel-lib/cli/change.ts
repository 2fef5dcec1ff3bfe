import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Shard, chipIds, dataRoot, environmentShard, isShare, paddedZone, writeWhole } from '../ard/index.ts';
import { type Outbox, dataPath, outboxOf } from '../infra/index.ts';
import type {
  ChangeEncoder,
  ChangeList,
  ChangeParts,
  ChangeReport,
  DetectOptions,
  KnownChange,
  PairedTiles,
} from '../similarity/index.ts';
import { print, printTable, steps } from './output.ts';
import { TO, between, numberOf, shardNamed, zoneNumber } from './values.ts';

/** Where lists lie that the map shows. */
const LISTS = 'embeddings/changes/';
/** Where changes are looked for that are known. */
const VECTORS = 'demo-ard/vectors';

/** Adds the verb that ranks what changed between two dates. */
export function changeVerbs(program: Command): void {
  program
    .command('change')
    .description('rank the squares of ground that were seen on two days by the probability that they changed; score it where changes are known')
    .option('--demo', 'the delivery in demo-ard, where tiles lie in it; else the data folder’s own')
    .option('--zone <n>', 'UTM zone; default: the only one there is', zoneNumber)
    .option('--model <model>', 'name, name@version or folder of a model; default: colours and edges, without a network')
    .option('--backbone <file>', 'in place of a model, a pretrained network as it is')
    .option('--pixels <scale>', 'what the backbone wants of pixels: imagenet, or scale,offset; default: -1 to 1')
    .option('--before <day>', 'YYYY-MM-DD; default: of each chip the first on which it was seen whole')
    .option('--after <day>', 'YYYY-MM-DD; default: the last')
    .option('--reach <pixels>', 'how far the pictures may lie off each other; even', between(0, 32), 8)
    .option('--vectors <folder>', '.geojson files of known changes, by which it is scored; default: demo-ard/vectors')
    .option('--min-share <share>', 'of a chip’s area that must have changed', numberOf, 0.02)
    .option('--top <n>', 'lines of the list that are printed', between(0, 1e6), 10)
    .option('--to <place>', `file for the whole list, as GeoJSON; or ${TO}, and the list to ${LISTS}`)
    .option('--least <probability>', 'of what goes into that list', numberOf, 0)
    .option('--shard <i/n>', 'only encode the cells that fall to worker i of n, from 0; the same without it then ranks the chips of all. Default: as the array job says', shardNamed)
    .action(run); // prettier-ignore
}

interface ChangeFlags {
  demo?: boolean;
  zone?: number;
  model?: string;
  backbone?: string;
  pixels?: string;
  before?: string;
  after?: string;
  reach: number;
  vectors?: string;
  minShare: number;
  top: number;
  to?: string;
  least: number;
  shard?: Shard;
}

async function run({ shard = environmentShard(), ...flags }: ChangeFlags): Promise<void> {
  const { changeAddress, encodeChange, pairedTiles } = await import('../similarity/index.ts');
  const { before, after, demo, reach, zone } = flags;
  const { signal, onProgress } = steps();
  checkFlags(flags);
  const outbox = flags.to?.startsWith('s3://') ? outboxOf(dataPath(), flags.to, signal) : undefined;
  const known = await knownChanges(flags.vectors, outbox);
  const address = await changeAddress(dataPath(), { isDemo: demo, zone, outbox });
  const paired = await pairedTiles(address, { zone, before, after, shard, outbox, signal });
  const isScored = !isShare(shard) && (await touches(known, paired, flags));
  const { encoder, id, what, close } = await encoderOf(flags, outbox);
  const parts = { folder: join(outbox?.root ?? dataRoot(dataPath()), 'embeddings', 'change'), encoder: id, outbox };
  try {
    if (!isShare(shard)) return await rank(paired, { encoder, reach, parts, keepsPictures: isScored, signal, onProgress }, known, what, flags);
    const { chips, kept, failed } = await encodeChange(paired, { encoder, reach, parts, keepsPictures: known.length > 0, signal, onProgress });
    tellFaults(paired.leftOut, failed);
    print(`shard ${shard.index}/${shard.count}: ${chips} chips seen twice, ${kept} of them encoded before, by ${what}; the same without --shard ranks those of all`);
  } finally {
    await close();
  }
} // prettier-ignore

function checkFlags({ least, minShare, to }: ChangeFlags): void {
  if (!(least >= 0 && least <= 1)) throw new RangeError(`--least is ${least}: expected a probability, 0 to 1`);
  if (!(minShare > 0 && minShare <= 1)) throw new RangeError(`--min-share is ${minShare}: expected a share above 0 and up to 1`); // prettier-ignore
  if (to?.startsWith('s3://') && /json$/i.test(to))
    throw new RangeError(`--to is ${to}: of a bucket name the prefix that embeddings/ lies in; the list goes to ${LISTS} there`); // prettier-ignore
}

type Settings = DetectOptions & { parts: ChangeParts; keepsPictures: boolean };

/** Ranks the chips of all workers. */
async function rank(paired: PairedTiles, settings: Settings, known: readonly KnownChange[], what: string, flags: ChangeFlags): Promise<void> {
  const { detectChange, sweepChangeParts } = await import('../similarity/index.ts');
  const { outbox } = settings.parts;
  const list = await detectChange(paired, settings);
  for (const { name, agreement } of list.groups) if (!(agreement > 0)) console.error(`${name}: how far chips moved runs against how unlike their pictures are (rank correlation ${agreement.toFixed(2)}): do not trust the list; give another --model`);
  tellFaults(list.leftOut, list.failed);
  const written = await writeList(list, flags, outbox);
  const swept = list.failed.length > 0 ? [] : await sweepChangeParts(dataPath(), list.zone, outbox);
  swept.forEach((line) => console.error(line));
  tell(list, what, flags, written);
  if (settings.keepsPictures) await tellScores(list, known, what, flags);
} // prettier-ignore

function tellFaults(leftOut: readonly string[], failed: readonly string[]): void {
  leftOut.forEach((line) => console.error(`left out: ${line}`));
  failed.forEach((line) => console.error(`imagesim: ${line}`));
  if (failed.length > 0) process.exitCode = 1;
}

/** @returns where the list is; nothing where none is asked for */
async function writeList(list: ChangeList, { to, least, demo }: ChangeFlags, outbox: Outbox | undefined): Promise<string | undefined> {
  const { changeFeatures } = await import('../similarity/index.ts');
  if (to === undefined) return undefined;
  const path = outbox ? join(outbox.root, LISTS, `${demo ? 'demo-' : ''}${paddedZone(list.zone)}.geojson`) : to;
  await writeWhole(path, JSON.stringify(changeFeatures(list, { least })));
  if (!outbox) return to;
  const key = outbox.keyOf(path);
  await outbox.put({ files: [path], there: await outbox.list(key) });
  return `${outbox.address}/${key}`;
} // prettier-ignore

/** Whether known changes can be scored on; those that were asked for must. */
async function touches(known: readonly KnownChange[], { pairs }: PairedTiles, { vectors, zone }: ChangeFlags): Promise<boolean> {
  const { touchedChips } = await import('../similarity/index.ts');
  if (known.length === 0) return false;
  const ids = pairs.flatMap(({ before: { cell }, chips }) => { const names = chipIds(cell); return chips.map((chip) => names[chip]); });
  if (touchedChips(known, ids).size > 0) return true;
  const fault = `none of ${known.length} known changes in ${vectors ?? 'demo-ard/vectors'} touches one of the ${ids.length} chips${zone === undefined ? '' : ` of zone ${zone}`} that were seen twice: check their place, or leave them out`;
  if (vectors !== undefined) throw new Error(fault);
  console.error(`not scored: ${fault}`);
  return false;
} // prettier-ignore

async function knownChanges(vectors: string | undefined, outbox: Outbox | undefined): Promise<KnownChange[]> {
  const { readChangeVectors } = await import('../similarity/index.ts');
  const folder = vectors ?? join(dataRoot(dataPath()), VECTORS);
  if (vectors === undefined && !existsSync(folder)) return outbox ? heldChanges(outbox) : [];
  const known = await readChangeVectors(folder);
  if (known.length === 0) throw new Error(`no change in ${folder}: give a folder with .geojson files of polygons in lon/lat`); // prettier-ignore
  return known;
}

/** The known changes of a bucket; none where it holds none. */
async function heldChanges(outbox: Outbox): Promise<KnownChange[]> {
  const { readChangeVectors } = await import('../similarity/index.ts');
  const here = outbox.at(outbox.inbox);
  const files = [...(await here.list(`${VECTORS}/`)).values()].filter(({ key }) => key.endsWith('.geojson'));
  const folder = join(here.root, VECTORS);
  if (files.length === 0) return [];
  await here.bring(files);
  try {
    return await readChangeVectors(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
} // prettier-ignore

interface Chosen {
  encoder: ChangeEncoder;
  /** Where it is the same, so are its vectors. */
  id: string;
  what: string;
  close: () => Promise<void>;
}

async function encoderOf({ model, backbone: file, pixels }: ChangeFlags, outbox: Outbox | undefined): Promise<Chosen> {
  const { COLOURS_AND_EDGES, backboneEncoder } = await import('../similarity/index.ts');
  if (model !== undefined && file !== undefined) throw new Error('change takes --model or --backbone, not both');
  if (model === undefined && file === undefined) return { encoder: COLOURS_AND_EDGES, id: 'colours and edges', what: 'colours and edges', close: async () => undefined }; // prettier-ignore
  const { modelFolder, openBackbone, openEncoder, pixelScale, readCard } = await import('../training/index.ts');
  if (file !== undefined) {
    const backbone = await openBackbone(file, pixels === undefined ? {} : { pixels: pixelScale(pixels) });
    return {
      encoder: backboneEncoder(backbone),
      id: `${backbone.sha256} ${pixels ?? ''}`,
      what: 'backbone',
      close: () => backbone.close(),
    };
  }
  const folder = await modelFolder(dataPath(), model!, outbox);
  const id = (await readCard(folder)).files['encoder.onnx'].sha256;
  const encoder = await openEncoder(join(folder, 'encoder.onnx'));
  return { encoder, id, what: model!, close: () => encoder.close() };
}

/** Scores the list and what needs no learning. */
async function tellScores(list: ChangeList, known: readonly KnownChange[], what: string, { minShare }: ChangeFlags): Promise<void> {
  const { changeBaselines, changedShares, scoreChanges } = await import('../similarity/index.ts');
  const shares = changedShares(known, list.changes.map(({ id }) => id));
  const report = scoreChanges(list.changes, shares, { minShare });
  const others = changeBaselines(list).map(({ name, ranked }) => scoreRow(name, scoreChanges(ranked, shares, { minShare })));
  const { blocks, chance, changed, chips, prevalence, reliability, undecided } = report;
  print(`${changed} of ${chips} chips changed (${(100 * prevalence).toFixed(1)} %, which in random order would score ${chance.toFixed(3)}); ${undecided} touched by less than ${minShare} of their area are not scored; in brackets 95 % by bootstrap of ${blocks} blocks`);
  printTable([scoreRow(what, report), ...others]);
  printTable(reliability.filter((bin) => bin.chips > 0).map((bin) => ({ probability: `${bin.from.toFixed(1)}–${bin.to.toFixed(1)}`, chips: bin.chips, told: bin.told.toFixed(3), 'really changed': bin.found.toFixed(3) })));
} // prettier-ignore

function scoreRow(by: string, { averagePrecision: { value, low, high }, precisionAt, calibrationError, brier, brierOfPrevalence }: ChangeReport): object {
  const at = Object.fromEntries(precisionAt.map(({ k, precision }) => [`@${k}`, precision.toFixed(2)]));
  const told = (figure: number): string | undefined => (Number.isNaN(figure) ? undefined : figure.toFixed(3));
  return { by, 'average precision': `${value.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`, ...at, 'calibration error': told(calibrationError), Brier: told(brier), 'Brier of prevalence': told(brierOfPrevalence) };
} // prettier-ignore

function tell(
  { changes, groups, zone }: ChangeList,
  what: string,
  { top }: ChangeFlags,
  written: string | undefined,
): void {
  for (const { name, chips, share } of groups) print(`zone ${zone}, ${name}: ${chips} chips seen twice, ${(100 * share).toFixed(1)} % changed as estimated, by ${what}`); // prettier-ignore
  const rows = changes.slice(0, top).map(({ id, probability, before, after, shift }, at) => ({ rank: at + 1, chip: id, probability: probability.toFixed(3), before: before.date, after: after.date, 'shift east, south': `${shift.x}, ${shift.y}` })); // prettier-ignore
  if (rows.length > 0) printTable(rows);
  if (written !== undefined) print(written);
}
