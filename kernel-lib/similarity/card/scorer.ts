import { type ClassRetrieval, type Scored, retrievalScores } from '../../training/index.ts';
import { bootstrap } from '../../statistics/index.ts';
import type { QueryFigure } from './figures.ts';

/** A figure with its 95 % interval, and what answers in random order would score. */
export interface CardFigure extends Scored {
  chance: number;
}

/** Means with intervals over the places of one card. */
export class Scorer {
  readonly places: readonly string[];
  readonly #draws: number | undefined;
  readonly #seed: number | undefined;

  constructor(places: readonly string[], draws: number | undefined, seed: number | undefined) {
    this.places = places;
    this.#draws = draws;
    this.#seed = seed;
  }

  /** Mean over labels of the mean over their queries. @param rarity `[figures]`: how much each label counts. Default: the same */
  of(figures: readonly QueryFigure[], rarity?: Float32Array): CardFigure {
    const asked = figures.map((figure, at) => ({ figure, weight: rarity?.[at] ?? 1 })).filter(({ figure }) => figure.queries.length > 0); // prettier-ignore
    const nothing = { value: Number.NaN, low: Number.NaN, high: Number.NaN, chance: Number.NaN };
    if (asked.length === 0) return nothing;
    const scored = asked.map(({ figure: { label, queries, values, chance } }): ClassRetrieval => ({
      label, queries, averagePrecision: values, chance, precisionAtTen: new Float64Array(values.length), chanceAtTen: new Float64Array(values.length),
    })); // prettier-ignore
    const weights = Float32Array.from(asked, ({ weight }) => weight);
    const found = retrievalScores(scored, { rarity: weights, places: this.places, draws: this.#draws, seed: this.#seed }); // prettier-ignore
    const { value, low, high } = found.rarityWeighted;
    const chance = asked.reduce((sum, { figure, weight }) => sum + weight * meanOf(figure.chance), 0) / weights.reduce((sum, weight) => sum + weight, 0); // prettier-ignore
    // a place alone has no interval
    const isOne = new Set(asked.flatMap(({ figure }) => Array.from(figure.queries, (query) => this.places[query]))).size < 2; // prettier-ignore
    return isOne ? { ...nothing, value, chance } : { value, low, high, chance };
  }

  /**
   * Mean over labels of the mean of two shares: of those that have it and of those that have not. A draw without one of the two leaves the label out.
   *
   * @param pairs of each label those that have it, and those that have not: 1 right, 0 wrong
   */
  balanced(pairs: readonly (readonly [having: QueryFigure, lacking: QueryFigure])[]): CardFigure {
    const asked = new Set(pairs.flat().flatMap(({ queries }) => Array.from(queries, (query) => this.places[query])));
    const numbers = new Map([...asked].map((place, number) => [place, number]));
    const halves = pairs.map((pair) =>
      pair.map(({ queries, values }) => ({ values, place: queries.map((query) => numbers.get(this.places[query])!) })),
    );
    const units = [...numbers.values()];
    const meanOfDraw = (drawn: readonly number[]): number => meanOfHalves(halves, timesDrawn(drawn, units.length));
    const { at: [low, high] } = bootstrap(units, (drawn) => ({ at: meanOfDraw(drawn) }), { samples: this.#draws, seed: this.#seed }); // prettier-ignore
    const value = meanOfDraw(units);
    return { value, low, high, chance: Number.isNaN(value) ? value : 0.5 };
  }
}

/** Values and the number of each one's place. */
interface Half {
  values: Float64Array;
  place: Uint32Array;
}

/** Mean over labels of the mean of their halves, each value as often as its place was drawn. */
function meanOfHalves(halves: readonly (readonly Half[])[], drawn: Uint32Array): number {
  let [sum, known] = [0, 0];
  for (const half of halves) {
    let share = 0;
    for (const { values, place } of half) {
      let [right, all] = [0, 0];
      for (let at = 0; at < values.length; at++) {
        right += drawn[place[at]] * values[at];
        all += drawn[place[at]];
      }
      share += right / all / half.length; // NaN where none was drawn
    }
    if (Number.isNaN(share)) continue;
    sum += share;
    known++;
  }
  return sum / known;
}

function timesDrawn(drawn: readonly number[], n: number): Uint32Array {
  const counts = new Uint32Array(n);
  for (const unit of drawn) counts[unit]++;
  return counts;
}

/** Figures of the classes that were scored. */
export function classFigures(
  classes: readonly ClassRetrieval[],
  of: 'averagePrecision' | 'precisionAtTen',
): QueryFigure[] {
  return classes.filter(({ reason }) => reason === undefined).map((score) => ({
    label: score.label,
    queries: score.queries,
    values: score[of],
    chance: of === 'averagePrecision' ? score.chance : score.chanceAtTen,
  })); // prettier-ignore
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
