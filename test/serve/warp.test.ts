import assert from 'node:assert/strict';
import { toUtm } from 'imagesim/ard';
import { TOLERANCE, fromMercator, lonLatIn, mapTileAt, mapTileBounds, placeIn, toMercator, viewOf, warpOf } from 'imagesim/serve'; // prettier-ignore
import proj4 from 'proj4';
import seedrandom from 'seedrandom';

describe('Web Mercator', () => {
  it('agrees with PROJ', () => {
    // echo "12.18 44.28" | cs2cs -f %.6f EPSG:4326 EPSG:3857 (axes swapped): 1355871.398116 5508912.305764
    const [x, y] = toMercator([12.18, 44.28]);
    const [px, py] = proj4('EPSG:3857').forward([12.18, 44.28]);
    assert.ok(Math.hypot(x - px, y - py) < 1e-6);
    const [lon, lat] = fromMercator([x, y]);
    assert.ok(Math.abs(lon - 12.18) < 1e-12 && Math.abs(lat - 44.28) < 1e-12);
  });

  it('finds the tile that a place lies in, at the edges of the world too', () => {
    // python3: (1 - asinh(tan(radians(44.28))) / pi) / 2 * 2**14 = 5939.79
    assert.deepEqual(mapTileAt([12.18, 44.28], 14), { z: 14, x: 8746, y: 5939 });
    assert.deepEqual(mapTileAt([-180, 89], 3), { z: 3, x: 0, y: 0 });
    assert.deepEqual(mapTileAt([180, -89], 3), { z: 3, x: 7, y: 7 });
    const [west, south, east, north] = mapTileBounds({ z: 1, x: 1, y: 0 });
    assert.deepEqual([west, south], [0, 0]);
    assert.ok(Math.abs(east - 20037508.342789244) < 1e-6 && Math.abs(north - east) < 1e-6);
  });
});

describe('the warp of a map tile', () => {
  it('errs by less than a tenth of a pixel wherever a zone is wide and a pixel fine enough', () => {
    const random = seedrandom.alea('warp');
    let worst = 0;
    for (let trial = 0; trial < 300; trial++) {
      const zone = 1 + Math.floor(random() * 60);
      const lat = 140 * random() - 70;
      const lon = zone * 6 - 183 + 7 * (random() - 0.5);
      const epsg = (lat < 0 ? 32700 : 32600) + zone;
      const view = viewOf(mapTileAt([lon, lat], 12 + Math.floor(random() * 9)));
      const warp = warpOf(view, { left: 0, top: 0, right: 256, bottom: 256 }, epsg);
      const metres = view.metres * Math.cos((lat * Math.PI) / 180);
      for (let place = 0; place < 20; place++) {
        const [x, y] = [256 * random(), 256 * random()];
        const [east, north] = toUtm(epsg, lonLatIn(view, x, y));
        const [nearEast, nearNorth] = placeIn(warp, x, y);
        worst = Math.max(worst, Math.hypot(east - nearEast, north - nearNorth) / metres);
      }
    }
    assert.ok(worst < TOLERANCE, `errs by ${worst} pixels`);
  });

  it('takes a finer grid where one cell does not do, and refuses what none does', () => {
    const whole = { left: 0, top: 0, right: 256, bottom: 256 };
    const view = viewOf(mapTileAt([12, 60], 3));
    assert.equal(warpOf(view, whole, 32633, 1).cells, 4);
    assert.throws(() => warpOf(viewOf({ z: 0, x: 0, y: 0 }), whole, 32633), /too far from EPSG:32633/);
  });
});
