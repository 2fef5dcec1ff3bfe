import { type LabelDrift, labelDrift } from '../statistics/index.ts';
import type { DatasetVersion } from './version.ts';

/**
 * How far labels are rarer on one side of the split than on another, the largest difference first.
 *
 * Each square counts once, whatever its dates; those in the buffer do not. As {@link labelDrift}, with chips taken as
 * independent: neighbours are not, so that its p-values flatter a difference, and Cramér's V is what to go by.
 */
export function splitDrift({ manifest, rows }: Pick<DatasetVersion, 'manifest' | 'rows'>): LabelDrift[] {
  const squares = new Map(rows.filter(({ split }) => split !== 'buffer').map((row) => [row.id, row]));
  const having = [...squares.values()].flatMap(({ id, labels }) =>
    manifest.labels.filter((label) => labels[label] === 1).map((tag) => ({ chip: id, tag })),
  );
  return labelDrift(having, manifest.labels, [...squares.keys()], (id) => squares.get(id)!.split);
}
