/**
 * p values of many tests, corrected: Holm's keep the chance of any false alarm, Benjamini and Hochberg's the share of
 * false alarms among what is found.
 *
 * As R's `p.adjust(p, 'holm')` and `p.adjust(p, 'BH')`. `NaN` stays `NaN` and is not counted as a test.
 *
 * @param values p values, 0–1
 * @returns in the order given
 * @throws {RangeError} when a value is below 0 or above 1
 * @see Holm 1979, Scand. J. Stat. 6(2) 65–70; Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57(1) 289–300
 */
export function adjustP(values: readonly number[], method: 'holm' | 'benjamini-hochberg'): number[] {
  const wrong = values.find((p) => p < 0 || p > 1);
  if (wrong !== undefined) throw new RangeError(`adjustP requires p values of 0–1, got ${wrong}`);
  const order = [...values.keys()].filter((at) => !Number.isNaN(values[at])).sort((a, b) => values[a] - values[b]);
  const adjusted = [...values];
  if (method === 'holm') {
    let least = 0; // a larger p is never corrected to less than a smaller one
    for (const [rank, at] of order.entries()) {
      least = Math.max(least, Math.min(1, values[at] * (order.length - rank)));
      adjusted[at] = least;
    }
    return adjusted;
  }
  let most = 1;
  for (const [fromLast, at] of order.toReversed().entries()) {
    most = Math.min(most, (values[at] * order.length) / (order.length - fromLast));
    adjusted[at] = most;
  }
  return adjusted;
}
