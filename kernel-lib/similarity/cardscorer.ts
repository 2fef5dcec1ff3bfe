import { type ClassRetrieval, type Scored, retrievalScores } from '../training/index.ts';
import { bootstrap } from '../statistics/index.ts';
import type { QueryFigure } from './cardfigures.ts';

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
      label, queries, averagePrecision: values, chance, precisionAtTen: new Float64Array(values.length),
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
    const units = this.#votes(pairs);
    const meanOfDraw = (drawn: readonly number[][]): number => {
      const [right, all] = [new Float64Array(2 * pairs.length), new Float64Array(2 * pairs.length)];
      for (const vote of drawn.flat()) {
        all[vote >> 1]++;
        right[vote >> 1] += vote & 1;
      }
      const shares = pairs.map((_, at) => (right[2 * at] / all[2 * at] + right[2 * at + 1] / all[2 * at + 1]) / 2);
      const known = shares.filter((share) => !Number.isNaN(share));
      return known.reduce((sum, share) => sum + share, 0) / known.length;
    };
    const { at: [low, high] } = bootstrap(units, (drawn) => ({ at: meanOfDraw(drawn) }), { samples: this.#draws, seed: this.#seed });
    const value = meanOfDraw(units);
    return { value, low, high, chance: Number.isNaN(value) ? value : 0.5 };
  } // prettier-ignore

  /** The votes of each place: twice the number of the figure, and 1 where it is right. */
  #votes(pairs: readonly (readonly QueryFigure[])[]): number[][] {
    const units = new Map<string, number[]>();
    for (const [figure, { queries, values }] of pairs.flat().entries()) {
      for (const [at, query] of queries.entries()) {
        const place = this.places[query];
        if (!units.has(place)) units.set(place, []);
        units.get(place)!.push(2 * figure + values[at]);
      }
    }
    return [...units.values()];
  }
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
    chance: of === 'averagePrecision' ? score.chance : new Float64Array(score.queries.length),
  })); // prettier-ignore
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
