/** What the store is asked with, and the vector that comes of it. */
import { parseChip, quadkeyUnder, squareId, zoneOf } from '../ard/index.ts';
import { metresBetween } from './filter.ts';
import { encodeImage } from './image.ts';
import { type Store, whileThere } from './store/open.ts';
import type { StoreRow } from './store/row.ts';

/** What the store is asked with. */
export type Query =
  /** A chip of the store: its newest acquisition unless one is named by catalogue id or day. */
  | { chip: string; catid?: string | undefined; date?: string | undefined }
  /** The chip under a place, degrees. */
  | { at: readonly [lon: number, lat: number]; catid?: string | undefined; date?: string | undefined }
  /** An image: the path or the bytes of its file. Of a known `metresPerPixel` the middle 78 m are taken, else the whole middle square. */
  | { image: string | Uint8Array; metresPerPixel?: number | undefined }
  /** Chips that the answers are to be like, and such that they are not to be like. */
  | { like: readonly string[]; unlike?: readonly string[] | undefined }
  /** What chips with a tag look like on average. */
  | { tag: string }
  /** A vector of the store's model. */
  | { vector: Float32Array; model?: string | undefined };

/** A question as it is put to the store. */
export interface Asked {
  /** Of unit length. */
  vector: Float32Array;
  /** Chips that it was made of; none where it came from elsewhere, or of a tag. */
  chips: StoreRow[];
  /** Where it was asked from, degrees: the place that was named, else the centres of its chips. */
  places: (readonly [lon: number, lat: number])[];
}

/** How much what is not wanted counts beside what is: less, for what is unwanted is of many kinds. @see Rocchio 1971; Manning 2008, 9.1.1 */
export const UNLIKE_WEIGHT = 0.5;

/**
 * The vector of a question.
 *
 * @throws {Error} naming the id, place, tag, file or model that the store cannot be asked with
 */
export async function ask(store: Store, query: Query): Promise<Asked> {
  if ('vector' in query) return { vector: checked(store, query), chips: [], places: [] };
  if ('image' in query) return { vector: await encodeImage(store, query), chips: [], places: [] };
  if ('tag' in query) return { vector: unit(meanOf(await withTag(store, query.tag)), store), chips: [], places: [] };
  if ('like' in query) return byExamples(store, query);
  const { row, vector } = 'at' in query ? await chipUnder(store, query) : await chipNamed(store, query);
  return { vector, chips: [row], places: ['at' in query ? query.at : [row.lon, row.lat]] };
}

function checked({ model: own, width, name }: Store, { vector, model }: { vector: Float32Array; model?: string | undefined }): Float32Array {
  if (model !== undefined && model !== own) throw new Error(`a vector of ${model} cannot be asked of table ${name}, which is of ${own}: encode with that one, or deploy a table of ${model}`);
  if (vector.length !== width) throw new RangeError(`a vector of ${vector.length} numbers cannot be asked of table ${name}, whose vectors have ${width} (${own}): encode with that model`);
  return unit(vector, { name });
} // prettier-ignore

/** A row of the store with its vector. */
interface FoundRow {
  row: StoreRow;
  vector: Float32Array;
}

/** Rows that fulfil an SQL condition. */
async function rowsWhere(store: Store, condition: string): Promise<FoundRow[]> {
  const found = (await whileThere(store, () => store.table.query().where(condition).toArray())) as (StoreRow & {
    vector: Iterable<number>;
  })[];
  return found.map(({ vector, tags, ...row }) => ({ row: { ...row, tags: [...tags] }, vector: Float32Array.from(vector) })); // prettier-ignore
}

async function chipNamed(store: Store, { chip, catid, date }: { chip: string; catid?: string | undefined; date?: string | undefined }): Promise<FoundRow> {
  parseChip(chip);
  const found = await rowsWhere(store, `id = '${chip}'`);
  const fitting = found.filter(({ row }) => (catid === undefined || row.catid === catid) && (date === undefined || row.date === date));
  const [newest] = fitting.sort(({ row: a }, { row: b }) => (`${a.date} ${a.catid}` > `${b.date} ${b.catid}` ? -1 : 1));
  if (newest) return newest;
  if (found.length === 0) throw new Error(`no chip ${chip} in table ${store.name}: deploy its cell, ${chip.slice(0, 16)}`);
  const there = found.map(({ row }) => `${row.date} ${row.catid}`).sort().join(', ');
  throw new Error(`chip ${chip} is in table ${store.name}, but not of ${[date, catid].filter(Boolean).join(' ')}: there is ${there}`);
} // prettier-ignore

async function chipUnder(store: Store, { at, ...which }: { at: readonly [number, number]; catid?: string | undefined; date?: string | undefined }): Promise<FoundRow> {
  const [lon, lat] = at;
  const ids = chipsUnder(at);
  const there = await rowsWhere(store, `id IN (${ids.map((id) => `'${id}'`).join(', ')})`);
  const chip = ids.find((id) => there.some(({ row }) => row.id === id));
  if (chip !== undefined) return chipNamed(store, { chip, ...which });
  const { columns } = await store.load();
  let [nearest, metres] = [0, Number.POSITIVE_INFINITY];
  for (let row = 0; row < columns.n; row++) {
    const away = metresBetween([lon, lat], [columns.lons[row], columns.lats[row]]);
    if (away < metres) [nearest, metres] = [row, away];
  }
  throw new Error(`nothing is deployed at ${lon},${lat} in table ${store.name}: the nearest chip, ${columns.ids[nearest]}, is ${distanceText(metres)} away; deploy the cell there, or ask elsewhere`);
} // prettier-ignore

/** Ids of the chips under a place, `[lon, lat]` in degrees: that of its own zone first, then those of the zones beside it, which reach over their edges. */
export function chipsUnder([lon, lat]: readonly [number, number]): string[] {
  const zones = [0, 59, 1].map((step) => ((zoneOf(lon) - 1 + step) % 60) + 1);
  return zones.map((zone) => squareId(zone, quadkeyUnder([lon, lat], { zoom: 18, zone })));
}

function distanceText(metres: number): string {
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(1)} km`;
}

/** The mean of what is wanted, less {@link UNLIKE_WEIGHT} of the mean of what is not. */
async function byExamples(store: Store, { like, unlike = [] }: { like: readonly string[]; unlike?: readonly string[] | undefined }): Promise<Asked> {
  if (like.length === 0) throw new RangeError('like names no chip: give one or more that the answers are to be like');
  const found = async (ids: readonly string[]): Promise<FoundRow[]> => Promise.all(ids.map((chip) => chipNamed(store, { chip })));
  const [wanted, unwanted] = [await found(like), await found(unlike)];
  const vector = meanOf(wanted.map((each) => each.vector));
  if (unwanted.length > 0) meanOf(unwanted.map((each) => each.vector)).forEach((value, i) => (vector[i] -= UNLIKE_WEIGHT * value));
  const chips = [...wanted, ...unwanted].map(({ row }) => row);
  return { vector: unit(vector, store), chips, places: chips.map(({ lon, lat }) => [lon, lat]) };
} // prettier-ignore

/** Vectors of the rows that have a tag. @throws {Error} naming the tags that there are, where none has it */
async function withTag({ name, load, width }: Store, tag: string): Promise<Float32Array[]> {
  const { columns, values } = await load();
  const number = columns.tagNames.indexOf(tag);
  if (number < 0) throw new Error(`no chip of table ${name} has the tag ${tag}; it has ${someOf(columns.tagNames)}`);
  const vectors: Float32Array[] = [];
  for (let row = 0; row < columns.n; row++)
    if (columns.tags.slice(columns.tagStarts[row], columns.tagStarts[row + 1]).includes(number))
      vectors.push(values.subarray(row * width, (row + 1) * width));
  return vectors;
}

/** Some words of a list, for a message. */
export function someOf(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  return `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const mean = new Float32Array(vectors[0].length);
  for (const vector of vectors) vector.forEach((value, i) => (mean[i] += value / vectors.length));
  return mean;
}

function unit(vector: Float32Array, { name }: Pick<Store, 'name'>): Float32Array {
  const length = Math.hypot(...vector);
  if (!(length > 0) || !Number.isFinite(length)) throw new RangeError(`the vector asked of table ${name} has the length ${length}: its examples cancel out, or it is no embedding`);
  return vector.map((value) => value / length);
} // prettier-ignore
