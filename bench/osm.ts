// The map of one cell laid over its chips. There is no peer that does this.
import { join } from 'node:path';
import { chipCoverage, elements, fetchCell, serveOverpass } from 'imagesim/osm';
import { type Bench, type BenchOptions, type Contest, rateOf } from './measure.ts';
import { benchTile } from './tile.ts';

async function open({ scale }: BenchOptions): Promise<Contest> {
  const { folder, tile } = await benchTile(scale);
  const server = await serveOverpass(join(folder, 'overpass'));
  const { data } = await fetchCell(tile.cell, { endpoint: server.endpoint });
  await server.close();
  const tagged = elements(data).elements.length;
  const ours = async (): Promise<{ rate: number; found: string }> => {
    let rows = 0;
    const rate = await rateOf(tagged, () => (rows = chipCoverage(elements(data).elements, tile.cell).length));
    return { rate, found: `${tagged} elements in ${rows} places of chips` };
  };
  return { ours, peer: { missing: 'no other program does this' } };
}

export const osm: Bench[] = [{ name: 'osm: chip coverage', unit: 'elements/s', open }];
