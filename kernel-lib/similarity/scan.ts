/** A share of a scan. */
export interface ScanTask {
  /** `[n, width]` */
  values: Float32Array;
  /** `[width]` */
  query: Float32Array;
  /** Which rows. Not there: all, in order. */
  rows: Uint32Array | undefined;
  /** Where the results go, one for each of `rows`. */
  scores: Float32Array;
  /** Which of them: `from` up to `to`. */
  from: number;
  to: number;
}

/** The dot product of a vector with rows. Four sums side by side: one alone waits for itself. */
export function dots({ values, query, rows, scores, from, to }: ScanTask): void {
  const width = query.length;
  const whole = width - (width % 4);
  for (let at = from; at < to; at++) {
    const start = (rows ? rows[at] : at) * width;
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i < whole; i += 4) {
      a += values[start + i] * query[i];
      b += values[start + i + 1] * query[i + 1];
      c += values[start + i + 2] * query[i + 2];
      d += values[start + i + 3] * query[i + 3];
    }
    for (let i = whole; i < width; i++) a += values[start + i] * query[i];
    scores[at] = a + b + (c + d);
  }
}
