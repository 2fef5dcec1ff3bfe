import type { ChipTag } from './chiptags.ts';
import { areaUnderRoc, fitProbe } from './probe.ts';
import type { LabelRule, LabelSchema } from './schema.ts';

/** How well a tag can be told from a picture. */
export interface Visibility {
  tag: string;
  /** Rows that have it. */
  positives: number;
  /** Area under the ROC curve on ground that the probe has not seen, 0–1: 0.5 is chance. `NaN` where it cannot be told. */
  auc: number;
  /** Its 95 % interval, were chips independent. */
  low: number;
  high: number;
  /** Where the whole interval lies: above the least that is asked for, below it, or on both sides: too few to tell. */
  verdict: 'seen' | 'not seen' | 'not known';
}

/** How {@link visibility} works. */
export interface VisibilityOptions {
  /** Zoom of the squares that are held out together: 12 is a cell, 14 a sixteenth of it. Default: 12 where there are several, else 14. */
  foldZoom?: number | undefined;
  /** Folds at most. Default: 5 */
  folds?: number | undefined;
  /** Least area under the curve. Default: 0.6 */
  atLeast?: number | undefined;
}

/**
 * Whether tags can be seen from above: a linear probe learns each from features of pictures, and is asked on ground that it
 * has not seen.
 *
 * Squares of ground are held out in turn, each once, so that every row is scored by a probe that saw none of its square. The
 * area is the mean over what was held out, by its pairs of chips with and without the tag: probes of different squares have
 * no common scale. Of fewer than 10 chips that have the tag nothing is known.
 *
 * @param chips id of the square of ground of each row, `Z33-<18 digits>`
 * @param features `[n, d]`, colour and texture or embeddings
 * @param tagged chips that have each tag
 * @returns in the order of `tagged`
 * @throws {RangeError} when features and chips do not match, or all chips lie in one square
 */
export function visibility(
  chips: readonly string[],
  features: Float32Array,
  tagged: ReadonlyMap<string, ReadonlySet<string>>,
  { foldZoom, folds = 5, atLeast = 0.6 }: VisibilityOptions = {},
): Visibility[] {
  const d = features.length / chips.length;
  if (chips.length === 0 || !Number.isInteger(d))
    throw new RangeError(`visibility requires features of ${chips.length} chips, got ${features.length} numbers`);
  const foldOf = foldsOf(chips, foldZoom, folds);
  const sides = [...new Set(foldOf)].map((fold) => ({
    train: rowsWhere(foldOf, (of) => of !== fold),
    test: rowsWhere(foldOf, (of) => of === fold),
  }));
  return [...tagged].map(([tag, having]) => {
    const classes = Uint8Array.from(chips, (chip) => Number(having.has(chip)));
    const heldOut = sides.flatMap(({ train, test }): Fold[] => {
      const [learnt, asked] = [train, test].map((rows) => rows.map((row) => classes[row]));
      if (!learnt.includes(1) || !learnt.includes(0)) return [];
      const scores = fitProbe(rowsOf(features, d, train), learnt).score(rowsOf(features, d, test));
      const positives = asked.filter((one) => one === 1).length;
      const { auc, error } = areaUnderRoc(scores, asked);
      return Number.isNaN(auc) ? [] : [{ auc, error, positives, pairs: positives * (asked.length - positives) }];
    });
    return judged(tag, classes.reduce((sum, one) => sum + one, 0), heldOut, atLeast); // prettier-ignore
  });
}

/** What a probe scored on ground that was held out. */
interface Fold {
  auc: number;
  error: number;
  positives: number;
  /** Pairs of one that has the tag and one that has not. */
  pairs: number;
}

/** Fewer than these tell nothing, whatever they score. */
const LEAST_POSITIVES = 10;

/** The mean over folds, by their pairs: scores of different probes are not compared with each other. */
function judged(tag: string, positives: number, folds: readonly Fold[], atLeast: number): Visibility {
  const pairs = folds.reduce((sum, fold) => sum + fold.pairs, 0);
  const auc = folds.reduce((sum, fold) => sum + fold.auc * fold.pairs, 0) / pairs;
  const error = Math.sqrt(folds.reduce((sum, fold) => sum + (fold.error * fold.pairs) ** 2, 0)) / pairs;
  const [low, high] = [Math.max(0, auc - 1.96 * error), Math.min(1, auc + 1.96 * error)];
  const asked = folds.reduce((sum, fold) => sum + fold.positives, 0);
  const verdict = asked < LEAST_POSITIVES ? 'not known' : verdictOf(low, high, atLeast);
  return { tag, positives, auc, low, high, verdict };
}

function verdictOf(low: number, high: number, atLeast: number): Visibility['verdict'] {
  if (low >= atLeast) return 'seen';
  return high < atLeast ? 'not seen' : 'not known';
}

/** Which fold each row belongs to: squares in order of their id, dealt out in turn. */
function foldsOf(chips: readonly string[], zoom: number | undefined, folds: number): number[] {
  const at = zoom ?? (new Set(chips.map((chip) => chip.slice(0, 4 + 12))).size > 1 ? 12 : 14);
  const squares = [...new Set(chips.map((chip) => chip.slice(0, 4 + at)))].sort();
  if (squares.length < 2) throw new RangeError(`all chips lie in one square of zoom ${at}: nothing can be held out; take a higher foldZoom`); // prettier-ignore
  const rank = new Map(squares.map((square, index) => [square, index % folds]));
  return chips.map((chip) => rank.get(chip.slice(0, 4 + at))!);
}

function rowsWhere(foldOf: readonly number[], isWanted: (fold: number) => boolean): number[] {
  return foldOf.flatMap((fold, row) => (isWanted(fold) ? [row] : []));
}

function rowsOf(features: Float32Array, d: number, rows: readonly number[]): Float32Array {
  const found = new Float32Array(rows.length * d);
  rows.forEach((row, at) => found.set(features.subarray(row * d, (row + 1) * d), at * d));
  return found;
}

/**
 * The chips that have each label of a schema: from its threshold on.
 *
 * @param rows which tags lie in which chips
 */
export function chipsHaving(rows: readonly ChipTag[], { labels }: LabelSchema): Map<string, Set<string>> {
  const byTag = new Map<string, ChipTag[]>();
  for (const row of rows) {
    const known = byTag.get(row.tag);
    if (known) known.push(row);
    else byTag.set(row.tag, [row]);
  }
  const having = ({ tags, measure, atLeast }: LabelRule): Set<string> => {
    const sums = new Map<string, number>();
    if (measure === 'near') return new Set(); // points with a buffer are not among the rows
    for (const row of tags.flatMap((tag) => byTag.get(tag) ?? []))
      sums.set(row.chip, (sums.get(row.chip) ?? 0) + row[measure]);
    return new Set([...sums].filter(([, sum]) => sum >= atLeast).map(([chip]) => chip));
  };
  return new Map(labels.map((rule) => [rule.label, having(rule)]));
}
