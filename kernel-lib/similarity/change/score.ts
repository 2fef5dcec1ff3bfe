import { bootstrap, squareOf } from '../../statistics/index.ts';
import { type Scored, chancePrecision } from '../../training/index.ts';
import type { ChipPair } from './pairs.ts';
import { averagePrecision } from '../report.ts';

/** A chip of a change list, as far as it is scored. */
export type RankedChange = Pick<ChipPair, 'id'> & {
  /** That it changed, 0–1. Not there: no calibration is scored. */
  probability?: number | undefined;
};

/** One bin of a calibration curve. */
export interface ReliabilityBin {
  /** Probabilities from, and up to. */
  from: number;
  to: number;
  chips: number;
  /** Mean of the probabilities told; `NaN` where the bin is empty. */
  told: number;
  /** Share that really changed. */
  found: number;
}

/** How good a change list is against what is known to have changed. */
export interface ChangeReport {
  /** Chips that were scored; those that changed among them, and their share. */
  chips: number;
  changed: number;
  prevalence: number;
  /** Chips that a change touches with less than `minShare` of their area: neither one nor the other, and not scored. */
  undecided: number;
  /** Blocks of places that the interval is drawn from. */
  blocks: number;
  /** With the interval of 95 of 100 draws of other places. */
  averagePrecision: Scored;
  /** What a list in random order would score on average. */
  chance: number;
  /** Share of the first k that changed. */
  precisionAt: { k: number; precision: number }[];
  /** Mean square of probability − truth, 0–1; and that of telling every chip the prevalence. `NaN` without probabilities. */
  brier: number;
  brierOfPrevalence: number;
  /** Mean of |told − found| over bins, by their chips, 0–1. `NaN` without probabilities. */
  calibrationError: number;
  /** The calibration curve; empty without probabilities. */
  reliability: ReliabilityBin[];
}

/** Options of {@link scoreChanges}. */
export interface ChangeScoreOptions {
  /** Least share of a chip's area that must have changed, above 0. Default 0.02: 122 m² of 6,104, a small house. */
  minShare?: number | undefined;
  /** Lengths of list. Default 10, 20, 50, 100; those beyond the list's end are left out. */
  ks?: readonly number[] | undefined;
  /** Zoom of the squares that are drawn as blocks, 12–18. Default 16: 4 × 4 chips, 312 m. */
  blockZoom?: number | undefined;
  /** Bins of the calibration curve. Default 10. */
  bins?: number | undefined;
  /** Of the interval. Default 1. */
  seed?: number | undefined;
}

/**
 * Scores a change list: average precision with a block bootstrap, precision at k, calibration.
 *
 * @param ranked the most changed first; equal ones count in the order given
 * @param shares how much of each chip changed, as `changedShares` gives it
 * @throws {Error} when no chip that is listed changed, or all did: then nothing can be told apart
 * @throws {RangeError} when `minShare` is not above 0 and at most 1
 */
export function scoreChanges(
  ranked: readonly RankedChange[],
  shares: ReadonlyMap<string, number>,
  { minShare = 0.02, ks = [10, 20, 50, 100], blockZoom = 16, bins = 10, seed = 1 }: ChangeScoreOptions = {},
): ChangeReport {
  if (!(minShare > 0 && minShare <= 1)) throw new RangeError(`scoreChanges requires a minShare above 0 and up to 1, got ${minShare}`); // prettier-ignore
  const truth = (id: string): number | undefined => {
    const share = shares.get(id) ?? 0;
    return share >= minShare ? 1 : share > 0 ? undefined : 0;
  };
  const scored = ranked.flatMap(({ id, probability }, rank) => {
    const changed = truth(id);
    return changed === undefined ? [] : [{ id, rank, changed, probability }];
  });
  const relevant = scored.map(({ changed }) => changed);
  const changed = relevant.filter((value) => value === 1).length;
  if (changed === 0 || changed === scored.length)
    throw new Error(`${changed} of the ${scored.length} chips that were seen twice are changed by what is known, at ${minShare} of a chip's area: some must be and some not; check place and dates of the vectors`); // prettier-ignore
  const blocks = blocksOf(scored, blockZoom);
  const { ap } = bootstrap(blocks, (drawn) => ({ ap: precisionOf(drawn.flat()) }), { seed });
  return {
    chips: scored.length,
    changed,
    prevalence: changed / scored.length,
    undecided: ranked.length - scored.length,
    blocks: blocks.length,
    averagePrecision: { value: averagePrecision(relevant), low: ap[0], high: ap[1] },
    chance: chancePrecision(changed, scored.length),
    precisionAt: ks.filter((k) => k <= scored.length).map((k) => ({ k, precision: sum(relevant.slice(0, k)) / k })),
    ...calibrationOf(scored, bins, changed / scored.length),
  };
}

interface ScoredChip extends RankedChange {
  rank: number;
  changed: number;
}

/** Chips of the same square together. */
function blocksOf(scored: readonly ScoredChip[], zoom: number): ScoredChip[][] {
  const blocks = new Map<string, ScoredChip[]>();
  for (const chip of scored) {
    const block = squareOf(chip.id, zoom);
    blocks.set(block, [...(blocks.get(block) ?? []), chip]);
  }
  return [...blocks.values()];
}

/** Average precision of drawn chips in the list's order; `NaN` where none of them changed. */
function precisionOf(drawn: ScoredChip[]): number {
  const inOrder = drawn.sort((a, b) => a.rank - b.rank).map(({ changed }) => changed);
  return inOrder.includes(1) ? averagePrecision(inOrder) : Number.NaN;
}

function calibrationOf(
  scored: readonly ScoredChip[],
  bins: number,
  prevalence: number,
): Pick<ChangeReport, 'brier' | 'brierOfPrevalence' | 'calibrationError' | 'reliability'> {
  const brierOfPrevalence = prevalence * (1 - prevalence);
  if (scored.some(({ probability }) => probability === undefined))
    return { brier: Number.NaN, brierOfPrevalence, calibrationError: Number.NaN, reliability: [] };
  const told = scored.map(({ probability, changed }) => ({ probability: probability!, changed }));
  const reliability = Array.from({ length: bins }, (_, bin): ReliabilityBin => {
    const here = told.filter(({ probability }) => Math.min(bins - 1, Math.floor(probability * bins)) === bin);
    const mean = (values: number[]): number => sum(values) / values.length;
    return {
      from: bin / bins,
      to: (bin + 1) / bins,
      chips: here.length,
      told: mean(here.map(({ probability }) => probability)),
      found: mean(here.map(({ changed }) => changed)),
    };
  });
  const full = reliability.filter(({ chips }) => chips > 0);
  return {
    brier: sum(told.map(({ probability, changed }) => (probability - changed) ** 2)) / told.length,
    brierOfPrevalence,
    calibrationError: sum(full.map(({ chips, told: mean, found }) => (chips / scored.length) * Math.abs(mean - found))),
    reliability,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
