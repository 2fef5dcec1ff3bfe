import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import seedrandom from 'seedrandom';
import { type Cell, cellAt, cellOf, chipIds, neighbours, parseCell, toLonLat, toUtm } from 'imagesim/ard';
import {
  type Element, type OsmData, type OsmElement, type PlacedElement, type PlacedGeometry,
  chipCoverage, chipIndex, elements, placeInCell,
} from 'imagesim/osm'; // prettier-ignore
import { answerOf, needs, osmOf, realFile } from './stand-in.ts';

type Place = [number, number];

const cell = parseCell('Z33-031133012203'); // 265000, 4090000, 270000, 4095000
const SIDE = 78.125;

/** Metres from the cell's south-west corner as lon/lat, closed to a ring. */
const ring = (...places: Place[]): Place[] =>
  [...places, places[0]].map(([x, y]) => toLonLat(cell.epsg, [265000 + x, 4090000 + y]));
const line = (...places: Place[]): Element =>
  element({ type: 'LineString', coordinates: ring(...places).slice(0, -1) });
const polygon = (...coordinates: Place[][]): Element => element({ type: 'Polygon', coordinates });
const box = (x: number, y: number, width: number, height: number): Place[] =>
  ring([x, y], [x + width, y], [x + width, y + height], [x, y + height]);
const element = (geometry: Element['geometry']): Element => ({
  type: 'way',
  id: 1,
  key: 'way/1',
  tags: { a: 'b' },
  geometry,
});
const near = (found: number, expected: number, relative = 1e-6): void =>
  assert.ok(Math.abs(found - expected) <= relative * expected, `${found} is not ${expected}`);
const polygonsOf = ({ utm }: PlacedElement): number[][][][] =>
  utm.type === 'MultiPolygon' ? utm.coordinates : utm.type === 'Polygon' ? [utm.coordinates] : [];
/** Corners in metres from the cell's south-west, to the nearest millimetre. */
const corners = (rings: number[][][]): number[][][] =>
  rings.map((places) => places.map(([x, y]) => [x - 265000, y - 4090000].map((at) => Math.round(at * 1000) / 1000)));
const shape = (placed: PlacedElement): string =>
  JSON.stringify(polygonsOf(placed).map((rings) => rings.map((places) => places.length)));
const only = (list: Element[], of: Cell = cell): PlacedElement => {
  const placed = placeInCell(list, of);
  assert.equal(placed.length, 1);
  return placed[0];
};
/** Whether a segment of a ring runs along the cell's border twice, there and back. */
const bridges = (rings: number[][][]): number =>
  rings.flatMap((places) => {
    const steps = places.slice(1).map((to, k) => [places[k], to].map(String));
    return steps.filter(([a, b]) => steps.some(([c, d]) => a === d && b === c));
  }).length;

/** An extract of small size, whole. */
function extractOf(name: string): OsmData {
  const text = String(gunzipSync(readFileSync(realFile(`osm/${name}.osm.gz`))));
  const found: OsmElement[] = [];
  const number = (tag: string, key: string): number => Number(value(tag, key));
  const value = (tag: string, key: string): string => new RegExp(` ${key}=(["'])(.*?)\\1`).exec(tag)?.[2] ?? '';
  for (const [tag, name_] of text.matchAll(/<(node|way|relation|nd|tag|member) [^>]*>/g)) {
    const last = found.at(-1);
    if (name_ === 'node')
      found.push({ type: name_, id: number(tag, 'id'), lat: number(tag, 'lat'), lon: number(tag, 'lon') }); // prettier-ignore
    else if (name_ === 'way') found.push({ type: name_, id: number(tag, 'id'), nodes: [] });
    else if (name_ === 'relation') found.push({ type: name_, id: number(tag, 'id'), members: [] });
    else if (name_ === 'nd' && last?.type === 'way') last.nodes!.push(number(tag, 'ref'));
    else if (name_ === 'tag') (last!.tags ??= {})[value(tag, 'k')] = value(tag, 'v');
    else if (last?.type === 'relation')
      last.members.push({ type: value(tag, 'type') as 'way', ref: number(tag, 'ref'), role: value(tag, 'role') });
  }
  return osmOf(found);
}

// 200 objects of the two extracts, those that a cell's border cuts among them: square metres or metres in UTM, inside
// the cell named. osmium 1.15.0 put the areas together, pyproj projected them, shapely cut and measured them:
//   osmium export <extract>.osm.gz -f geojsonseq -u type_id; then for each feature, its cell under its first corner:
//   (of a way that draws a multipolygon without tags, .difference of the inner ways)
//   transform(Transformer.from_crs(4326, epsg, always_xy=True).transform, shape(geometry)).intersection(box(*cell))
const MEASURED = {
  krems: { zone: 33, table: `
102222003222 w29737103=2969.979686 w29744744=187.6914328 w35802393=8996.787887 w41057676=51798.95219
w85734015=269.4246795 w85734034=292.7957929 w85734050=697.2059314 w85734054=731.258053 w85737707=390.0493571
w85737711=603.8794168 w94239486=92.03077486 w94239519=116.9088625 w99402909=148.3825172 w99402992=33.8447534
w99403007=233.6424163 w224784214=1.349110959 w224784219=248.6713723 w224784221=316.0314972 w225803423=142805.247
w225808469=114882.6064 w94239462=186.9836994 w106336229=573.6476529 w94239569=286.3554427 w94239461=188.9157358
w94239582=300.1012728 w108116555=190.7076083 w108116551=285.4917305 w108090442=127.6866622 w99403011=86.42837455
w108116549=258.0203135 w108342095=91.04385131 w108410583=1830.047412 w108084024=198.2928336 w108297202=455.2618575
w224529298=73.14536085 w108084002=95.4375036 w4776000=2444.293989 w24746411=159.746886 w24778500=927.1212803
w24778514=1300.817771 w24864391=550.8482607 w24980474=545.3412492 w24980485=55.30932597 w24980491=64.37999545
w25150510=72.0605064 w225803417=411.4344451 w24864423=103.0613534 w24864417=155.2053847 w39485682=13.27416206
w47713510=111.1543154 w25097714=29.47003725 w30759977=34.92716323 w176155415=228.8047295
102222003223 r2981623=1755.36512 w59538582=1317701.364 w225811999=102741.8604 w107303816=107.7275253
w84946464=987.2418111 w50235357=3066.902607 w85736273=548.3200479 w99404799=416.5703186 w83840201=1523.176081
w128811990=127.3848606 w99387922=81.39520108 w140588566=146.1894392 w85738334=1328.272471 w34075052=607.1433345
w50894651=1250.907322 w225811256=636985.6851 w99052742=641.7268362 w128811992=174.3489492 w99402933=189.8040538
w85734029=396.2882332 w85426468=1865.071018 w120656745=218.8544946 w99402997=99.26686791 w85734066=870.9937698
w15033702=235.8103548 w24980472=97.33974806 w24980482=66.3564376 w29735524=90.51197838 w99052671=44.21913099
w100011393=38.75550418 w106608305=67.29138727 w230273373=310.3929382 w14823514=111.241829 w41195225=356.8946717
w51160433=88.97259279 w239459748=21.35050585 w35803770=503.4300261 w50235364=119.946385 w29733947=179.7867608
w25536272=165.4923745
102222021001 w225811991=96923.32527 w4489664=83.30174069 w28912776=171.7748834 w28912778=185.8053425
w28913068=168.5357902 w29643251=1411.477234 w29735525=528.0580683` },
  'north-bayreuth': { zone: 32, table: `
102220302031 w12658034=340752.6201 w203499931=172.6235933 w203503459=97.21349005 w203500185=390.2545231
102220302033 r1071000=1554753.445 r1130918=1554753.445 w12658047=1250.48221 w12659556=392349.2713
w31233383=6605.481235 w31762823=309160.42 w32063174=30407.50613 w39517802=4190.589569 w198032730=112.2917884
w200330265=110.8980225 w200294290=170.9997908 w198020142=135.3798048 w200338181=168.4174445 w198019804=113.9886547
w8079945=106.0467836 w23783168=60.80296578 w191574266=43.71954206 w35578566=110.8475704 w307683091=447.5955622
w293220547=40.16079127
102220302120 w31232271=126674.2781 w31232552=38533.6582 w31233885=297425.7418 w32508199=64814.71235
w32508151=5005.949547 w203494519=141.858802 w4037863=1237.605305 w24225863=140.7806252 w27472053=65.04948699
w31232267=448.2300848
102220302121 w23809309=21.26919847 w24157024=674.0173781 w24225860=143.3118114 w210817229=256.5630284
102220302122 r1669599=179850.2605 w12609071=162616.3551 w12610117=166068.8325 w31232553=9023.600173
w104488758=23.19337934 w106608550=240.6799634 w106608601=23.21400741 w106608625=1163.172485 w107877038=1107.91042
w107877146=99.75885607 w107877170=82.58658661 w128270941=665736.5376 w107310597=270.3307114 w200160192=261.2616897
w47417213=10796.95559 w200155083=86.54199536 w4942012=756.7363138 w25505562=82.3038649 w30841959=6.853742647
w128108773=205.1632418 w133874169=1241.00465 w240474219=86.77641289 w31339073=757.3692493 w209049405=104.8929081
102220302123 w41768980=4818.117107 w130395360=6505.536045 w104656906=345.6252047 w136189044=5377.235431
w104657015=159.4393162 w4942122=104.9752867 w24225858=591.5790449 w96238022=243.6914587 w4942123=510.8236488
102220302211 w25444643=264.8762003 w25444644=10.61417408
102220302300 w24830807=81764.78397 w107877058=280.7594852 w107877133=57.93233373 w231063098=3942.051709
w193112381=14604.53168 w198047550=426.9190941 w108311019=12943.20416 w198035095=110.7216647 w24830695=538.3372002
w25444642=1.606693635 w25505564=59.13669297 w27826862=27.70266273 w271403539=117.0924018 w307260956=32.40548204
w160446018=47.92474844
102220302301 r3006801=424.5707403 w5229747=1198228.7 w103959508=104.1708179 w104364903=97.10692427
w103959566=169.8086379 w104477567=26.63314866 w104362840=163.6578656 w30278367=102.115059 w99019588=31.34905303
w99019581=8.984482985 w34215086=181.796034 w55839537=378.3646706` },
}; // prettier-ignore

describe('osm geometry', () => {
  describe('of real objects', function () {
    before(function () {
      needs(this, 'osm/overpass-json');
    });

    for (const [name, { zone, table }] of Object.entries(MEASURED)) {
      it(`has the areas and lengths that shapely finds for 100 objects of ${name}`, () => {
        const list = elements(extractOf(name)).elements;
        let [quadkey, count] = ['', 0];
        let placed = new Map<string, PlacedElement>();
        for (const word of table.trim().split(/\s+/)) {
          const [key, value] = word.split('=');
          if (value === undefined) {
            quadkey = key;
            placed = new Map(placeInCell(list, cellOf(zone, quadkey)).map((one) => [one.key, one]));
            continue;
          }
          const { area, length } = placed.get(key.replace('r', 'relation/').replace('w', 'way/'))!;
          near(area + length, Number(value));
          count++;
        }
        assert.equal(count, 100);
      });
    }

    // osmium 1.15.0 (osmium export -u type_id) put them together, shapely and pyproj measured them in UTM
    const whole: [name: string, key: string, zone: number, area: number, polygons: string][] = [
      ['clapham_common', 'relation/1290065', 30, 793213.545823043, '[[13],[16],[19],[28],[42,17]]'],
      ['clapham_common', 'way/42441854', 30, 8044.7788616851585, '[[17]]'],
      ['inner_chain', 'relation/9650545', 29, 1231.9124893684511, '[[39,5,5,5,5,5,5,5,5]]'],
      ['new_river_head', 'relation/9246394', 30, 2171.222840891516, '[[21,11,5]]'],
      ['new_river_head', 'way/665593284', 30, 621.0264601906977, '[[5]]'],
      ['relation_no_outer', 'way/510398146', 37, 381.6909226079379, '[[13]]'],
    ];
    for (const [name, key, zone, area, polygons] of whole) {
      it(`has the area and the rings that osmium and shapely find for ${key} of ${name}`, () => {
        const found = elements(osmOf(answerOf(`osm/overpass-json/${name}.json`))).elements.find(
          (one) => one.key === key,
        )!;
        const lonLat = (found.geometry.coordinates as number[][][][]).flat(3).slice(0, 2) as Place;
        const home = cellAt(lonLat, zone);
        const around = [home, ...Object.values(neighbours(home.quadkey)).map((quadkey) => cellOf(zone, quadkey))];
        const parts = around.flatMap((one) => placeInCell([found], one));
        near(parts.reduce((sum, part) => sum + part.area, 0), area); // prettier-ignore
        const rings = JSON.parse(shape({ ...parts[0], utm: found.geometry })) as number[][];
        assert.equal(JSON.stringify(rings.sort(([a], [b]) => a - b)), polygons);
      });
    }

    it('keeps a multipolygon whose outer ring is missing as it came', () => {
      const osm = osmOf(answerOf('osm/overpass-json/relation_no_outer.json'));
      const { broken } = elements(osm);
      assert.deepEqual([broken.length, broken[0].raw], [1, osm.relations[0]]);
    });

    it('answers for every chip of a dense place what a walk over all its elements finds', () => {
      const oakland = cellAt([-122.23, 37.825]);
      const placed = placeInCell(
        elements(osmOf(answerOf('osm/overpass-json/overpass-response-1.json.gz'))).elements,
        oakland,
      );
      const index = chipIndex(oakland, placed);
      const rows = chipIds(oakland).flatMap((id) => index.in(id));
      const area = rows.reduce((sum, row) => sum + row.area * SIDE ** 2, 0);
      near(area, placed.reduce((sum, one) => sum + one.area, 0)); // prettier-ignore
      assert.ok(placed.length > 2000, `${placed.length} elements`);
      chipIds(oakland).forEach((id, chip) => assert.equal(index.in(id), index.in(chip)));
    });
  });

  it('leaves what lies inside as mapped, and gives it in metres', () => {
    const hole = box(200, 200, 50, 50);
    const placed = only([polygon(box(100, 100, 300, 300), hole)]);
    assert.deepEqual(placed.geometry, { type: 'Polygon', coordinates: [box(100, 100, 300, 300), hole] });
    near(placed.area, 87_500);
    assert.equal(placed.length, 0);
    assert.equal(shape(placed), '[[5,5]]');
  });

  it('cuts at the border without bridges: a comb across it becomes its teeth', () => {
    const comb = ring([-100, 100], [50, 100], [50, 150], [-50, 150], [-50, 200], [50, 200], [50, 250], [-100, 250]);
    const placed = only([polygon(comb)]);
    assert.equal(shape(placed), '[[5],[5]]');
    near(placed.area, 5000);
    assert.deepEqual(
      corners(polygonsOf(placed).map(([outer]) => outer)).map((places) => places.map(String).sort()[0]),
      ['0,100', '0,200'],
    );
    const { geometry } = placed;
    assert.equal(geometry.type, 'MultiPolygon');
    const back = (geometry.coordinates as Place[][][]).flat(2).map((at) => toUtm(cell.epsg, at));
    polygonsOf(placed).flat(2).forEach((at, k) => assert.ok(Math.hypot(at[0] - back[k][0], at[1] - back[k][1]) < 1e-3)); // prettier-ignore
  });

  it('turns a hole across the border into a bay, and keeps holes with the part that they lie in', () => {
    const bay = only([polygon(box(-500, -500, 6000, 1500), box(1000, -100, 100, 200), box(200, 200, 50, 50))]);
    assert.equal(shape(bay), '[[9,5]]');
    near(bay.area, 5e6 - 10_000 - 2500);
    const teeth = ring([0, -99], [900, -99], [900, 300], [500, 300], [500, -50], [400, -50], [400, 300], [0.5, 300]);
    const placed = only([polygon(teeth, box(550, 100, 50, 50), box(100, 100, 10, 10), box(700, 100, 50, 50))]);
    assert.deepEqual(JSON.parse(shape(placed)).map((rings: number[]) => rings.length).sort(), [2, 3]); // prettier-ignore
    for (const [outer, ...holes] of polygonsOf(placed)) {
      const right = outer[0][0] > 265450;
      assert.ok(holes.every((hole) => hole[0][0] > 265450 === right));
    }
  });

  it('gives the whole cell, holes and all, to what lies around it', () => {
    const placed = only([polygon(box(-500, -500, 6000, 6000), box(100, 100, 10, 10), box(-90, -90, 10, 10))]);
    assert.deepEqual(corners(polygonsOf(placed)[0])[0], [[0, 0], [5000, 0], [5000, 5000], [0, 5000], [0, 0]]); // prettier-ignore
    near(placed.area, 25e6 - 100);
    near(only([polygon(box(0, 0, 5000, 5000))]).area, 25e6);
  });

  it('leaves out what only touches the border or lies beyond', () => {
    const far = [box(-100, 10, 100, 100), box(6000, 0, 10, 10), box(5000, 5000, 10, 10)].map((places) =>
      polygon(places),
    );
    const holed = polygon(box(-500, -500, 6000, 6000), box(-1, -1, 5002, 5002));
    assert.deepEqual(placeInCell([...far, holed, line([-10, 0], [-10, 5000])], cell), []);
  });

  it('drops the parts of a multipolygon that lie elsewhere', () => {
    const parts = [box(10, 10, 10, 10), box(-100, 10, 10, 10)];
    const placed = only([element({ type: 'MultiPolygon', coordinates: parts.map((places) => [places]) })]);
    assert.deepEqual([placed.geometry.type, placed.utm.type], ['Polygon', 'Polygon']);
    near(placed.area, 100);
  });

  it('parts a line that leaves and comes back', () => {
    const placed = only([line([-50, 10], [50, 10], [50, -10], [80, -10], [80, 30])]);
    const { coordinates } = placed.utm as Extract<PlacedGeometry, { type: 'MultiLineString' }>;
    assert.deepEqual(corners(coordinates), [[[0, 10], [50, 10], [50, 0]], [[80, 0], [80, 30]]]); // prettier-ignore
    near(placed.length, 90);
  });

  it('keeps the area, without bridges, of 500 random stars across a corner, drawn in either direction', () => {
    const random = seedrandom('stars');
    for (let k = 0; k < 500; k++) {
      const centre: Place = [200 * random() - 100, 200 * random() - 100];
      const places = Array.from({ length: 40 }, (_, n): Place => {
        const away = 300 * (0.2 + 0.8 * random());
        const angle = (2 * Math.PI * n * (k % 2 ? 1 : -1)) / 40;
        return [centre[0] + away * Math.cos(angle), centre[1] + away * Math.sin(angle)];
      });
      const star = polygon(ring(...places));
      const placed = only([star]);
      const expected = chipCoverage([star], cell).reduce((sum, { area }) => sum + area * SIDE ** 2, 0);
      near(placed.area, expected, 1e-6);
      for (const rings of polygonsOf(placed)) assert.equal(bridges(rings), 0);
    }
  });

  it('gives an outline that crosses itself the area between its loops, as shapely does', () => {
    // 21,666.7 m² clockwise less 4,166.7 m² counter-clockwise
    near(only([polygon(ring([-100, 100], [100, 100], [-100, 300], [300, 300]))]).area, 17_500);
  });

  it('keeps what two neighbours share along their border: each metre is in one of them', () => {
    const east = cellOf(33, neighbours(cell.quadkey).E!);
    const wide = polygon(box(4900, 100, 200, 300), box(4950, 150, 100, 50));
    const [a, b] = [only([wide]), only([wide], east)];
    near(a.area + b.area, 55_000);
    near(a.area, 27_500);
  });

  it('refuses a chip of another cell', () => {
    const index = chipIndex(cell, []);
    for (const chip of ['Z33-031133012202000000', `${cell.id}00000`, `${cell.id}000004`, 4096, -1, 0.5])
      assert.throws(() => index.in(chip), RangeError);
    assert.deepEqual(index.in(`${cell.id}333333`), []);
  });
});
