import { z } from 'zod';
import { type Delivery, type Tile, eachUnit } from '../ard/index.ts';

const collectionSchema = z.looseObject({
  license: z.string().optional(),
  providers: z.array(z.looseObject({ name: z.string() })).optional(),
});

/**
 * Whose pictures are served and under which licence, as the collections of their acquisitions state it: a map must show it.
 *
 * @returns `Maxar, CC-BY-NC-4.0`, or `licence CC0-1.0` where nobody is named; several parted by semicolons; `licence not stated` where a collection is not there or does not say
 * @throws {Error} naming a collection that is none
 */
export async function readAttribution(delivery: Delivery, tiles: readonly Tile[]): Promise<string> {
  const { prefix, files } = delivery;
  const keys = new Set(files.map(({ key }) => key));
  const catids = [...new Set(tiles.map(({ catid }) => catid))].sort();
  const texts = await eachUnit(
    catids,
    'acquisitions',
    async (catid) => {
      const key = `${prefix}acquisition_collections/${catid}_collection.json`;
      return keys.has(key) ? textOf(delivery, key) : 'licence not stated';
    },
    { concurrency: 16 },
  );
  return [...new Set(texts)].join('; ');
}

async function textOf({ source }: Delivery, key: string): Promise<string> {
  const fault = (cause?: unknown): Error => new Error(`${source.address}/${key} is no STAC collection: fetch it again`, { cause }); // prettier-ignore
  const text = Buffer.from(await source.read(key)).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fault(error);
  }
  const { success, data, error } = collectionSchema.safeParse(json);
  if (!success) throw fault(error);
  const names = (data.providers ?? []).map(({ name }) => name);
  const { license } = data;
  if (license === undefined) return [...names, 'licence not stated'].join(', ');
  return names.length > 0 ? [...names, license].join(', ') : `licence ${license}`; // STAC's `other` says nothing by itself
}
