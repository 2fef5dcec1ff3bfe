import type { LabelRule } from '../statistics/index.ts';
import type { LabelValue } from './labels.ts';
import { type DatasetRow, compareRows, keyOf } from './row.ts';
import type { DatasetVersion } from './version.ts';

/** What differs between two versions. */
export interface DatasetDiff {
  /** Chips of the second version alone, `Z33-…_<acquisition> of <day>`. */
  added: string[];
  /** Chips of the first alone. */
  removed: string[];
  /** Chips of both whose file is another. */
  changed: string[];
  /** By label of both, how many chips went from one value to another, `absent → present`. A label without any is left out. */
  labels: Record<string, Record<string, number>>;
  /** How many chips went from one side to another, `train → test`. */
  splits: Record<string, number>;
  /** Labels whose rule is only in the second, only in the first, or is another. */
  schema: { added: string[]; removed: string[]; changed: string[] };
  /** Cells whose map is of another day, or is in one of them alone. */
  osmDates: string[];
  /** What else of the manifests is another. */
  facts: string[];
}

const WORDS = new Map<LabelValue, string>([[1, 'present'], [0, 'absent'], [null, 'unknown']]); // prettier-ignore

/** Compares two versions, row by row in their common order: of one dataset or of two. */
export function diffDatasets(before: DatasetVersion, after: DatasetVersion): DatasetDiff {
  const [a, b] = [before.manifest, after.manifest];
  const diff: DatasetDiff = {
    added: [],
    removed: [],
    changed: [],
    labels: {},
    splits: {},
    schema: diffRules(a.schema.labels, b.schema.labels),
    osmDates: [...new Set([...Object.keys(a.osmDates), ...Object.keys(b.osmDates)])].filter((cell) => a.osmDates[cell] !== b.osmDates[cell]).sort(),
    facts: (['zone', 'split', 'licences', 'nodataIndex', 'codeVersion'] as const).filter((fact) => JSON.stringify(a[fact]) !== JSON.stringify(b[fact])),
  }; // prettier-ignore
  const common = a.labels.filter((label) => b.labels.includes(label));
  pairRows(before.rows, after.rows, diff, (one, other) => compareRow(one, other, common, diff));
  return diff;
}

/** Walks two sorted lists at once. */
function pairRows(
  before: readonly DatasetRow[],
  after: readonly DatasetRow[],
  { added, removed }: DatasetDiff,
  onPair: (before: DatasetRow, after: DatasetRow) => void,
): void {
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const order = orderOf(before[i], after[j]);
    if (order < 0) removed.push(keyOf(before[i++]));
    else if (order > 0) added.push(keyOf(after[j++]));
    else onPair(before[i++], after[j++]);
  }
}

function orderOf(a: DatasetRow | undefined, b: DatasetRow | undefined): number {
  if (!a) return 1;
  return b ? compareRows(a, b) : -1;
}

function compareRow(a: DatasetRow, b: DatasetRow, labels: readonly string[], diff: DatasetDiff): void {
  if (a.sha256 !== b.sha256) diff.changed.push(keyOf(b));
  if (a.split !== b.split) count(diff.splits, a.split, b.split);
  for (const label of labels) {
    const [was, is] = [a.labels[label], b.labels[label]];
    if (was !== is) count((diff.labels[label] ??= {}), WORDS.get(was)!, WORDS.get(is)!);
  }
}

function count(counts: Record<string, number>, from: string, to: string): void {
  const step = `${from} → ${to}`;
  counts[step] = (counts[step] ?? 0) + 1;
}

function diffRules(before: readonly LabelRule[], after: readonly LabelRule[]): DatasetDiff['schema'] {
  const [a, b] = [before, after].map((rules) => new Map(rules.map((rule) => [rule.label, JSON.stringify(rule)])));
  return {
    added: [...b.keys()].filter((label) => !a.has(label)),
    removed: [...a.keys()].filter((label) => !b.has(label)),
    changed: [...b.keys()].filter((label) => a.has(label) && a.get(label) !== b.get(label)),
  };
}
