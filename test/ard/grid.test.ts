import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  type ArdQuadkey, cellAt, cellOf, children, chipBounds, chipIdAt, chipIds, chipWindow, contains, lonLatBounds,
  neighbours, parent, parseCell, parseChip, quadkeyUnder, squareBounds, toLonLat, toUtm, zoneMembership, zoneOf,
} from 'imagesim/ard'; // prettier-ignore

const vectors = new URL('../../../shared/vectors/', import.meta.url);
const near = (found: number[], expected: number[], tolerance: number): void => {
  assert.equal(found.length, expected.length);
  found.forEach((value, index) => {
    assert.ok(Math.abs(value - expected[index]) <= tolerance, `${found.join()} is not ${expected.join()}`);
  });
};

describe('ard grid', () => {
  describe('without outside files', () => {
    // easting and northing worked by hand: x = 2001, y = 1229 of 4096 squares of 5,000 m
    it('places a quadkey of zone 33 where the published tile lies', () => {
      const cell = parseCell('Z33-031133012203');
      assert.deepEqual(cell.cellBounds, [265000, 4090000, 270000, 4095000]);
      assert.deepEqual(cell.tileBounds, [264843.75, 4089843.75, 270156.25, 4095156.25]);
      assert.equal(cell.epsg, 32633);
    });

    // rasterio.warp.transform('EPSG:4326', 'EPSG:32633', [12.5, 17.99], [41.9, 71.3]); rasterio 1.3.5
    it('projects as PROJ does, to a millimetre', () => {
      near(toUtm(32633, [12.5, 41.9]), [292624.8752543277, 4641695.877909009], 1e-3);
      near(toUtm(32633, [17.99, 71.3]), [606955.0521375409, 7913500.385427605], 1e-3);
      near(toUtm(32733, [14.2, -33.9]), [426034.35987646185, 6248643.7155740205], 1e-3);
    });

    it('returns to the same place through UTM to a tenth of a millimetre, north and south', () => {
      for (const place of [
        [12.5, 41.9],
        [9.001, 0.0001],
        [17.99, 71.3],
        [14.2, -33.9],
      ] as [number, number][]) {
        const epsg = (place[1] < 0 ? 32700 : 32600) + 33;
        near(toLonLat(epsg, toUtm(epsg, place)), place, 1e-9);
      }
    });

    it('gives a southern cell the false northing and the northern ones none', () => {
      assert.deepEqual(squareBounds('2').slice(1, 2), [-10_240_000 + 10_000_000]);
      assert.equal(cellOf(1, '300222100202').hemisphere, 'S');
      assert.equal(cellOf(1, '300222100202').epsg, 32701);
    });

    it('finds the cell under every chip of it, and no other', () => {
      const cell = parseCell('Z33-031133012203');
      for (const id of chipIds(cell).filter((_, index) => index % 97 === 0)) {
        const [west, south, east, north] = chipBounds(id);
        const centre = toLonLat(cell.epsg, [(west + east) / 2, (south + north) / 2]);
        assert.equal(cellAt(centre, 33).id, cell.id);
        assert.equal(quadkeyUnder(centre, { zone: 33, zoom: 18 }), parseChip(id).quadkey);
      }
    });

    it('names 4,096 distinct chips that tile the cell and lie inside the apron', () => {
      const cell = parseCell('Z33-031133012203');
      const ids = chipIds(cell);
      assert.equal(new Set(ids).size, 4096);
      assert.equal(ids[65], chipIdAt(cell, 1, 1));
      assert.deepEqual(chipWindow(parseChip(ids[0])), [512, 512, 256, 256]);
      assert.deepEqual(chipWindow(parseChip(ids[4095])), [16640, 16640, 256, 256]);
      assert.deepEqual(chipBounds(ids[0]), [265000, 4094921.875, 265078.125, 4095000]);
    });

    it('has four children that lie in their parent and lead back to it', () => {
      const quadkey = '0311330122' as ArdQuadkey;
      for (const child of children(quadkey, 2)) {
        assert.equal(parent(child, 2), quadkey);
        assert.ok(contains(quadkey, child) && !contains(child, quadkey));
      }
      assert.equal(children(quadkey, 2).length, 16);
      assert.throws(() => parent(quadkey, 11), RangeError);
    });

    it('counts zones from 180° west, six degrees each, and 180° east as zone 1', () => {
      assert.deepEqual(
        [-180, -174.0001, -174, 11.999, 12, 17.999, 179.99, 180].map(zoneOf),
        [1, 1, 2, 32, 33, 33, 60, 1],
      );
    });

    it('knows when a cell lies in the overlap that the next zone owns', () => {
      assert.equal(zoneMembership(cellAt([15, 45])), 'inside');
      assert.equal(zoneMembership(cellAt([18.01, 45], 33)), 'spans-east-boundary');
      assert.equal(zoneMembership(cellAt([18.2, 45], 33)), 'outside');
    });

    it('refuses what is no place, and says that longitude comes first', () => {
      assert.throws(() => cellAt([41.9, 120]), /lat 120; expected degrees, longitude first/);
    });

    it('refuses what is no chip id and names it', () => {
      assert.throws(() => parseChip('Z33-031133012203'), /unknown chip id "Z33-031133012203"/);
    });
  });

  describe('against published ARD items', function () {
    before(function () {
      if (!existsSync(vectors)) {
        console.log('      skipped: ../shared/vectors is not there');
        this.skip();
      }
    });
    const grid = () => JSON.parse(readFileSync(new URL('ard-grid.json', vectors), 'utf8'));

    it('agrees with every observed tile: bounds, EPSG, hemisphere, corners, centre, Overpass bounds, first chip', () => {
      const { full_tiles, partial_tiles } = grid();
      assert.equal(full_tiles.length + partial_tiles.length, 151);
      for (const { cell_id, hemisphere, derived } of [...full_tiles, ...partial_tiles]) {
        const cell = parseCell(cell_id);
        assert.equal(cell.hemisphere, hemisphere);
        assert.equal(cell.epsg, derived.epsg);
        assert.deepEqual(cell.cellBounds, derived.cell_bounds);
        assert.deepEqual(cell.tileBounds, derived.padded_bounds);
        const [nw, ne, se, sw] = derived.cell_lonlat_corners_nw_ne_se_sw;
        [nw, sw, se, ne, nw].forEach((corner, index) => near(cell.geometry.coordinates[0][index], corner, 1e-9));
        const [south, west, north, east] = derived.overpass_bbox_s_w_n_e_7dp_outward;
        near(lonLatBounds(cell), [west, south, east, north], 1.01e-7);
        assert.equal(cellAt(derived.center_lonlat, cell.zone).id, cell.id);
        assert.deepEqual(chipBounds(chipIds(cell)[0]), derived.chip_z18_nw.bounds);
        assert.equal(parseChip(chipIds(cell)[0]).quadkey, derived.chip_z18_nw.quadkey);
        assert.equal(zoneMembership(cell), derived.membership);
      }
    });

    it('finds the neighbours, across the central meridian and the equator too', () => {
      for (const { cell_id, neighbors } of grid().neighbors_derived) {
        assert.deepEqual(neighbours(parseCell(cell_id).quadkey), neighbors);
      }
    });

    it('reads every spelling of an id and writes one', () => {
      for (const spelling of grid().valid_id_spellings_of_one_cell)
        assert.equal(parseCell(spelling).id, 'Z04-122000313223');
    });

    it('refuses every invalid id, naming it', () => {
      for (const id of grid().invalid_cell_ids) {
        assert.throws(() => parseCell(id), { name: 'RangeError', message: new RegExp(`unknown cell id "${id}"`) });
      }
    });

    it('equals the published bounds of all 17,411 full items and contains all 39,985', () => {
      const items = JSON.parse(gunzipSync(readFileSync(new URL('ard-items.json.gz', vectors))).toString());
      let exact = 0;
      let inside = 0;
      for (const [zone, quadkey, [west, south, east, north]] of items) {
        const tile = cellOf(zone, quadkey).tileBounds;
        if (tile[0] <= west && tile[1] <= south && tile[2] >= east && tile[3] >= north) inside++;
        if (tile[0] === west && tile[1] === south && tile[2] === east && tile[3] === north) exact++;
      }
      assert.deepEqual({ exact, inside, items: items.length }, { exact: 17_411, inside: 39_985, items: 39_985 });
    });
  });
});
