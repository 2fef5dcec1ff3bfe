import { scoreOf } from './interval.ts';

/** What a wanted precision is reckoned with. */
export interface PrecisionOptions {
  /** How many chips are worth one independent chip, as {@link effectiveSize} finds it. Default 1: chips independent. */
  designEffect?: number;
  /** Above 0 and below 1, two-sided. Default 0.95. */
  confidence?: number;
}

/**
 * Chips that a share needs so that its interval is no wider than ± `halfWidth`: z² p (1 − p) / e², times the design
 * effect (Wald's interval, for planning).
 *
 * Without a design effect chips count as independent. They are not, neighbours resemble each other, so take that as the
 * least.
 *
 * @param share expected, 0–1; 0.5 is the worst
 * @param halfWidth 0–1
 * @see Kish 1965, Survey Sampling, section 8.2
 */
export function chipsNeeded(
  share: number,
  halfWidth: number,
  { designEffect = 1, confidence = 0.95 }: PrecisionOptions = {},
): number {
  if (!(share >= 0 && share <= 1 && halfWidth > 0)) {
    throw new RangeError(`chipsNeeded requires a share of 0–1 and a half width above 0, got ${share}, ${halfWidth}`);
  }
  if (!(designEffect >= 1)) throw new RangeError(`chipsNeeded requires a design effect from 1 on, got ${designEffect}`);
  return Math.ceil((scoreOf('chipsNeeded', confidence) ** 2 * share * (1 - share) * designEffect) / halfWidth ** 2);
}

/**
 * Chips to look at until a class has so many of its own that a rate over them (its recall, say) is known to ± `halfWidth`.
 *
 * @param prevalence share of chips that have the class, above 0 to 1
 * @param options.rate expected. Default 0.5, the worst
 */
export function chipsForClass(
  prevalence: number,
  halfWidth: number,
  { rate = 0.5, ...options }: PrecisionOptions & { rate?: number } = {},
): number {
  if (!(prevalence > 0 && prevalence <= 1)) throw new RangeError(`chipsForClass requires a prevalence above 0, to 1, got ${prevalence}`); // prettier-ignore
  return Math.ceil(chipsNeeded(rate, halfWidth, options) / prevalence);
}
