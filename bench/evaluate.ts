// How good embeddings are: `npm run evaluate`, on the sample, on folders of scenes (a folder a class), and by what changed. Measures and tells; never judges.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chipTiles, readChips, readPixels } from 'imagesim/chips';
import { type DatasetRow, labelChips, rowPath, splitByPlace } from 'imagesim/datasets';
import { fetchOsmByQuadkey, serveOverpass } from 'imagesim/osm';
import { type SampleScale, makeSample } from 'imagesim/sample';
import { chipTags, proposeSchema, tagAtlas } from 'imagesim/statistics';
import {
  type Backbone, type ModelOptions, type Network, type NetworkOptions, type TrainOptions, type TrainingSet,
  buildNetwork, colourHistograms, columnsOf, encode, learnableLabels, openBackbone, ownFeatures, retrieval, retrievalScores, train,
} from 'imagesim/training'; // prettier-ignore
import { evaluateChange } from './change.ts';

const shared = fileURLToPath(new URL('../../shared/data', import.meta.url));
const USAGE = `npm run evaluate -- [scenes] [sample] [change] [--scenes folder] [--backbone file.onnx] [--scale 0.0078125] [--offset -1] [--ground city] [--epochs 1, times what is set]`;

/** Images with the labels by which they are scored. */
interface Scored {
  images: Uint8Array;
  size: number;
  labels: Float32Array;
  classes: readonly string[];
  places?: string[];
  weights?: Float32Array;
}

const rows: { what: string; mAP: string; weighted: string; precisionAt10: string; seconds: number }[] = [];
const share = (epochs: number, part: number): number => Math.max(1, Math.round(epochs * part));

/** Adds one line to the table: mean over folds, and of the first its interval. */
function tell(what: string, folds: { embeddings: Float32Array; width: number; set: Scored }[], since: number): void {
  const scores = folds.map(({ embeddings, width, set: { labels, classes, places } }) =>
    retrievalScores(retrieval({ embeddings, width, labels, classes, places }), {
      places,
      rarity: rarity(labels, classes.length),
    }),
  );
  const mean = (of: (score: (typeof scores)[number]) => { value: number; low: number; high: number }): string => {
    const parts = (['value', 'low', 'high'] as const).map((part) => scores.reduce((sum, score) => sum + of(score)[part], 0) / scores.length); // prettier-ignore
    return `${parts[0].toFixed(3)} (${parts[1].toFixed(3)}–${parts[2].toFixed(3)})`;
  };
  rows.push({
    what,
    mAP: mean(({ meanAveragePrecision }) => meanAveragePrecision),
    weighted: mean(({ rarityWeighted }) => rarityWeighted),
    precisionAt10: mean(({ precisionAtTen }) => precisionAtTen),
    seconds: Math.round((performance.now() - since) / 1000),
  });
  console.error(`evaluate: ${what}: ${rows.at(-1)!.mAP}`);
}

/** How much a class counts by how rare it is among what is scored. */
function rarity(labels: Float32Array, classes: number): Float32Array {
  const counts = new Float32Array(classes);
  for (const [i, label] of labels.entries()) counts[i % classes] += label === 1 ? 1 : 0;
  return counts.map((count) => Math.log((1 + labels.length / classes) / (1 + count)) + 1);
}

async function scenesOf(folder: string, size: number, half?: 0 | 1): Promise<Scored> {
  const classes = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name).sort(); // prettier-ignore
  const files = classes.flatMap((name, kind) =>
    readdirSync(join(folder, name)).sort().filter((_, i) => half === undefined || i % 2 === half).map((file) => ({ path: join(folder, name, file), kind })),
  ); // prettier-ignore
  const labels = Float32Array.from({ length: files.length * classes.length }, (_, i) =>
    Number(files[Math.floor(i / classes.length)].kind === i % classes.length),
  );
  return { images: await readPixels(files.map(({ path }) => path), size), size, labels, classes }; // prettier-ignore
}

/** Trains on one half and scores the other, both ways round. */
async function bothWays(
  what: string,
  folder: string,
  size: number,
  build: Omit<NetworkOptions, 'classes'>,
  options: TrainOptions,
): Promise<void> {
  const since = performance.now();
  const halves = [await scenesOf(folder, size, 0), await scenesOf(folder, size, 1)];
  const scored = [];
  for (const [i, learn] of halves.entries()) {
    const set = halves[1 - i];
    const network = await buildNetwork({ inputSize: size, ...build, classes: learn.classes });
    await train(network, learn, options);
    scored.push({ embeddings: await encode(network, set.images), width: network.embeddingWidth, set });
    network.dispose();
  }
  tell(what, scored, since);
}

async function evaluateScenes(folder: string, backbone: Backbone | undefined, part: number): Promise<void> {
  const since = performance.now();
  const whole = await scenesOf(folder, 128);
  const colours = colourHistograms(whole.images, whole.size);
  tell('scenes: colour histogram, all', [{ embeddings: colours.values, width: colours.width, set: whole }], since);
  const halves = [await scenesOf(folder, 128, 0), await scenesOf(folder, 128, 1)];
  tell('scenes: colour histogram, halves', halves.map((set) => {
    const { values, width } = colourHistograms(set.images, set.size);
    return { embeddings: values, width, set };
  }), since); // prettier-ignore
  if (backbone) {
    const start = performance.now();
    const frozen = [];
    for (const half of [0, 1] as const) {
      const set = await scenesOf(folder, backbone.inputSize, half);
      frozen.push({ embeddings: await ownFeatures(backbone, set.images), width: backbone.own, set });
    }
    tell('scenes: frozen backbone, halves', frozen, start);
    const { inputSize } = backbone;
    await bothWays('scenes: head on the backbone, fitted, half', folder, inputSize, { backbone }, { epochs: 0 }); // prettier-ignore
    await bothWays('scenes: head on the backbone, fitted and trained, half', folder, inputSize, { backbone }, { epochs: share(20, part), featureViews: 2 }); // prettier-ignore
  }
  await bothWays('scenes: from scratch without labels (SimCLR, fitted), half', folder, 128, {}, { epochs: share(20, part), losses: { simclr: 1 }, batchSize: 128, temperature: 0.2 }); // prettier-ignore
  await bothWays('scenes: from scratch by labels, half', folder, 128, {}, { epochs: share(40, part) });
}

/** The sample: one cell to learn from, the other to be scored on. */
async function evaluateSample(backbone: Backbone | undefined, part: number, scale: SampleScale): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'imagesim-evaluate-'));
  try {
    const made = await makeSample(folder, { scale });
    const server = await serveOverpass(join(folder, 'overpass'));
    await fetchOsmByQuadkey(33, folder, { endpoint: server.endpoint });
    await server.close();
    const chips = await readChips((await chipTiles({ dataPath: folder, zone: 33 })).chipDir);
    const ids = new Set(chips.map(({ id }) => id));
    const { rows: tags, near } = await chipTags(folder, 33, { only: ids });
    const schema = proposeSchema(tagAtlas(tags, ids.size).filter((row) => row.chips >= 5));
    const labelled = labelChips(ids, tags, schema, { near });
    const names = schema.labels.map(({ label }) => label);
    const [seenCell] = made.cells;
    const seen = new Map([...labelled].filter(([id]) => id.startsWith(seenCell)));
    const sides = splitByPlace(seen, { blockZoom: 16, buffer: 1, validation: 0.2, test: 0.01 });
    const rowsWhere = (wanted: (row: DatasetRow) => boolean): DatasetRow[] =>
      chips.map(({ id, catid, date }): DatasetRow => ({ id, catid, date, split: sides.get(id) ?? 'test', ...labelled.get(id)! })).filter(wanted); // prettier-ignore
    const learn = rowsWhere(({ id, split }) => id.startsWith(seenCell) && split !== 'validation' && split !== 'buffer');
    const watch = rowsWhere(({ split }) => split === 'validation');
    const held = rowsWhere(({ id }) => !id.startsWith(seenCell));
    const all = Float32Array.from(learn.flatMap((row) => names.map((name) => row.labels[name] ?? Number.NaN)));
    const { labels: classes } = learnableLabels(all, names, learn.map(({ id }) => id)); // prettier-ignore
    const setOf = async (chosen: DatasetRow[], size: number): Promise<Scored & TrainingSet> => ({
      images: await readPixels(chosen.map((row) => rowPath(folder, row)), size), // prettier-ignore
      size,
      labels: columnsOf(Float32Array.from(chosen.flatMap((row) => names.map((name) => row.labels[name] ?? Number.NaN))), names, classes),
      classes,
      places: chosen.map(({ id }) => id),
      weights: Float32Array.from(chosen, ({ weight }) => weight),
    }); // prettier-ignore
    const run = async (
      what: string,
      size: number,
      build: Omit<NetworkOptions, 'classes'>,
      options: TrainOptions,
    ): Promise<void> => {
      // prettier-ignore
      const start = performance.now();
      const network: Network = await buildNetwork({ inputSize: size, ...build, classes });
      const set = await setOf(held, size);
      await train(network, await setOf(learn, size), { ...options, validation: await setOf(watch, size) });
      tell(what, [{ embeddings: await encode(network, set.images), width: network.embeddingWidth, set }], start);
      network.dispose();
    };
    const start = performance.now();
    const set = await setOf(held, 128);
    const colours = colourHistograms(set.images, 128);
    console.error(`evaluate: sample: ${learn.length} chips of one cell to learn from, ${held.length} of the other scored, ${classes.length} classes`); // prettier-ignore
    tell('sample: colour histogram', [{ embeddings: colours.values, width: colours.width, set }], start);
    if (backbone) {
      const whole = await setOf(held, backbone.inputSize);
      tell('sample: frozen backbone', [{ embeddings: await ownFeatures(backbone, whole.images), width: backbone.own, set: whole }], start); // prettier-ignore
      await run('sample: head on the backbone, fitted', backbone.inputSize, { backbone }, { epochs: 0 }); // prettier-ignore
    }
    await run('sample: from scratch by labels, 64²', 64, {}, { epochs: share(40, part) });
    await run('sample: from scratch by labels, 128²', 128, {}, { epochs: share(40, part) });
    await run('sample: from scratch without labels, 64²', 64, {}, { epochs: share(10, part), losses: { simclr: 1 }, batchSize: 128, temperature: 0.2 }); // prettier-ignore
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      scenes: { type: 'string', default: join(shared, 'scenes-rsscn7') },
      backbone: { type: 'string', default: join(shared, 'backbone/mobilenet_v1_1.0_224_embed_w8.onnx') },
      scale: { type: 'string', default: String(1 / 128) },
      offset: { type: 'string', default: '-1' },
      epochs: { type: 'string', default: '1' },
      ground: { type: 'string', default: 'city' },
    },
  });
  const part = Number(values.epochs);
  if (!(part > 0)) throw new Error(USAGE);
  const pixels: ModelOptions['pixels'] = { scale: Number(values.scale), offset: Number(values.offset) };
  const backbone = existsSync(values.backbone) ? await openBackbone(values.backbone, { pixels, stages: true }) : undefined; // prettier-ignore
  if (!backbone) console.error(`evaluate: no backbone at ${values.backbone}: its rows are left out`);
  const wants = (name: string): boolean => positionals.length === 0 || positionals.includes(name);
  if (wants('scenes') && existsSync(values.scenes)) await evaluateScenes(values.scenes, backbone, part);
  else if (wants('scenes')) console.error(`evaluate: no scenes at ${values.scenes}: give --scenes a folder with a folder a class`); // prettier-ignore
  if (wants('sample')) await evaluateSample(backbone, part, values.ground as SampleScale);
  if (wants('change')) await evaluateChange(backbone, shared, values.ground as SampleScale);
  if (rows.length > 0) console.table(rows);
  console.log(`leave-one-out retrieval by cosine; in brackets 95 % by bootstrap of places; ${cpus().length} cores, ${cpus()[0].model.trim()}, Node ${process.versions.node}`); // prettier-ignore
  await backbone?.close();
}

await main();
