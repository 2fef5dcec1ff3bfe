// Chips and rows that the datasets' tests are made of.
import { createHash } from 'node:crypto';
import { type Cell, chipIdAt, parseCell } from 'imagesim/ard';
import type { ChipLabels, DatasetRow, LabelValue } from 'imagesim/datasets';
import type { LabelSchema } from 'imagesim/statistics';
import seedrandom from 'seedrandom';

export const cell: Cell = parseCell('Z33-031133012203');

export const schema: LabelSchema = {
  version: 1,
  labels: [
    { label: 'building=house', tags: ['building=house'], measure: 'area', atLeast: 0.05 },
    { label: 'Straße / été', tags: ['highway=residential', 'highway=service'], measure: 'length', atLeast: 20 },
    { label: 'natural=tree', tags: ['natural=tree'], measure: 'points', atLeast: 1 },
  ],
};

/** A square of `side` × `side` chips of the cell, each with random labels: one frequent, one rare. */
export function labelledGround(side: number, seed: string): Map<string, ChipLabels> {
  const random = seedrandom(seed);
  const one = (share: number): LabelValue => (random() < share ? 1 : random() < 0.1 ? null : 0);
  return new Map(
    Array.from({ length: side * side }, (_, k) => [
      chipIdAt(cell, Math.floor(k / side), k % side),
      { labels: { often: one(0.4), seldom: one(0.05) }, weight: 1 },
    ]),
  );
}

/** Rows of three labels, all values among them, at two dates. */
export function datasetRows(n: number, seed: string): DatasetRow[] {
  const random = seedrandom(seed);
  const value = (): LabelValue => ([0, 1, null] as const)[Math.floor(random() * 3)];
  return Array.from({ length: n }, (_, k) => ({
    id: chipIdAt(cell, Math.floor(k / 2) >> 6, Math.floor(k / 2) & 63),
    catid: k % 2 === 0 ? '10400100BC69F3F8' : '103001007FBB177B',
    date: k % 2 === 0 ? '2022-06-14' : '2023-05-21',
    split: (['train', 'validation', 'test', 'buffer'] as const)[Math.floor(random() * 4)],
    weight: random() < 0.5 ? 1 : random(),
    labels: Object.fromEntries(schema.labels.map(({ label }) => [label, value()])),
    sha256: createHash('sha256').update(`${seed} ${k}`).digest('hex'),
  }));
}
