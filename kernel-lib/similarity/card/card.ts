import { parseChip } from '../../ard/index.ts';
import type { DatasetRow } from '../../datasets/index.ts';
import type { Scored } from '../../training/index.ts';
import { type CardGroup, groupsOf } from './groups.ts';
import { type Figures, type QueryFigure, figuresOf } from './figures.ts';
import { type CardFigure, Scorer, classFigures } from './scorer.ts';
import { type Vectors, rowsOf } from '../nearest.ts';

/** Scores of one embedding. */
export interface CardScores {
  /** Whose: the model first. */
  name: string;
  /** Mean over labels of the average precision: one answer is right that has the label. */
  mAP: CardFigure;
  /** The same, a rare label counting more. */
  rarityWeightedMAP: CardFigure;
  /** Average precision weighted by how many of its labels an answer shares with the chip that asked. */
  sharedTagMAP: CardFigure;
  /** nDCG of the first k by the same grades. */
  gain: CardFigure;
  /** Share of the first ten that have the label. */
  precisionAtTen: CardFigure;
  /** Share of all with the label that are among the first `recallK`. */
  recall: CardFigure;
  /** Share of labels that the majority of the nearest k tells rightly; its mean over those who have it and those who have not. */
  accuracy: CardFigure;
  balancedAccuracy: CardFigure;
}

/** Names of the figures of {@link CardScores}. */
export type FigureName = Exclude<keyof CardScores, 'name'>;

/** One label. */
export interface CardLabel {
  label: string;
  /** Chips that have it, each of which asked, and their places. */
  queries: number;
  places: number;
  /** Mean average precision of each embedding, in their order. */
  mAP: CardFigure[];
  /** Of the model. */
  precisionAtTen: CardFigure;
  recall: CardFigure;
  balancedAccuracy: CardFigure;
}

/** How good a model's embedding is, on ground that it has not seen. */
export interface ReportCard {
  /** Chips that were scored; their squares, cells and dates. */
  chips: number;
  places: number;
  cells: number;
  dates: number;
  /** Labels of the dataset, scored or not. */
  labelCount: number;
  /** Nearest that count for the gain and that vote, and among which recall is counted. */
  k: number;
  recallK: number;
  /** The model, then what it is shown beside. */
  embeddings: CardScores[];
  /** By how much the model's mAP is above that of each other: of the same questions, so surer than the two intervals side by side. */
  ahead: { of: string; by: Scored }[];
  labels: CardLabel[];
  /** Labels that cannot be scored, and why. */
  undefinedLabels: { label: string; reason: string }[];
  /** By cell, date, ground sample distance and angle. */
  groups: CardGroup[];
  /** What to know before a figure is believed. */
  notes: string[];
}

/** Options of {@link reportCard}. */
export interface CardOptions {
  /** What the model is called on the card. Default: `model`. */
  name?: string | undefined;
  /** Embeddings of the same chips to show it beside, by name: a colour histogram, the frozen backbone. Default: none. */
  beside?: Readonly<Record<string, Vectors>> | undefined;
  /** `[labels]`: how much a shared label says; `rarityOf` of the training rows. Default: each the same. */
  rarity?: Float32Array | undefined;
  /** Default: 10. */
  k?: number | undefined;
  /** Default: 50, or a tenth of the chips where there are fewer than 500. */
  recallK?: number | undefined;
  /** How often places are drawn anew for an interval. Default: 1000. */
  draws?: number | undefined;
  /** The same seed gives the same intervals. Default: 1. */
  seed?: number | undefined;
}

/**
 * The report card of an embedding, on the rows of the test split alone.
 *
 * Intervals are of a bootstrap over places, as {@link retrievalScores} draws them. What cannot be scored is NaN, with the reason among the notes or the
 * undefined labels. Costs chips squared: 2,000 of 27 labels take about ten seconds an embedding.
 *
 * @param vectors of length 1, of all rows
 * @param rows the chips, in the order of `vectors`
 * @param labels names of the labels to score
 * @throws {RangeError} when vectors and rows, or rarity and labels, differ in number, or k is not positive
 */
export function reportCard(
  vectors: Vectors,
  rows: readonly DatasetRow[],
  labels: readonly string[],
  { name = 'model', beside = {}, rarity, k = 10, recallK, draws, seed }: CardOptions = {},
): ReportCard {
  const all = Object.entries({ [name]: vectors, ...beside });
  for (const [whose, { values, width }] of all)
    if (values.length !== rows.length * width) throw new RangeError(`reportCard got ${rows.length} rows and ${values.length / width} vectors of ${whose}: one each`); // prettier-ignore
  if (rarity && rarity.length !== labels.length) throw new RangeError(`reportCard got a rarity of ${rarity.length} labels, there are ${labels.length}: one each`); // prettier-ignore
  const held = [...rows.keys()].filter((index) => rows[index].split === 'test');
  const own = held.map((index) => rows[index]);
  const options = {
    k,
    recallK: recallK ?? Math.max(1, Math.min(50, Math.floor(own.length / 10))),
    rarity: rarity ?? new Float32Array(labels.length).fill(1),
  };
  for (const [what, value] of Object.entries({ k, recallK: options.recallK }))
    if (!(Number.isInteger(value) && value > 0)) throw new RangeError(`reportCard requires a positive whole ${what}, got ${value}`); // prettier-ignore
  const known = Float32Array.from(own.flatMap((row) => labels.map((label) => row.labels[label] ?? Number.NaN)));
  const places = own.map(({ id }) => id);
  const figures = all.map(([, each]) => {
    const { values: embeddings, width } = rowsOf(each, held);
    return figuresOf({ embeddings, width, labels: known, classes: labels, places }, options);
  });
  const scorer = new Scorer(places, draws, seed);
  return {
    chips: own.length,
    ...countsOf(own),
    labelCount: labels.length,
    k: options.k,
    recallK: options.recallK,
    embeddings: figures.map((each, at) => ({ name: all[at][0], ...scoresOf(each, scorer, options.rarity) })),
    ahead: figures.slice(1).map((other, at) => ({ of: all[at + 1][0], by: scorer.of(differences(figures[0], other)) })),
    labels: labelsOf(figures, scorer, places),
    undefinedLabels: figures[0].classes.flatMap(({ label, reason }) => (reason === undefined ? [] : [{ label, reason }])), // prettier-ignore
    groups: groupsOf(own, figures[0].classes, scorer),
    notes: notesOf(own, figures[0]),
  };
}

function countsOf(rows: readonly DatasetRow[]): Pick<ReportCard, 'places' | 'cells' | 'dates'> {
  const count = (of: (row: DatasetRow) => string): number => new Set(rows.map(of)).size;
  return { places: count(({ id }) => id), cells: count(({ id }) => parseChip(id).cell.id), dates: count(({ date }) => date) }; // prettier-ignore
}

function scoresOf(figures: Figures, scorer: Scorer, rarity: Float32Array): Omit<CardScores, 'name'> {
  const { classes, recall, shared, gain, accuracy, balanced } = figures;
  const weights = rarity.filter((_, l) => classes[l].reason === undefined);
  const precisions = classFigures(classes, 'averagePrecision');
  return {
    mAP: scorer.of(precisions),
    rarityWeightedMAP: scorer.of(precisions, weights),
    sharedTagMAP: scorer.of([shared]),
    gain: scorer.of([gain]),
    precisionAtTen: scorer.of(classFigures(classes, 'precisionAtTen')),
    recall: scorer.of(recall),
    accuracy: scorer.of(accuracy),
    balancedAccuracy: scorer.balanced(balanced),
  };
}

/** What the model has more than another, query by query. */
function differences(model: Figures, other: Figures): QueryFigure[] {
  const own = classFigures(model.classes, 'averagePrecision');
  const theirs = classFigures(other.classes, 'averagePrecision');
  return own.map((figure, at) => ({
    ...figure,
    values: figure.values.map((value, q) => value - theirs[at].values[q]),
  }));
}

function labelsOf(figures: readonly Figures[], scorer: Scorer, places: readonly string[]): CardLabel[] {
  const each = figures.map(({ classes }) => classFigures(classes, 'averagePrecision'));
  const [{ classes, recall, balanced }] = figures;
  const tenth = classFigures(classes, 'precisionAtTen');
  return each[0].map(({ label, queries }, at) => ({
    label,
    queries: queries.length,
    places: new Set(Array.from(queries, (query) => places[query])).size,
    mAP: each.map((classesOf) => scorer.of([classesOf[at]])),
    precisionAtTen: scorer.of([tenth[at]]),
    recall: scorer.of([recall[at]]),
    balancedAccuracy: scorer.balanced([balanced[at]]),
  }));
}

function notesOf(rows: readonly DatasetRow[], { classes }: Figures): string[] {
  if (rows.length === 0)
    return ['No chip of the dataset is in its test split, so nothing can be said of ground that the model has not seen: split the dataset so that some is.']; // prettier-ignore
  const { cells, dates, places } = countsOf(rows);
  const scored = classes.filter(({ reason }) => reason === undefined);
  const few = scored.filter(({ queries }) => new Set(Array.from(queries, (query) => rows[query].id)).size < 10);
  const notes: string[] = [];
  if (scored.length === 0) notes.push('No label can be scored; the reasons are listed.');
  if (classes.length === 1) notes.push(`There is one label, ${classes[0].label}: the figures say how well chips with it are told from chips without, and nothing of any other likeness.`); // prettier-ignore
  if (cells === 1) notes.push('All chips lie in one cell: how the model does elsewhere is not known, and intervals are too narrow, for neighbours are alike.'); // prettier-ignore
  if (dates === 1) notes.push('All chips are of one date: how the model does in another season or light is not known.');
  if (places < 100) notes.push(`There are ${places} places only: intervals are wide, and themselves uncertain.`);
  if (few.length > 0) notes.push(`Fewer than ten places ask for ${few.map(({ label }) => label).join(', ')}: read ${few.length === 1 ? 'that figure' : 'those figures'} as a hint.`); // prettier-ignore
  return notes;
} // prettier-ignore
