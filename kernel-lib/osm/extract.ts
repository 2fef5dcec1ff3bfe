import { basename } from 'node:path';
import { type Cell, toLonLat } from '../ard/index.ts';
import type { FetchedCell } from './cell.ts';
import { Gathering } from './gather.ts';
import { type FileHeader, fileHeader } from './planet.ts';
import { OSM_ATTRIBUTION, type OsmMeta } from './read.ts';
import { isWithin, touches } from './bbox.ts';
import { cellQueries } from './cell.ts';
import { boxesOf } from './reach.ts';
import type { OsmData } from './schema.ts';

/** How {@link readExtract} works. */
export interface ExtractOptions {
  /** Stops between two blocks of the file. */
  signal?: AbortSignal | undefined;
  /** Told what is going on, a few times a reading. Default: silence. */
  note?: ((text: string) => void) | undefined;
  /** Cells gathered in one go, three readings of the file each. Default: 64. */
  cellsAtOnce?: number | undefined;
  /** Where more nodes than these lie in them, half as many cells are gathered. Default: 1,500,000. */
  nodesAtOnce?: number | undefined;
}

/**
 * What an OpenStreetMap extract has in each of the cells: the same elements that Overpass answers.
 *
 * The file is read three times for each 64 cells, or fewer where they are dense: first for the nodes inside and the ways
 * that may touch, then for the ways of multipolygons that lie elsewhere, last for the places of those ways' nodes and for
 * the relations; blocks that hold nothing wanted are passed over unread. No way is missed, however far apart its
 * nodes: of every other node it is held in which tile it lies, 12 bytes for each run of ascending ids in one tile.
 *
 * Measured on 7.2 million elements, Monaco 200 times over with its ids mixed: 9 s and 0.6 GB for one cell, 31 s and
 * 1.8 GB for 64 with 1.9 million elements in them. Reckoned from that, not measured: 1 GB of pbf has some 70 million
 * elements, one and a half to five minutes for 64 cells, and at the very worst, every node elsewhere than the one before
 * it, 0.8 GB more.
 *
 * What the file lacks is not there. A cell that lies partly beyond the bounds that it states is read all the same, and its
 * origin says which share is covered; one that lies wholly beyond is refused. Bounds are a rectangle around what was cut, a
 * country say: beyond its border there is little, and nothing tells how little.
 *
 * @param path `.osm.pbf`, `.osm` or `.osm.gz`, in order: nodes, ways, relations, each by id
 * @param take called with each cell when it is whole
 * @throws {Error} when the file cannot be read or is out of order; when some of the cells lie wholly beyond its bounds,
 * naming them, after the others are taken
 */
export async function readExtract(
  path: string,
  cells: readonly Cell[],
  take: (cell: Cell, fetched: FetchedCell) => Promise<void>,
  { cellsAtOnce = 64, ...options }: ExtractOptions = {},
): Promise<void> {
  const header = await fileHeader(path);
  const covered = cells.filter((cell) => coveredShare(header, cell) !== 0);
  for (let rest = covered, atOnce = cellsAtOnce; rest.length > 0;) {
    const batch = rest.slice(0, atOnce);
    const gathered = await new Gathering(path, batch, options).gather();
    if (!gathered) {
      atOnce = Math.ceil(batch.length / 2);
      continue;
    }
    for (const [index, cell] of batch.entries()) {
      await take(cell, { data: gathered[index], meta: metaOf(path, header, cell, gathered[index]) });
      gathered[index] = undefined!; // written: its memory can go
    }
    rest = rest.slice(batch.length);
  }
  const left = cells.filter((cell) => !covered.includes(cell)).map(({ id }) => id);
  if (left.length > 0) throw new Error(`${path} does not cover ${left.join(', ')}: give an extract that does`);
}

/** Places a side at which a cell is looked at, where bounds cut through it. */
const LOOKS = 64;

/** Which share of a cell the stated bounds of a file cover, 0–1; nothing where it states none. */
export function coveredShare({ bounds }: FileHeader, cell: Cell): number | undefined {
  if (bounds.length === 0) return undefined;
  const boxes = boxesOf(cell);
  if (boxes.every((box) => bounds.some((covered) => isWithin(box, covered)))) return 1;
  const [west, south, east, north] = cell.cellBounds;
  const looks = Array.from({ length: LOOKS ** 2 }, (_, look) => [(look % LOOKS) + 0.5, Math.floor(look / LOOKS) + 0.5]);
  const places = looks.map(([x, y]) => toLonLat(cell.epsg, [west + ((east - west) * x) / LOOKS, south + ((north - south) * y) / LOOKS])); // prettier-ignore
  const inside = places.filter((place) => bounds.some((covered) => touches([place], covered)));
  return inside.length / places.length;
}

function metaOf(path: string, header: FileHeader, cell: Cell, data: OsmData): OsmMeta {
  const { timestamp, sequence } = header;
  const covered = coveredShare(header, cell);
  const remarks = [
    ...(sequence === undefined ? [] : [`replication ${sequence}`]),
    ...(covered === undefined ? ['states no bounds: whether it covers the cell is not known'] : []),
    ...(covered !== undefined && covered < 1 ? [`covers ${percent(covered)} of the cell`] : []),
  ];
  return {
    endpoint: `${basename(path)}${remarks.length > 0 ? ` (${remarks.join('; ')})` : ''}`,
    query: cellQueries(cell).join('\n'),
    timestamp_osm_base: timestamp,
    fetchedAt: new Date().toISOString(),
    counts: { nodes: data.nodes.length, ways: data.ways.length, relations: data.relations.length },
    ...(covered === undefined ? {} : { covered }),
    attribution: OSM_ATTRIBUTION,
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
