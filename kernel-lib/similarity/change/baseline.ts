/** What needs no learning: how far pictures of two dates differ, pixel by pixel or by their colours. */
import { colourHistograms } from '../../training/index.ts';
import { countsOf, matchingTables, relit } from './light.ts';
import type { ChangeList } from './detect.ts';

/** Pictures of the same squares at two dates, `[n, size, size, 3]` each. */
export interface DatedPictures {
  before: Uint8Array;
  after: Uint8Array;
  size: number;
}

/**
 * Mean absolute difference of the pixels of each pair of pictures, 0–255.
 *
 * @returns `[n]`
 */
export function pixelDifference({ before, after, size }: DatedPictures): Float64Array {
  const bytes = size * size * 3;
  const differences = new Float64Array(before.length / bytes);
  for (let at = 0; at < before.length; at++) differences[Math.floor(at / bytes)] += Math.abs(before[at] - after[at]) / bytes; // prettier-ignore
  return differences;
}

/**
 * How unlike the colours of each pair are: one minus the Bhattacharyya coefficient of their histograms, 0–1.
 *
 * @returns `[n]`
 */
export function histogramDifference({ before, after, size }: DatedPictures): Float64Array {
  const [first, second] = [colourHistograms(before, size), colourHistograms(after, size)];
  const { values, width } = first;
  return Float64Array.from({ length: values.length / width }, (_, row) => {
    let like = 0;
    for (let k = row * width; k < (row + 1) * width; k++) like += values[k] * second.values[k];
    return 1 - like;
  });
}

/** The pictures with those after brought to the colours of those before: each band's histogram over all of them is matched. */
export function matchedHistograms({ before, after, size }: DatedPictures): DatedPictures {
  return { before, after: relit(after, matchingTables(countsOf(before, 1), countsOf(after, 1))), size };
}

/** A list by one way of differencing. */
export interface Baseline {
  name: string;
  /** The most different first. */
  ranked: { id: string; change: number }[];
}

/**
 * What plain differencing makes of the same chips: pixels and colours, as they are and with histograms matched over all chips.
 *
 * @param list of `detectChange` with `keepsPictures`
 * @throws {RangeError} when it has no pictures
 */
export function changeBaselines({ changes, pictures }: Pick<ChangeList, 'changes' | 'pictures'>): Baseline[] {
  if (!pictures) throw new RangeError('changeBaselines requires pictures: ask detectChange for keepsPictures');
  const matched = matchedHistograms(pictures);
  const list = (name: string, differences: Float64Array): Baseline => ({
    name,
    ranked: changes
      .map(({ id }, at) => ({ id, change: differences[at] }))
      .sort((a, b) => b.change - a.change || (a.id < b.id ? -1 : 1)),
  });
  return [
    list('pixel difference', pixelDifference(pictures)),
    list('pixel difference, matched', pixelDifference(matched)),
    list('colour histogram', histogramDifference(pictures)),
    list('colour histogram, matched', histogramDifference(matched)),
  ];
}
