import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { cellsOnDisk, toLonLat } from 'imagesim/ard';
import { type OsmElement, fetchOsmByQuadkey, osmPath, primaryKey, surveyOsm } from 'imagesim/osm';
import { dataFolder, removeFolder, standIn, whole } from './stand-in.ts';

describe('osm survey', () => {
  let folder: string;
  afterEach(() => removeFolder(folder));

  /** Two cells; the first with a pond of 100 m that covers parts of 4 chips, a bench, an open ring and a far tree. */
  async function survey(): Promise<ReturnType<typeof surveyOsm>> {
    folder = await dataFolder('33/031133012203', '33/031133012212');
    const [cell] = await cellsOnDisk(folder, 33);
    const at = (x: number, y: number): { lon: number; lat: number } => {
      const [lon, lat] = toLonLat(cell.epsg, [cell.cellBounds[0] + x, cell.cellBounds[3] - y]);
      return { lon, lat };
    };
    const ring = [at(50, 50), at(150, 50), at(150, 150), at(50, 150), at(50, 50)];
    const elements: OsmElement[] = [
      { type: 'node', id: 1, ...at(1000, 1000), tags: { amenity: 'bench' } },
      { type: 'node', id: 2, ...at(9000, 1000), tags: { natural: 'tree' } },
      { type: 'node', id: 3, ...at(10, 1000) },
      { type: 'way', id: 4, geometry: ring, tags: { natural: 'water' } },
      { type: 'way', id: 5, geometry: ring.slice(0, 3) },
      { type: 'relation', id: 6, members: [{ type: 'way', ref: 5, role: 'outer' }], tags: { type: 'multipolygon', natural: 'wood' } },
    ]; // prettier-ignore
    const server = await standIn((response, index) => response.end(whole(index === 0 ? elements : [])));
    await fetchOsmByQuadkey(33, folder, { endpoint: server.endpoint });
    await server.close();
    return surveyOsm(folder, 33);
  }

  it('counts what was stored, what lies in the cell, the chips it reaches and what is broken, with the reason', async () => {
    const [first, second] = await survey();
    const { cell, attribution, ...counts } = first;
    assert.equal(cell.id, 'Z33-031133012203');
    assert.match(attribution, /OpenStreetMap/);
    assert.deepEqual(counts, {
      nodes: 3, ways: 2, relations: 1, placed: 2, chips: 5, mapOf: '2024-01-01T00:00:00Z', covered: 1,
      broken: [{ key: 'relation/6', reason: 'its outer ways make no ring' }],
    }); // prettier-ignore
    assert.deepEqual([second.nodes, second.placed, second.chips, second.broken], [0, 0, 0, []]);
  });

  it('names the file of a cell that has no map', async () => {
    await survey();
    const [, cell] = await cellsOnDisk(folder, 33);
    await rm(osmPath(folder, cell));
    await assert.rejects(surveyOsm(folder, 33), /031133012212\/osm_data\.json is missing: fetch it/);
    await writeFile(osmPath(folder, cell), '{');
    await assert.rejects(surveyOsm(folder, 33), /osm_data\.json is not JSON/);
  });

  it('calls a thing by the key that is most visible from above, and what has none other', () => {
    assert.equal(primaryKey({ name: 'x', shop: 'bakery', building: 'yes' }), 'building');
    assert.equal(primaryKey({ amenity: 'parking', building: 'no' }), 'amenity');
    assert.equal(primaryKey({ name: 'x' }), 'other');
  });
});
