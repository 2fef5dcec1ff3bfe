import { CELL_ZOOM } from '../ard/index.ts';
import type { ChipTag, LabelRule, LabelSchema, NearPoints } from '../statistics/index.ts';

/** Whether a chip has a label: 1 yes, 0 no, `null` not known. */
export type LabelValue = 0 | 1 | null;

/** The labels of one square of ground. */
export interface ChipLabels {
  labels: Record<string, LabelValue>;
  /** How far an absent label is to be believed, 0–1: less where nothing at all is mapped. */
  weight: number;
}

/** How {@link labelChips} weighs chips in which nothing is mapped. */
export interface LabelOptions {
  /** Weight of such a chip where nothing is known of its cell, 0–1. Default: 0.5 */
  unmappedWeight?: number | undefined;
  /** How complete the map of each cell is, 0–1, by the cell's id: the weight of such a chip in it. Default: not known */
  completeness?: ReadonlyMap<string, number> | undefined;
  /** Points with a buffer, for rules that measure `near`. Default: none */
  near?: readonly NearPoints[] | undefined;
}

/**
 * Labels of chips from the tags that lie in them.
 *
 * A label is present from its rule's threshold on, unknown below it where there is some, absent where there is none. A chip in
 * which nothing at all is mapped counts as far as the map of its cell is complete: untagged is not the same as absent.
 *
 * @param chips ids of the chips to label
 * @param unmappedWeight weight of a chip without a single element, 0–1. Default 0.5
 * @returns by chip id
 */
export function labelChips(
  chips: Iterable<string>,
  rows: readonly ChipTag[],
  { labels }: LabelSchema,
  { unmappedWeight = 0.5, completeness, near = [] }: LabelOptions = {},
): Map<string, ChipLabels> {
  if (!(unmappedWeight >= 0 && unmappedWeight <= 1)) {
    throw new RangeError(`labelChips requires an unmappedWeight of 0–1, got ${unmappedWeight}`);
  }
  const perChip = new Map<string, Map<string, ChipTag>>();
  for (const row of rows) {
    const tags = perChip.get(row.chip) ?? new Map<string, ChipTag>();
    perChip.set(row.chip, tags.set(row.tag, row));
  }
  const nearBy = new Map(near.map(({ chip, tag, near: count }) => [`${chip} ${tag}`, count]));
  const labelled = new Map<string, ChipLabels>();
  for (const chip of chips) {
    const tags = perChip.get(chip);
    const values = labels.map((rule) => [rule.label, valueOf(rule, tags, (tag) => nearBy.get(`${chip} ${tag}`) ?? 0)] as const); // prettier-ignore
    const weight = tags ? 1 : (completeness?.get(chip.slice(0, 4 + CELL_ZOOM)) ?? unmappedWeight);
    labelled.set(chip, { labels: Object.fromEntries(values), weight });
  }
  return labelled;
}

function valueOf(
  { tags, measure, atLeast }: LabelRule,
  found: Map<string, ChipTag> | undefined,
  nearBy: (tag: string) => number,
): LabelValue {
  if (measure === 'near') {
    const points = tags.reduce((sum, tag) => sum + nearBy(tag), 0);
    return points >= atLeast ? 1 : points > 0 ? null : 0;
  }
  const there = tags.flatMap((tag) => found?.get(tag) ?? []);
  if (there.length === 0) return 0; // a tag that is there in another measure alone, such as a point, leaves it unknown
  return there.reduce((sum, row) => sum + row[measure], 0) >= atLeast ? 1 : null;
}
