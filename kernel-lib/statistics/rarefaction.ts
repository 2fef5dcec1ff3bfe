import { logChoose } from './distribution.ts';

/** A point of the curve: how many tags so many cells are expected to show. */
export interface RarefactionPoint {
  cells: number;
  expected: number;
  /** 95 % interval, for other cells of the same ground too (unconditional). `NaN` where Chao2 is undefined. */
  low: number;
  high: number;
}

/** How the number of tags grows with cells, and where it would end. */
export interface Rarefaction {
  /** From one cell to all. */
  curve: RarefactionPoint[];
  /** Tags seen. */
  observed: number;
  /** Tags that are there, the unseen included, at least: Chao2. `NaN` for fewer than two cells. */
  chao2: number;
  /** Cells until 95 % of Chao2 are seen, those looked at included. `NaN` as above. */
  cellsNeeded: number;
}

/**
 * Sample-based rarefaction: the expected number of tags in k cells drawn from those looked at (Mao Tau).
 *
 * S(k) = S − Σ C(T − y, k) / C(T, k), over tags seen in y of T cells; as R's `vegan::specaccum(method = 'exact')`. Its
 * interval is S(k) ± 1.96 σ(k) with the unconditional variance of Colwell, Mao and Chang. Chao2 is S + (T − 1) / T · Q1² / 2 Q2,
 * with Q1 (Q1 − 1) / 2 in the last factor's place where no tag is in just two cells; as R's `vegan::specpool`. Cells needed
 * beyond those looked at are extrapolated after Colwell et al. 2012, eq. 18. Cells count as drawn at random: cells of
 * one town beside each other show fewer tags than cells from all over.
 *
 * @param incidences of each tag seen the cells that have it, 1 to `cells`
 * @param cells looked at, those without any tag included
 * @param options.share of Chao2 to be seen. Default 0.95.
 * @throws {RangeError} when `cells` is no whole number above 0, or a tag is in more cells or in none
 * @see Colwell, Mao & Chang 2004, Ecology 85(10) 2717–2727; Colwell et al. 2012, J. Plant Ecol. 5(1) 3–21
 */
export function rarefaction(
  incidences: readonly number[],
  cells: number,
  { share = 0.95 }: { share?: number } = {},
): Rarefaction {
  if (!(Number.isInteger(cells) && cells > 0)) throw new RangeError(`rarefaction requires one or more cells, got ${cells}`); // prettier-ignore
  if (!(share > 0 && share < 1)) throw new RangeError(`rarefaction requires a share above 0 and below 1, got ${share}`);
  const wrong = incidences.find((count) => !(Number.isInteger(count) && count >= 1 && count <= cells));
  if (wrong !== undefined)
    throw new RangeError(`rarefaction requires tags in 1 to ${cells} cells, got one in ${wrong}`);
  const tagsIn = Array.from({ length: cells + 1 }, () => 0);
  for (const count of incidences) tagsIn[count]++;
  const chao2 = cells < 2 ? NaN : chao2Of(tagsIn, incidences.length);
  const curve = Array.from({ length: cells }, (_, k) => pointAt(k + 1, tagsIn, chao2));
  return {
    curve,
    observed: incidences.length,
    chao2,
    cellsNeeded: cellsUntil(share * chao2, { curve, chao2, tagsIn }),
  };
}

function chao2Of(tagsIn: readonly number[], observed: number): number {
  const [cells, once, twice] = [tagsIn.length - 1, tagsIn[1], tagsIn[2]];
  return observed + ((cells - 1) / cells) * (twice > 0 ? once ** 2 / (2 * twice) : (once * (once - 1)) / 2);
}

/** Mao Tau and its interval: α is the share of draws of `k` cells that miss a tag. */
function pointAt(k: number, tagsIn: readonly number[], chao2: number): RarefactionPoint {
  const cells = tagsIn.length - 1;
  let expected = 0;
  let second = 0;
  for (let y = 1; y <= cells; y++) {
    if (tagsIn[y] === 0) continue;
    const seen = 1 - Math.exp(logChoose(cells - y, k) - logChoose(cells, k));
    expected += seen * tagsIn[y];
    second += seen ** 2 * tagsIn[y];
  }
  const half = 1.959963984540054 * Math.sqrt(Math.max(0, second - expected ** 2 / chao2));
  return { cells: k, expected, low: expected - half, high: expected + half };
}

/** The first k whose expected number reaches `target`: on the curve, or beyond it. */
function cellsUntil(
  target: number,
  { curve, chao2, tagsIn }: { curve: readonly RarefactionPoint[]; chao2: number; tagsIn: readonly number[] },
): number {
  if (Number.isNaN(target)) return NaN;
  const { cells, expected } = curve.at(-1)!;
  if (expected >= target) return curve.find((point) => point.expected >= target)!.cells;
  const unseen = chao2 - expected;
  const perCell = Math.log1p(-tagsIn[1] / (tagsIn[1] + cells * unseen));
  return cells + Math.ceil(Math.log(1 - (target - expected) / unseen) / perCell);
}
