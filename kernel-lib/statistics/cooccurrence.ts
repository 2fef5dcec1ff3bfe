/**
 * In how many chips each two tags lie together.
 *
 * @param rows which tags lie in which chips, each pair once
 * @param tags those to count
 * @returns counts, `[tag, tag]`, symmetric; on the diagonal the chips of a tag alone
 */
export function cooccurrence(rows: readonly { chip: string; tag: string }[], tags: readonly string[]): number[][] {
  const numbers = new Map(tags.map((tag, at) => [tag, at]));
  const counts = tags.map(() => tags.map(() => 0));
  for (const here of tagsByChip(rows, numbers).values()) {
    for (const a of here) for (const b of here) counts[a][b]++;
  }
  return counts;
}

/** The numbers of a chip's tags, by chip. */
function tagsByChip(
  rows: readonly { chip: string; tag: string }[],
  numbers: ReadonlyMap<string, number>,
): Map<string, Set<number>> {
  const chips = new Map<string, Set<number>>();
  for (const { chip, tag } of rows) {
    const number = numbers.get(tag);
    if (number === undefined) continue;
    const here = chips.get(chip);
    if (here) here.add(number);
    else chips.set(chip, new Set([number]));
  }
  return chips;
}

/**
 * Of the chips with a row's tag, the share that has the column's tag too.
 *
 * @param counts of {@link cooccurrence}
 * @returns shares, `[tag, tag]`, 0–1, not symmetric; `NaN` in the row of a tag that no chip has
 */
export function companions(counts: readonly (readonly number[])[]): number[][] {
  return counts.map((row, tag) => row.map((both) => both / row[tag]));
}
