// Rows and vectors that the similarity tests are made of.
import { type Cell, chipIdAt, parseCell } from 'imagesim/ard';
import type { DatasetRow } from 'imagesim/datasets';
import type { Vectors } from 'imagesim/similarity';
import seedrandom from 'seedrandom';

export const cell: Cell = parseCell('Z33-031133012203');

/** A row of the chip at an index of the cell. */
export function rowAt(index: number, parts: Partial<DatasetRow> = {}): DatasetRow {
  const id = chipIdAt(cell, index >> 6, index & 63);
  return { id, catid: '10400100BC69F3F8', date: '2022-06-14', split: 'test', weight: 1, labels: {}, ...parts };
}

/** Random vectors of length 1. */
export function randomVectors(n: number, width: number, seed: string): Vectors {
  const random = seedrandom(seed);
  return vectorsOf(Array.from({ length: n }, () => Array.from({ length: width }, () => random() - 0.5)));
}

/** Vectors of length 1 in the given directions. */
export function vectorsOf(directions: number[][]): Vectors {
  const values = directions.flatMap((direction) => {
    const length = Math.hypot(...direction);
    return direction.map((value) => value / length);
  });
  return { values: Float32Array.from(values), width: directions[0].length };
}
