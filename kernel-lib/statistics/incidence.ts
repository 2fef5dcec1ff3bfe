/** Characters of a chip's id before its quadkey: `Z33-`. */
const ZONE = 4;

/** The id of the square of a zoom that a chip lies in: its cell at 12. */
export function squareOf(chip: string, zoom: number): string {
  return chip.slice(0, ZONE + zoom);
}

/**
 * In how many squares of a zoom each tag lies: what {@link rarefaction} takes.
 *
 * @param rows which tags lie in which chips
 * @param zoom 12 for cells, up to 18 for chips
 * @returns by tag
 */
export function incidences(rows: readonly { chip: string; tag: string }[], zoom = 12): Map<string, number> {
  const squares = new Map<string, Set<string>>();
  for (const { chip, tag } of rows) {
    const here = squares.get(tag);
    if (here) here.add(squareOf(chip, zoom));
    else squares.set(tag, new Set([squareOf(chip, zoom)]));
  }
  return new Map([...squares].map(([tag, here]) => [tag, here.size]));
}

/**
 * Chips that have each label, square by square: rows for a χ² of homogeneity, or units for a bootstrap.
 *
 * @param rows which tags lie in which chips, each pair once
 * @param tags columns, in this order
 * @param squares rows, in this order; chips of others are left out
 * @param squareOfChip which square a chip counts in, such as its cell, its date or its fold
 * @returns counts, `[square, tag]`
 */
export function countsBySquare(
  rows: readonly { chip: string; tag: string }[],
  tags: readonly string[],
  squares: readonly string[],
  squareOfChip: (chip: string) => string,
): number[][] {
  const [columns, lines] = [tags, squares].map((names) => new Map(names.map((name, at) => [name, at])));
  const counts = squares.map(() => tags.map(() => 0));
  for (const { chip, tag } of rows) {
    const column = columns.get(tag);
    const line = column === undefined ? undefined : lines.get(squareOfChip(chip));
    if (line !== undefined) counts[line][column!]++;
  }
  return counts;
}
