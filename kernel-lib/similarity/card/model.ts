import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Progress, type StepOptions, dataRoot } from '../../ard/index.ts';
import { type DatasetRow, type DatasetVersion, type Licence, parseDataset, readDataset, rowPath } from '../../datasets/index.ts'; // prettier-ignore
import { readPixels } from '../../chips/index.ts';
import { type ModelCard, type PixelScale, colourHistograms, findModel, openBackbone, openModelEncoder, ownFeatures, rarityOf } from '../../training/index.ts'; // prettier-ignore
import seedrandom from 'seedrandom';
import { type ReportCard, reportCard } from './card.ts';
import type { Vectors } from '../nearest.ts';
import { type LikenessView, likenessView } from './view.ts';

/** What the baseline without any training is called on a card. */
const HISTOGRAM = 'colour histogram';

/** Options of {@link makeReport}. */
export interface ReportOptions extends Omit<StepOptions, 'concurrency'> {
  /** Name, name@version or folder of the model. */
  model: string;
  /** Name or name@version of the dataset. Default: the one that the model was trained on. */
  dataset?: string | undefined;
  /** File of the network that the model stands on, to show it as it was before. Default: where the model's card says. */
  backbone?: string | undefined;
  /** What it wants of pixels. Default: −1 to 1. */
  pixels?: PixelScale | undefined;
  /** Chips that are scored, at most; whole places are drawn where there are more. Default: 2000. */
  atMost?: number | undefined;
  /** The same seed gives the same sample, intervals and picture. Default: 1. */
  seed?: number | undefined;
}

/** A report card with what it is about. */
export interface Report {
  /** `name@version`, both. */
  model: string;
  dataset: string;
  modelCard: ModelCard;
  card: ReportCard;
  /** Chips of the test split, scored or not. */
  testChips: number;
  /** Picture of the chips that were scored; not there where there are fewer than 5. */
  view?: LikenessView | undefined;
  /** What the card could not show, and why. */
  absent: string[];
  licences: Licence[];
}

/**
 * Scores a model on the test ground of a dataset version: beside a colour histogram, and the network that it stands on where that is there.
 *
 * @throws {Error} naming the model, dataset or chip that is not there
 */
export async function makeReport(dataPath: string, options: ReportOptions): Promise<Report> {
  const { atMost = 2000, seed = 1, signal, onProgress } = options;
  const tell = (note: string): ((progress: Progress) => void) => (progress) => onProgress?.({ ...progress, note });
  const encoder = await openModelEncoder(await findModel(dataPath, options.model));
  try {
    const { card: modelCard, inputSize, width } = encoder;
    const dataset = await readDataset(dataPath, ...nameOf(options.dataset ?? modelCard.datasetVersion));
    const { manifest } = dataset;
    const all = dataset.rows.filter(({ split }) => split === 'test');
    const rows = samplePlaces(all, atMost, seed);
    const images = await readPixels(rows.map((row) => rowPath(dataPath, row)), inputSize, { signal, onProgress: tell('reading') });
    const vectors = { values: await encoder.encode(images, { signal, onProgress: tell('encoding') }), width };
    const plain = rows.length === 0 ? 'no chip to show it on' : await backboneVectors(modelCard, images, options);
    const beside = { ...(typeof plain === 'string' ? {} : { 'frozen backbone': plain }), [HISTOGRAM]: colourHistograms(images, inputSize) };
    const card = reportCard(vectors, rows, manifest.labels, { name: modelCard.name, beside, rarity: rarityFor(dataset), seed });
    card.notes.push(...await trainedOnTest(dataPath, modelCard, dataset, rows));
    const view = rows.length < 5 ? undefined : await likenessView(dataPath, vectors, rows, manifest.labels, { atMost, seed, signal, onProgress: tell('laying out') });
    return {
      model: `${modelCard.name}@${modelCard.version}`, dataset: `${manifest.name}@${manifest.version}`, modelCard, card, testChips: all.length, view,
      absent: [...(typeof plain === 'string' ? [`The frozen backbone is not shown: ${plain}.`] : []), ...(view ? [] : [`There is no picture of the chips: ${rows.length} are too few.`])],
      licences: manifest.licences,
    };
  } finally {
    await encoder.close();
  }
} // prettier-ignore

function nameOf(text: string): [name: string, version: string | undefined] {
  const { name, version } = parseDataset(text);
  return [name, version];
}

/** Whole places, drawn until there are so many chips; in the order given. */
function samplePlaces(rows: readonly DatasetRow[], atMost: number, seed: number): DatasetRow[] {
  if (!(Number.isInteger(atMost) && atMost > 0)) throw new RangeError(`makeReport requires a positive whole atMost, got ${atMost}`); // prettier-ignore
  if (rows.length <= atMost) return [...rows];
  const random = seedrandom(`report ${seed}`);
  const counts = new Map<string, number>();
  for (const { id } of rows) counts.set(id, (counts.get(id) ?? 0) + 1);
  const order = [...counts.keys()].map((id) => ({ id, at: random() })).sort((a, b) => a.at - b.at);
  const taken = new Set<string>();
  let chips = 0;
  for (const { id } of order) {
    if (chips + counts.get(id)! > atMost) break;
    chips += counts.get(id)!;
    taken.add(id);
  }
  return rows.filter(({ id }) => taken.has(id));
}

/** How rare each label is among the training rows. */
function rarityFor({ manifest: { labels }, rows }: DatasetVersion): Float32Array {
  const learnt = rows.filter(({ split }) => split === 'train');
  const known = learnt.flatMap((row) => labels.map((label) => row.labels[label] ?? Number.NaN));
  return rarityOf(Float32Array.from(known), labels.length);
}

/** The backbone as it was before training; or the reason why it cannot be shown. */
async function backboneVectors({ body, inputSize }: ModelCard, images: Uint8Array, { backbone, pixels }: ReportOptions): Promise<Vectors | string> {
  const path = backbone ?? (body.kind === 'convolutions' ? undefined : body.backbone);
  if (path === undefined) return 'the model stands on none, and none was named with --backbone';
  if (!existsSync(path)) {
    if (backbone !== undefined) throw new Error(`no backbone at ${path}: give its file`);
    return `${path} is not on this machine; name it with --backbone`;
  }
  const opened = await openBackbone(path, { pixels, ...(body.kind === 'frozen' && { stages: body.stages }) });
  try {
    if (body.kind !== 'convolutions' && opened.sha256 !== body.sha256) throw new Error(`${path} is not the network that the model stands on (SHA-256 ${opened.sha256}, its card says ${body.sha256}): name the right one`);
    if (opened.inputSize !== inputSize) return `it takes images of ${opened.inputSize} pixels, the model of ${inputSize}`;
    return { values: await ownFeatures(opened, images), width: opened.own };
  } finally {
    await opened.close();
  }
} // prettier-ignore

/** A note where the model has learnt from ground that is scored here. */
async function trainedOnTest(
  dataPath: string,
  { datasetVersion }: ModelCard,
  { manifest }: DatasetVersion,
  rows: readonly DatasetRow[],
): Promise<string[]> {
  if (datasetVersion === `${manifest.name}@${manifest.version}`) return [];
  const trained = await readDataset(dataPath, ...nameOf(datasetVersion)).catch((error: Error) => error.message);
  if (typeof trained === 'string')
    return [`The model was trained on ${datasetVersion}, which cannot be read here (${trained}): whether it has seen some of this ground is not known.`]; // prettier-ignore
  const seen = new Set(trained.rows.filter(({ split }) => split === 'train').map(({ id }) => id));
  const places = new Set(rows.map(({ id }) => id));
  const known = [...places].filter((id) => seen.has(id)).length;
  if (known === 0) return [`The model was trained on ${datasetVersion}, on none of the ground that is scored here.`];
  return [`The model was trained on ${datasetVersion}, on ${known} of the ${places.size} places that are scored here: the figures are too good.`]; // prettier-ignore
}

/** Where a report lies unless told otherwise: `embeddings/reports/<model>-<version>/<dataset>-<version>.html`. */
export function reportPath(dataPath: string, { model, dataset }: Pick<Report, 'model' | 'dataset'>): string {
  const [folder, file] = [model, dataset].map((text) => text.replace('@', '-'));
  return join(dataRoot(dataPath), 'embeddings', 'reports', folder, `${file}.html`);
}
