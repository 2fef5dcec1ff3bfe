import type { ChipTag, LabelRule, LabelSchema } from '../statistics/index.ts';

/** Whether a chip has a label: 1 yes, 0 no, `null` not known. */
export type LabelValue = 0 | 1 | null;

/** The labels of one square of ground. */
export interface ChipLabels {
  labels: Record<string, LabelValue>;
  /** How far an absent label is to be believed, 0–1: less where nothing at all is mapped. */
  weight: number;
}

/**
 * Labels of chips from the tags that lie in them.
 *
 * A label is present from its rule's threshold on, unknown below it where there is some, absent where there is none. A chip in
 * which nothing at all is mapped counts less: untagged is not the same as absent.
 *
 * @param chips ids of the chips to label
 * @param unmappedWeight weight of a chip without a single element, 0–1. Default 0.5
 * @returns by chip id
 */
export function labelChips(
  chips: Iterable<string>,
  rows: readonly ChipTag[],
  { labels }: LabelSchema,
  { unmappedWeight = 0.5 }: { unmappedWeight?: number } = {},
): Map<string, ChipLabels> {
  if (!(unmappedWeight >= 0 && unmappedWeight <= 1)) {
    throw new RangeError(`labelChips requires an unmappedWeight of 0–1, got ${unmappedWeight}`);
  }
  const perChip = new Map<string, Map<string, ChipTag>>();
  for (const row of rows) {
    const tags = perChip.get(row.chip) ?? new Map<string, ChipTag>();
    perChip.set(row.chip, tags.set(row.tag, row));
  }
  const labelled = new Map<string, ChipLabels>();
  for (const chip of chips) {
    const tags = perChip.get(chip);
    const values = labels.map((rule) => [rule.label, valueOf(rule, tags)] as const);
    labelled.set(chip, { labels: Object.fromEntries(values), weight: tags ? 1 : unmappedWeight });
  }
  return labelled;
}

function valueOf({ tags, measure, atLeast }: LabelRule, found: Map<string, ChipTag> | undefined): LabelValue {
  const there = tags.flatMap((tag) => found?.get(tag) ?? []);
  if (there.length === 0) return 0; // a tag that is there in another measure alone, such as a point, leaves it unknown
  return there.reduce((sum, row) => sum + row[measure], 0) >= atLeast ? 1 : null;
}
