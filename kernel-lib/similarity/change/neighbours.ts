import { Matrix, solve } from 'ml-matrix';

/** Column and row of a thing on a grid of squares. */
export type GridPlace = readonly [column: number, row: number];

/** How alike numbers are at places some squares apart, `nearby · exp(−squares / reach)`. */
interface Likeness {
  /** Share of the spread that is common to a place and its surroundings, 0–1; the rest is each square's own. */
  nearby: number;
  /** Squares over which it falls to 1/e. */
  reach: number;
}

/** Squares to each side that are looked at. */
const AROUND = 3;
/** A share of each square's own is left in any case, and no patch is taken for wider: two distances do not tell more. */
const MOST_NEARBY = 0.95;
const LONGEST_REACH = 5;

/**
 * Draws numbers on a grid towards those around them, as far as they prove to have that in common.
 *
 * Ground changes in patches, a fire, a storm, a flood, or here a house and there one; which of them it is, is read from the numbers: by their
 * correlation at one and two squares' distance. Where neighbours have nothing in common all stay as they are. Simple kriging with the nugget filtered out.
 *
 * @param numbers `[n]`
 * @param places `[n]`, each once
 * @returns `[n]`
 * @see Cressie 1993, Statistics for Spatial Data, section 3.2 on noise-free prediction
 */
export function drawnTogether(numbers: Float64Array, places: readonly GridPlace[]): Float64Array {
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const rest = numbers.map((value) => value - mean);
  const at = new Map(places.map(([column, row], index) => [`${column},${row}`, index]));
  const likeness = likenessOf(rest, places, at);
  if (!likeness) return numbers.slice();
  const solved = new Map<string, Float64Array>();
  return Float64Array.from(places, ([column, row]) => {
    const around: GridPlace[] = [];
    let drawn = mean;
    const values: number[] = [];
    for (let down = -AROUND; down <= AROUND; down++) {
      for (let right = -AROUND; right <= AROUND; right++) {
        const index = at.get(`${column + right},${row + down}`);
        if (index === undefined) continue;
        around.push([right, down]);
        values.push(rest[index]);
      }
    }
    const shape = around.join(';');
    const weights = solved.get(shape) ?? weightsOf(around, likeness);
    solved.set(shape, weights);
    values.forEach((value, index) => (drawn += weights[index] * value));
    return drawn;
  });
}

/** By the correlation of neighbours and of their neighbours; none where it is within what chance gives. */
function likenessOf(
  rest: Float64Array,
  places: readonly GridPlace[],
  at: ReadonlyMap<string, number>,
): Likeness | undefined {
  const variance = rest.reduce((sum, value) => sum + value * value, 0) / rest.length;
  const correlation = (distance: number): { value: number; pairs: number } => {
    let [sum, pairs] = [0, 0];
    for (const [index, [column, row]] of places.entries()) {
      for (const other of [at.get(`${column + distance},${row}`), at.get(`${column},${row + distance}`)]) {
        if (other === undefined) continue;
        sum += rest[index] * rest[other];
        pairs++;
      }
    }
    return { value: sum / pairs / variance, pairs };
  };
  const [first, second] = [correlation(1), correlation(2)];
  if (!(first.value > 2 / Math.sqrt(first.pairs))) return undefined; // NaN too: no pairs, or all numbers alike
  const falls = second.value > 0 ? Math.max(1.05, first.value / second.value) : Math.E ** 2;
  const reach = Math.min(LONGEST_REACH, 1 / Math.log(falls));
  return { nearby: Math.min(MOST_NEARBY, first.value * Math.exp(1 / reach)), reach };
}

/** What each of the places around counts for the one in the middle. */
function weightsOf(around: readonly GridPlace[], { nearby, reach }: Likeness): Float64Array {
  const common = ([a, b]: GridPlace, [c, d]: GridPlace): number => nearby * Math.exp(-Math.hypot(a - c, b - d) / reach);
  const covariances = new Matrix(
    around.map((one, index) => around.map((other, place) => common(one, other) + (index === place ? 1 - nearby : 0))),
  );
  const towards = Matrix.columnVector(around.map((place) => common(place, [0, 0])));
  return Float64Array.from(solve(covariances, towards).to1DArray());
}
