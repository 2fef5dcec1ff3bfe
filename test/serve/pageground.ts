// A data folder with all that the page shows: tiles of two days, the map, a store by colours and edges, a change list.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCell, parseChip } from 'imagesim/ard';
import { FEATURES, imageFeatures } from 'imagesim/chips';
import type { DatasetRow } from 'imagesim/datasets';
import { chipIndex, elements, placeInCell, primaryKey, readOsm } from 'imagesim/osm';
import { type ChipPair, changeFeatures, deployStore, pairImages, pairedTiles } from 'imagesim/similarity';

/** Pixels of images of 256 on a side, every fourth one of every fourth row: `[n, 64, 64, 3]`. */
function reduced(images: Uint8Array): Uint8Array {
  const [side, small] = [256, 64];
  const found = new Uint8Array((images.length / side / side) * small * small);
  for (let pixel = 0; pixel * 3 < found.length; pixel++) {
    const [image, row, column] = [Math.floor(pixel / small / small), Math.floor(pixel / small) % small, pixel % small];
    const from = ((image * side + 4 * row) * side + 4 * column) * 3;
    found.set(images.subarray(from, from + 3), pixel * 3);
  }
  return found;
}

/** Labels of chips: what the map has in them, as `key=value`. */
async function labelsOf(folder: string, cellId: string): Promise<(chip: string) => Record<string, 1>> {
  const cell = parseCell(cellId);
  const all = elements(await readOsm(folder, cell)).elements;
  const index = chipIndex(cell, placeInCell(all, cell));
  return (chip) => Object.fromEntries(index.in(chip).map(({ element }) => all[element].tags).map((tags) => [`${primaryKey(tags)}=${tags[primaryKey(tags)!]}`, 1 as const])); // prettier-ignore
}

/** Deploys every chip that was seen whole on two days, at both, and writes a change list of the least alike. */
export async function deployGround(folder: string, hasMap = true): Promise<{ rows: DatasetRow[]; pairs: ChipPair[] }> {
  const [rows, values, pairs]: [DatasetRow[], number[], ChipPair[]] = [[], [], []];
  for (const tiles of (await pairedTiles(folder)).pairs) {
    const labels = hasMap ? await labelsOf(folder, tiles.before.cell.id) : () => ({});
    for await (const some of pairImages(tiles, 0)) {
      for (const when of ['before', 'after'] as const) {
        const { cloudPercent, offNadir, gsd } = tiles[when].metadata ?? {};
        some.pairs.forEach(({ id, [when]: { catid, date } }) => rows.push({ id, catid, date, split: 'test', weight: 1, labels: labels(id), cloudPercent, offNadir, gsd })); // prettier-ignore
        values.push(...unit(imageFeatures(reduced(some[when]))));
      }
      pairs.push(...some.pairs);
    }
  }
  await deployStore(folder, 'sample', rows, { values: Float32Array.from(values), width: FEATURES }, 'colours@1');
  return { rows, pairs };
}

function unit(features: Float32Array): Float32Array {
  for (let at = 0; at < features.length; at += FEATURES) {
    const one = features.subarray(at, at + FEATURES);
    const length = Math.hypot(...one);
    one.forEach((value, k) => (one[k] = value / length));
  }
  return features;
}

/** Writes a change list of made-up probabilities: of every square by its column. */
export async function writeChangeList(folder: string, pairs: readonly ChipPair[]): Promise<string> {
  const changes = pairs.map(({ id, before, after }) => {
    const probability = (parseChip(id).column % 8) / 7;
    return { id, before, after, probability, change: probability, shift: { x: 0, y: 0 } };
  });
  const path = join(folder, 'embeddings/changes/sample.geojson');
  await mkdir(join(folder, 'embeddings/changes'), { recursive: true });
  const list = { changes: changes.sort((a, b) => b.probability - a.probability), licences: [] } as unknown as Parameters<typeof changeFeatures>[0]; // prettier-ignore
  await writeFile(path, JSON.stringify(changeFeatures(list)));
  return path;
}
