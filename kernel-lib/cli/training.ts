import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { type Shard, environmentShard } from '../ard/index.ts';
import { dataPath } from '../infra/index.ts';
import type { ModelCard, ModelOptions } from '../training/index.ts';
import { print, printTable, steps } from './output.ts';
import { TO, between, listOf, numberOf, shardNamed, zoneNumber } from './values.ts';

/** Adds the verbs that train models, show them and encode by them. */
export function trainingVerbs(program: Command): void {
  program
    .command('train')
    .description('train a model on a dataset version, score it on its test ground, and write it as a version')
    .option('--dataset <dataset>', 'name or name@version')
    .option('--options <file>', 'all of it from a JSON file, as a notebook writes it')
    .option('--name <name>', 'of the model; default: the dataset’s')
    .option('--size <pixels>', 'side of the images; default: the backbone’s, else 64', between(16, 256))
    .option('--epochs <n>', 'passes over the training chips', between(0, 100_000))
    .option('--batch <n>', 'chips a step', between(2, 65_536))
    .option('--rate <number>', 'largest step of Adam', numberOf)
    .option('--losses <names>', 'of entropy, contrastive, triplet, simclr, vicreg, each =weight, with commas between', lossesOf)
    .option('--backbone <file>', 'a pretrained network to stand on: an ONNX file or a tfjs layers model')
    .option('--pixels <scale>', 'what the backbone wants of pixels: imagenet, or scale,offset; default: -1 to 1')
    .option('--tune', 'train the backbone further; it must be a tfjs layers model')
    .option('--width <n>', 'length of an embedding', between(2, 4096))
    .option('--patience <n>', 'epochs without a better validation mAP after which it stops; 0: never', between(0, 100_000))
    .option('--seed <n>', 'another draw', between(-1e9, 1e9))
    .option('--members <n>', 'threads or GPUs at most', between(1, 1024))
    .option('--dollars-per-hour <price>', 'of this machine; default: $IMAGESIM_DOLLARS_PER_HOUR, else cost is not told', numberOf)
    .action(async ({ options: file, ...flags }: TrainFlags) => {
      const { pixelScale, progressFile, trainModel } = await import('../training/index.ts');
      const options =
        file === undefined ? modelOptions(flags, pixelScale) : (JSON.parse(readFileSync(file, 'utf8')) as ModelOptions);
      const { signal, onProgress } = steps();
      const run = process.env.IMAGESIM_JOB;
      const written = run ? progressFile(run) : undefined;
      const { card, folder } = await trainModel(dataPath(), {
        ...options,
        signal,
        onProgress: (progress) => (onProgress(progress), written?.(progress)),
        onLeft: (left) => left.forEach(({ label, reason }) => console.error(`left out: ${label}: ${reason}`)),
      });
      printTable(metricRows(card.metrics));
      print(folder);
    }); // prettier-ignore

  const models = program.command('model').description('list and show versions of models');

  models
    .command('list')
    .description('list the versions of every model, or of one; * marks the newest')
    .argument('[name]', 'model')
    .option('--json', 'one JSON line a version')
    .action(async (name: string | undefined, { json }: { json?: boolean }) => {
      const { listModels } = await import('../training/index.ts');
      const listed = await listModels(dataPath(), name);
      const rows = listed.map(({ card, latest, made, version, name: of }) => ({
        name: of, version: `${version}${latest && !json ? ' *' : ''}`, dataset: card?.datasetVersion, losses: Object.keys(card?.settings.losses ?? {}).join('+'),
        mAP: metricText(card?.metrics['mAP']), histogram: metricText(card?.metrics['histogramMAP']), made: made.toISOString().slice(0, 16), ...(json ? { latest } : {}),
      })); // prettier-ignore
      if (json) rows.forEach((row) => print(JSON.stringify(row)));
      else if (rows.length > 0) printTable(rows);
      else print('no model: make one with imagesim train, or notebook 06-training');
      listed.forEach(({ fault }) => fault && console.error(fault));
    });

  models
    .command('show')
    .description('show what a model is made of, and how good it is')
    .argument('<model>', 'name or name@version, of which the first digits do')
    .option('--json', 'the card as it is')
    .action(async (text: string, { json }: { json?: boolean }) => {
      const { findModel, readCard } = await import('../training/index.ts');
      const card = await readCard(await findModel(dataPath(), text));
      if (json) return print(JSON.stringify(card));
      const { name, version, datasetVersion, architecture, parameters, backend, metrics, licences } = card;
      const facts = { model: `${name}@${version}`, dataset: datasetVersion, architecture, weights: parameters, 'trained on': backend };
      printTable(Object.entries(facts).map(([fact, value]) => ({ fact, value })));
      printTable(metricRows(metrics));
      printTable([...licences]);
    }); // prettier-ignore

  program
    .command('encode')
    .description('write the embeddings of the chips of a zone by a model')
    .requiredOption('--model <model>', 'name, name@version of which the first digits do, or folder of a model')
    .requiredOption('--zone <n>', 'UTM zone', zoneNumber)
    .addOption(new Option('--from <what>', 'chips on disk, or tiles, uncut').choices(['chips', 'ard']).default('chips'))
    .addOption(new Option('--code <code>', 'how embeddings are kept').choices(['float32', 'int8', 'bit']).default('float32'))
    .option('--batch <n>', 'images at once', between(1, 4096), 32)
    .option('--shard <i/n>', 'only the cells that fall to worker i of n, from 0; default: as the array job says', shardNamed)
    .option('--to <address>', TO)
    .option('--force', 'encode again what is there')
    .action(async ({ batch: batchSize, shard = environmentShard(), ...options }: EncodeFlags) => {
      const { encodeChips } = await import('../training/index.ts');
      const report = await encodeChips(dataPath(), { ...options, batchSize, shard, ...steps() });
      const { model, runtime, why, cells, kept, chips, seconds, encoderSeconds, folder, leftOut, failed } = report;
      if (why !== undefined) console.error(`${why}; encoded with the training backend, ${runtime}`);
      leftOut.forEach((line) => console.error(`left out: ${line}`));
      failed.forEach((line) => console.error(`imagesim: ${line}`));
      if (failed.length > 0) process.exitCode = 1;
      const rate = chips > 0 ? ` at ${(chips / seconds).toFixed(0)} images/s (${runtime}, busy ${(100 * encoderSeconds / seconds).toFixed(0)} % of the time)` : '';
      print(`${model}: ${chips} chips encoded now${rate}; ${kept} of ${cells} cells were there; in ${folder}`);
    }); // prettier-ignore
}

type Metric = ModelCard['metrics'][string];

/** A figure, and where 95 of 100 draws of other places lie. */
function metricText(metric: Metric | undefined): string | undefined {
  if (typeof metric !== 'object') return Number.isInteger(metric) ? String(metric) : metric?.toFixed(3);
  const { value, low, high } = metric;
  return `${value.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}

function metricRows(metrics: ModelCard['metrics']): object[] {
  return Object.entries(metrics).map(([metric, value]) => ({ metric, value: metricText(value) }));
}

interface TrainFlags {
  options?: string;
  dataset?: string;
  name?: string;
  size?: number;
  epochs?: number;
  batch?: number;
  rate?: number;
  losses?: ModelOptions['losses'];
  backbone?: string;
  pixels?: string;
  tune?: boolean;
  width?: number;
  patience?: number;
  seed?: number;
  members?: number;
  dollarsPerHour?: number;
}

function modelOptions(
  { dataset: name, batch, rate, width, pixels, ...flags }: TrainFlags,
  pixelScale: (text: string) => ModelOptions['pixels'],
): ModelOptions {
  if (name === undefined) throw new Error('train requires --dataset, as imagesim dataset list names them');
  const { dollarsPerHour = process.env.IMAGESIM_DOLLARS_PER_HOUR } = flags;
  return {
    ...flags,
    dataset: name,
    batchSize: batch,
    learningRate: rate,
    embeddingWidth: width,
    pixels: pixels === undefined ? undefined : pixelScale(pixels),
    dollarsPerHour: dollarsPerHour === undefined ? undefined : Number(dollarsPerHour),
  };
}

/** Losses and their weights: `entropy=1,contrastive=0.3`; a name alone counts 1. */
function lossesOf(text: string): NonNullable<ModelOptions['losses']> {
  const pairs = listOf(text).map((word) => word.split('='));
  return Object.fromEntries(pairs.map(([name, weight = '1']) => [name, numberOf(weight)]));
}

interface EncodeFlags {
  model: string;
  zone: number;
  from: 'chips' | 'ard';
  code: 'float32' | 'int8' | 'bit';
  batch: number;
  shard?: Shard;
  to?: string;
  force?: boolean;
}
