import type { Changes } from './changes.ts';
import type { Mosaic } from './mosaic.ts';
import type { KeptStore, OpenedStore } from './openstore.ts';
import type { Facts, StoreFact } from './page/shapes.ts';

const MOST_TAGS = 300;

/** What is served, in few words. */
export async function factsOf(mosaic: Mosaic, title: string, store: KeptStore | undefined, changes: Changes | undefined): Promise<Facts> {
  const { tiles, bounds, key } = mosaic.catalogue;
  const cells = new Map<string, Set<string>>();
  for (const { date, cell } of tiles) cells.set(date, (cells.get(date) ?? new Set()).add(cell.id));
  const opened = await store?.open();
  return {
    title, attribution: mosaic.attribution, bounds, key, overviews: mosaic.overviews,
    days: [...cells].sort(([a], [b]) => (a < b ? -1 : 1)).map(([day, { size }]) => ({ day, cells: size })),
    store: opened ? await storeFact(opened) : { remedy: store?.remedy ?? 'this server has no data folder: start it with imagesim serve' },
    changes: changes?.path() === undefined ? { remedy: changes?.remedy ?? 'this server has no data folder: start it with imagesim serve' } : { there: true },
  };
} // prettier-ignore

const known = new WeakMap<OpenedStore, Promise<StoreFact>>();

function storeFact(opened: OpenedStore): Promise<StoreFact> {
  const made = known.get(opened) ?? countedFact(opened);
  known.set(opened, made);
  return made;
}

async function countedFact(opened: OpenedStore): Promise<StoreFact> {
  const { name: table, version, model, rows } = opened.store;
  const { columns } = await opened.loaded();
  const counts = new Uint32Array(columns.tagNames.length);
  for (const tag of columns.tags) counts[tag]++;
  const tags = columns.tagNames.map((tag, at) => ({ tag, rows: counts[at] }));
  return {
    table,
    version,
    model,
    rows,
    days: [...new Set(columns.dates)].sort(),
    bounds: boundsAround(columns.lons, columns.lats),
    tags: tags.sort((a, b) => b.rows - a.rows).slice(0, MOST_TAGS),
    hasCloud: columns.clouds.some((value) => !Number.isNaN(value)),
    hasOffNadir: columns.offNadirs.some((value) => !Number.isNaN(value)),
  };
}

function boundsAround(lons: Float64Array, lats: Float64Array): StoreFact['bounds'] {
  const bounds: StoreFact['bounds'] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let at = 0; at < lons.length; at++) {
    bounds[0] = Math.min(bounds[0], lons[at]);
    bounds[1] = Math.min(bounds[1], lats[at]);
    bounds[2] = Math.max(bounds[2], lons[at]);
    bounds[3] = Math.max(bounds[3], lats[at]);
  }
  return bounds;
}
