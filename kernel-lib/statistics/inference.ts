import { probit } from 'simple-statistics';

/**
 * Wilson score interval of a share, without continuity correction; as R's `prop.test(x, n, correct = FALSE)$conf.int`.
 *
 * @param successes of `n`
 * @param confidence above 0 and below 1, two-sided
 * @returns lower and upper bound, 0–1
 * @throws {RangeError} unless 0 ≤ successes ≤ n, n > 0 and 0 < confidence < 1
 * @see Wilson 1927, JASA 22(158) 209–212
 */
export function wilsonInterval(successes: number, n: number, confidence = 0.95): [low: number, high: number] {
  if (!(n > 0 && successes >= 0 && successes <= n)) {
    throw new RangeError(`wilsonInterval requires 0 ≤ successes ≤ n and n > 0, got ${successes} of ${n}`);
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`wilsonInterval requires a confidence above 0 and below 1, got ${confidence}`);
  }
  const z = probitExact((1 + confidence) / 2);
  const share = successes / n;
  const centre = (share + z ** 2 / (2 * n)) / (1 + z ** 2 / n);
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  return [successes === 0 ? 0 : centre - half, successes === n ? 1 : centre + half]; // rounding would leave the share outside
}

/** simple-statistics' probit is good to 2e-4: three Newton steps on its own error function bring it to 1e-9 and better. */
function probitExact(p: number): number {
  let z = probit(p);
  for (let step = 0; step < 3; step++) z -= (normalCdf(z) - p) / (Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI));
  return z;
}

/** Standard normal distribution function by its series, exact to double precision for |z| < 6. */
function normalCdf(z: number): number {
  let term = z;
  let sum = z;
  for (let n = 3; Math.abs(term) > 1e-17; n += 2) {
    term *= z ** 2 / n;
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-(z ** 2) / 2)) / Math.sqrt(2 * Math.PI);
}

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

/**
 * Chips that a share needs so that its 95 % interval is no wider than ± `halfWidth`, were chips independent (they are not:
 * neighbours resemble each other, so take this as the least).
 *
 * @param share expected, 0–1
 * @param halfWidth 0–1
 */
export function chipsNeeded(share: number, halfWidth: number): number {
  if (!(share >= 0 && share <= 1 && halfWidth > 0)) {
    throw new RangeError(`chipsNeeded requires a share of 0–1 and a half width above 0, got ${share}, ${halfWidth}`);
  }
  return Math.ceil((probitExact(0.975) ** 2 * share * (1 - share)) / halfWidth ** 2);
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
  const chipsOf = new Map(tags.map((tag) => [tag, new Set<string>()]));
  for (const { chip, tag } of rows) chipsOf.get(tag)?.add(chip);
  const pairs = tags.flatMap((first, index) =>
    tags.slice(index + 1).map((second): TagPair => {
      const [a, b] = [chipsOf.get(first)!, chipsOf.get(second)!];
      const both = [...a].filter((chip) => b.has(chip)).length;
      return { first, second, both, ...association(both, a.size, b.size, chips) };
    }),
  );
  return pairs.filter(({ cramersV }) => !Number.isNaN(cramersV)).sort((a, b) => b.cramersV - a.cramersV);
}
