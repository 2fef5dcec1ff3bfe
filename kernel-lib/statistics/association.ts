import { chiSquaredTest, fisherExact } from './contingency.ts';
import { adjustP } from './correction.ts';
import { cooccurrence } from './cooccurrence.ts';

/** How strongly two tags keep company. */
export interface Association {
  /** Pearson's χ² of the 2 × 2 table, without continuity correction. `NaN` where a tag is in all chips or in none. */
  chiSquared: number;
  /** Cramér's V, 0–1; for a 2 × 2 table the absolute value of φ. `NaN` as above. */
  cramersV: number;
  /** Chips with both over those expected if the tags were independent. */
  lift: number;
}

/**
 * Association of two tags over chips.
 *
 * @param both chips with both tags
 * @param first chips with the first tag, `both` included
 * @param second chips with the second tag, `both` included
 * @param n all chips
 * @throws {RangeError} when the counts contradict each other
 */
export function association(both: number, first: number, second: number, n: number): Association {
  const neither = n - first - second + both;
  if (both > Math.min(first, second) || neither < 0 || both < 0) {
    throw new RangeError(
      `association requires counts of one table, got both ${both}, first ${first}, second ${second}, of ${n}`,
    );
  }
  const determinant = both * neither - (first - both) * (second - both);
  const margins = first * second * (n - first) * (n - second);
  const chiSquared = margins === 0 ? Number.NaN : (n * determinant ** 2) / margins;
  return { chiSquared, cramersV: Math.sqrt(chiSquared / n), lift: (both * n) / (first * second) };
}

/** Two tags and how strongly they keep company. */
export interface TagPair extends Association {
  first: string;
  second: string;
  /** Chips with both. */
  both: number;
}

/**
 * Association of every pair of tags over chips, the strongest first; pairs for which it is undefined are left out.
 *
 * @param rows which tags lie in which chips
 * @param tags those to pair
 * @param chips how many chips were looked at, those without any tag included
 */
export function associations(
  rows: readonly { chip: string; tag: string }[],
  tags: readonly string[],
  chips: number,
): TagPair[] {
  const counts = cooccurrence(rows, tags);
  return pairsOf(tags, counts, chips);
}

function pairsOf(tags: readonly string[], counts: readonly number[][], chips: number): TagPair[] {
  const pairs = tags.flatMap((first, a) =>
    tags.slice(a + 1).map((second, after): TagPair => {
      const b = a + 1 + after;
      const both = counts[a][b];
      return { first, second, both, ...association(both, counts[a][a], counts[b][b], chips) };
    }),
  );
  return pairs.filter(({ cramersV }) => !Number.isNaN(cramersV)).sort((a, b) => b.cramersV - a.cramersV);
}

/** A pair of tags with what a test says of it. */
export interface TestedPair extends TagPair {
  /** Cramér's V without its bias, 0–1. */
  correctedV: number;
  /** Fisher's exact test where a count of under 5 is expected, else χ². */
  test: 'chi-squared' | 'fisher';
  /** How likely so strong an association is by chance, were chips independent. */
  p: number;
  /** p corrected for the number of pairs: Holm's, and Benjamini and Hochberg's. */
  holm: number;
  falseDiscovery: number;
}

/**
 * {@link associations}, tested: χ², or Fisher's exact test where an expected count is under 5, and corrected for the
 * number of pairs.
 *
 * Chips are taken as independent. Neighbours are not, so that p is too small: read the order, and V, before p.
 */
export function associationTests(
  rows: readonly { chip: string; tag: string }[],
  tags: readonly string[],
  chips: number,
): TestedPair[] {
  const counts = cooccurrence(rows, tags);
  const alone = new Map(tags.map((tag, at) => [tag, counts[at][at]]));
  const tested = pairsOf(tags, counts, chips).map((pair) => ({ ...pair, ...testPair(pair, alone, chips) }));
  const p = tested.map((pair) => pair.p);
  const [holm, falseDiscovery] = [adjustP(p, 'holm'), adjustP(p, 'benjamini-hochberg')];
  return tested.map((pair, at) => ({ ...pair, holm: holm[at], falseDiscovery: falseDiscovery[at] }));
}

function testPair(
  { first, second, both }: TagPair,
  alone: ReadonlyMap<string, number>,
  chips: number,
): Pick<TestedPair, 'correctedV' | 'test' | 'p'> {
  const [a, b] = [alone.get(first)!, alone.get(second)!];
  const table = [[both, a - both], [b - both, chips - a - b + both]]; // prettier-ignore
  const { p, correctedV, leastExpected } = chiSquaredTest(table);
  if (leastExpected >= 5) return { correctedV, test: 'chi-squared', p };
  return { correctedV, test: 'fisher', p: fisherExact(table) };
}
