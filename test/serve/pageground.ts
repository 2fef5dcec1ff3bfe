// A small data folder with all that the page shows: 8 × 8 chips of a cell on two days, the map, a store, a change list.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cell, chipBounds, chipIdAt, parseCell, toLonLat } from 'imagesim/ard';
import type { DatasetRow } from 'imagesim/datasets';
import { type Vectors, changeFeatures, deployStore } from 'imagesim/similarity';
import { randomVectors, vectorsOf } from '../similarity/rows.ts';
import { emptyFolder } from '../delivery.ts';
import { writeSquare } from './squares.ts';

export const CELL: Cell = parseCell('Z33-031133012203');
export const DAYS = ['2022-06-14', '2023-05-21'] as const;
export const CATIDS = ['10400100BC69F3F8', '10400100BC69F3F9'] as const;
const FIRST = 24; // the first row and column of the chips that are there
const SIDE = 8;
const WIDTH = 16;

/** What a place looks like: one of four colours, darker on the second day. */
const COLOURS = [[200, 60, 60], [60, 180, 80], [70, 90, 210], [220, 200, 80]] as const; // prettier-ignore
export const kindOf = (row: number, column: number): number => (column + 2 * row) % 4;
export const colourOf = (kind: number, day: number): number[] => COLOURS[kind].map((value) => (day === 0 ? value : value / 2)); // prettier-ignore

/** The squares that are there, row by row. */
export const squares: { id: string; kind: number; column: number }[] = Array.from({ length: SIDE ** 2 }, (_, at) => {
  const [row, column] = [FIRST + Math.floor(at / SIDE), FIRST + (at % SIDE)];
  return { id: chipIdAt(CELL, row, column), kind: kindOf(row, column), column: at % SIDE };
});

/** Rows of the store: each square on both days. */
export const rows: DatasetRow[] = squares.flatMap(({ id, kind, column }) =>
  DAYS.map((date, day) => ({ id, catid: CATIDS[day], date, split: 'test' as const, weight: 1, labels: { [`kind=${kind}`]: 1, ...(column === 0 && { 'edge=west': 1 }) }, cloudPercent: column, offNadir: 20 })),
); // prettier-ignore

const noise = randomVectors(rows.length, WIDTH, 'page');
/** Of each row a direction of its kind, and a little of its own. */
export const vectors: Vectors = vectorsOf(
  rows.map((_, row) => Array.from({ length: WIDTH }, (__, k) => (k === squares[row >> 1].kind ? 1 : 0) + 0.2 * noise.values[row * WIDTH + k])),
); // prettier-ignore

/** Middle of a square, degrees. */
export function middleOf(id: string): [lon: number, lat: number] {
  const [west, south, east, north] = chipBounds(id);
  return toLonLat(CELL.epsg, [(west + east) / 2, (south + north) / 2]);
}

/** Writes the tile of a day. */
export async function addDay(folder: string, date: string, catid: string, day: number): Promise<void> {
  const colours = COLOURS.map((_, kind) => colourOf(kind, day));
  const at = (column: number, row: number): number[] => colours[kindOf((row >> 8) - 2, (column >> 8) - 2)];
  const block = 1 + FIRST / 2;
  await writeSquare(folder, { cell: CELL, date, catid, blocks: [block, block, block + SIDE / 2 - 1, block + SIDE / 2 - 1], at, cloudPercent: 3, offNadir: 21 }); // prettier-ignore
}

/** A house around the first square, and a tree in the last. */
async function addMap(folder: string): Promise<void> {
  const [west, south, east, north] = chipBounds(squares[0].id);
  const corners = [[west, south], [east, south], [east, north], [west, north]].map((place) => toLonLat(CELL.epsg, place as [number, number])); // prettier-ignore
  const nodes = corners.map(([lon, lat], id) => ({ type: 'node', id: id + 1, lon, lat, tags: {} }));
  const [lon, lat] = middleOf(squares.at(-1)!.id);
  const osm = {
    quadkey: CELL.quadkey,
    nodes: [...nodes, { type: 'node', id: 5, lon, lat, tags: { natural: 'tree' } }],
    ways: [{ type: 'way', id: 9, nodes: [1, 2, 3, 4, 1], tags: { building: 'house', name: '<img src=x onerror=alert(1)>' } }],
    relations: [],
  }; // prettier-ignore
  await writeFile(join(folder, 'ard/33', CELL.quadkey, 'osm_data.json'), JSON.stringify(osm));
}

/** Writes a change list of made-up probabilities: 0 in the westernmost column, 1 in the easternmost. */
export async function addChanges(folder: string): Promise<void> {
  const changes = squares.map(({ id, column }) => {
    const [before, after] = DAYS.map((date, day) => ({ id, date, catid: CATIDS[day] }));
    return { id, before, after, probability: column / 7, change: column, shift: { x: 0, y: 0 } };
  });
  await mkdir(join(folder, 'embeddings/changes'), { recursive: true });
  const list = { changes, licences: [] } as unknown as Parameters<typeof changeFeatures>[0];
  await writeFile(join(folder, 'embeddings/changes/made-up.geojson'), JSON.stringify(changeFeatures(list)));
}

export const addStore = (folder: string): Promise<unknown> => deployStore(folder, 'colours', rows, vectors, 'made-up@1'); // prettier-ignore

/** A data folder with tiles and map; store and change list are added by whoever needs them. */
export async function groundOnly(): Promise<string> {
  const folder = await emptyFolder();
  for (const [day, date] of DAYS.entries()) await addDay(folder, date, CATIDS[day], day);
  await addMap(folder);
  return folder;
}
