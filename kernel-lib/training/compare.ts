/** Losses side by side on one dataset version. */
import { LOSSES, type LossName } from './losses.ts';
import { type ModelOptions, trainModel } from './make.ts';
import type { ModelCard } from './card.ts';
import type { Scored } from './retrieval.ts';

/** One model beside the others: a row of a table. */
export interface ComparedModel {
  model: string;
  /** Mean over classes of the average precision on the test ground, and where 95 of 100 draws of other places lie. */
  mAP: number;
  low: number;
  high: number;
  /** The same, each class by how rare it is. */
  rarityWeightedMAP: number;
  precisionAt10: number;
}

/**
 * Trains one model by each loss alone, on the same dataset version with the same settings, and puts their test scores beside those of the
 * colour histogram and of the backbone as it is, where there is one.
 *
 * Each is a model version of its own, `models/<name>-<loss>`: called again, what is there is not trained again.
 *
 * @param options of {@link trainModel}; `losses` are those compared here
 * @returns the best first
 */
export async function compareModels(
  dataPath: string,
  { losses: _losses, name, ...options }: ModelOptions,
): Promise<ComparedModel[]> {
  const base = name ?? options.dataset.split('@')[0];
  const rows: ComparedModel[] = [];
  let card: ModelCard | undefined;
  const names = Object.keys(LOSSES) as LossName[];
  for (const [done, loss] of names.entries()) {
    const onProgress: ModelOptions['onProgress'] = ({ note = '' }) =>
      options.onProgress?.({ done, total: names.length, unit: 'losses', note: `${loss}: ${note}` });
    const made = await trainModel(dataPath, { ...options, name: `${base}-${loss}`, losses: { [loss]: 1 }, onProgress });
    made.network.dispose();
    ({ card } = made);
    rows.push(rowOf(loss, card, ''));
  }
  options.onProgress?.({ done: names.length, total: names.length, unit: 'losses' });
  rows.push(rowOf('colour histogram', card!, 'histogram'));
  if (card!.metrics['backboneMAP'] !== undefined) rows.push(rowOf('backbone as it is', card!, 'backbone'));
  return rows.sort((a, b) => b.mAP - a.mAP);
}

function rowOf(model: string, { metrics }: ModelCard, whose: '' | 'histogram' | 'backbone'): ComparedModel {
  const metric = (name: string): Scored | undefined =>
    metrics[whose === '' ? name : prefixed(whose, name)] as Scored | undefined;
  const { value: mAP = Number.NaN, low = Number.NaN, high = Number.NaN } = metric('mAP') ?? {};
  return { model, mAP, low, high, rarityWeightedMAP: metric('rarityWeightedMAP')?.value ?? Number.NaN, precisionAt10: metric('precisionAt10')?.value ?? Number.NaN }; // prettier-ignore
}

/** `mAP` of the histogram is `histogramMAP`. */
function prefixed(whose: string, name: string): string {
  return `${whose}${name === 'mAP' ? 'MAP' : name[0].toUpperCase() + name.slice(1)}`;
}
