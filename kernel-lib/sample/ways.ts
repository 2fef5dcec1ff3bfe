import { hash, wave } from './noise.ts';
import {
  PITCH,
  RAIL_EVERY,
  RAIL_ROW,
  RIVER_COLUMN,
  RIVER_EVERY,
  crossing,
  isMain,
  isOpen,
  railAt,
  riverAt,
  toRail,
  toRiver,
  turned,
  useOf,
} from './plan.ts';
import type { Quarter } from './quarter.ts';
import { LAYER, type Ring } from './thing.ts';

const STREETS = [
  'Garibaldi',
  'Mazzini',
  'Cavour',
  'Verdi',
  'Dante',
  'Marconi',
  'Matteotti',
  'Gramsci',
  'Carducci',
  'Pascoli',
  'Leopardi',
  'Volta',
  'Galilei',
  'Roma',
];

/** The roads along a quarter's south and west side; those of the other sides belong to its neighbours. */
export function buildRoads(quarter: Quarter): void {
  const { seed, i, j } = quarter;
  const here = crossing(seed, i, j);
  latticeRoad(quarter, [...here, ...crossing(seed, i + 1, j)], j, useOf(seed, i, j - 1), 40);
  latticeRoad(quarter, [...here, ...crossing(seed, i, j + 1)], i, useOf(seed, i - 1, j), 41);
}

function latticeRoad(quarter: Quarter, line: Ring, at: number, across: string, salt: number): void {
  const named = STREETS[hash(quarter.seed, salt, at) % STREETS.length];
  if (isMain(at)) {
    quarter.road(line, 8.4, 'asphalt', 0.9, {
      highway: 'secondary',
      name: `Viale ${named}`,
      surface: 'asphalt',
      lanes: '2',
    });
    laneMarks(quarter, line);
  } else if (isOpen(across) && isOpen(quarter.use)) {
    quarter.line(line, 3.2, 'track', { layer: LAYER.road, tags: { highway: 'track', surface: 'gravel' } });
    if (quarter.dice.chance(0.5)) hedgerow(quarter, line);
  } else {
    quarter.road(line, 6.2, 'asphalt', 1.5, { highway: 'residential', name: `Via ${named}`, surface: 'asphalt' });
    traffic(quarter, line, 2.1, 0.1);
    streetTrees(quarter, line);
  }
}

/** Points along a straight line, `step` apart, with the line's direction. */
export function along(line: Ring, step: number): [x: number, y: number, angle: number][] {
  const [ax, ay, bx, by] = line;
  const length = Math.hypot(bx - ax, by - ay);
  const angle = Math.atan2(by - ay, bx - ax);
  return Array.from({ length: Math.max(0, Math.floor(length / step)) }, (_, k) => {
    const f = ((k + 0.5) * step) / length;
    return [ax + (bx - ax) * f, ay + (by - ay) * f, angle];
  });
}

function laneMarks(quarter: Quarter, line: Ring): void {
  for (const [x, y, angle] of along(line, 7.5)) {
    const [dx, dy] = [Math.cos(angle) * 1.7, Math.sin(angle) * 1.7];
    quarter.line([x - dx, y - dy, x + dx, y + dy], 0.22, 'paint');
  }
  for (const offset of [-3.8, 3.8]) quarter.line(beside(line, offset), 0.18, 'paint');
  traffic(quarter, line, 2, 0.12);
}

/** A line moved to its left by so many metres. */
export function beside(line: Ring, metres: number): Ring {
  const [ax, ay, bx, by] = line;
  const length = Math.hypot(bx - ax, by - ay);
  const [nx, ny] = [(-(by - ay) / length) * metres, ((bx - ax) / length) * metres];
  return [ax + nx, ay + ny, bx + nx, by + ny];
}

/** Cars, each at one date only. */
export function traffic(quarter: Quarter, line: Ring, offset: number, density: number): void {
  for (const [x, y, angle] of along(line, 9)) {
    const side = quarter.dice.chance(0.5) ? 1 : -1;
    const when = quarter.dice.chance(0.5) ? 1 : 2;
    if (quarter.dice.chance(density))
      quarter.car(
        x + Math.sin(angle) * offset * side,
        y - Math.cos(angle) * offset * side,
        side > 0 ? angle : angle + Math.PI,
        when,
      );
  }
}

function streetTrees(quarter: Quarter, line: Ring): void {
  if (quarter.dice.chance(0.45)) return;
  for (const [x, y] of along(beside(line, 5.2), 11)) {
    if (!quarter.dice.chance(0.8)) continue;
    quarter.tree(x, y, quarter.dice.between(1.6, 2.9), 0);
    if (quarter.dice.chance(0.3)) quarter.point(x, y, { natural: 'tree', leaf_type: 'broadleaved' });
  }
}

function hedgerow(quarter: Quarter, line: Ring): void {
  for (const [x, y] of along(beside(line, 3.6), 2.6)) {
    if (quarter.dice.chance(0.75)) quarter.tree(x, y, quarter.dice.between(1, 2.4), quarter.dice.chance(0.8) ? 7 : 0);
  }
}

/** The river's stretch beside this quarter, if one runs through its column: water, shingle, banks and their trees. */
export function buildRiver(quarter: Quarter): void {
  const { seed, i, j, dice } = quarter;
  const k = (i - RIVER_COLUMN) / RIVER_EVERY;
  if (!Number.isInteger(k)) return;
  const bank = (side: number, extra: number): Ring[] => stations(j).map((v) => bankPoint(seed, k, v, side, extra));
  const closed = (extra: number): Ring => [...bank(1, extra), ...bank(-1, extra).reverse()].flat();
  quarter.area(closed(11), 'bank', { layer: LAYER.bank });
  quarter.area(closed(1.8), 'shore', { layer: LAYER.bank });
  quarter.area(closed(0), 'water', { layer: LAYER.water, tone: 0.5, tags: { natural: 'water', water: 'river' } });
  quarter.line(bank(0, 0).flat(), 0, undefined, {
    layer: LAYER.water,
    tags: { waterway: 'river', name: 'Rio Sintetico' },
  });
  for (const side of [1, -1]) {
    for (let v = j * PITCH; v < (j + 1) * PITCH; v += 4.5) {
      if (!dice.chance(0.62)) continue;
      const [x, y] = bankPoint(seed, k, v, side, dice.between(2, 13));
      quarter.tree(x, y, dice.between(1.4, 3.6), dice.chance(0.3) ? 7 : 6);
    }
  }
}

function stations(j: number): number[] {
  return Array.from({ length: 33 }, (_, n) => (j + n / 32) * PITCH);
}

function bankPoint(seed: number, k: number, v: number, side: number, extra: number): Ring {
  const { u, width } = riverAt(seed, k, v);
  return turned(u + side * (width / 2 + extra), v);
}

/** The railway's stretch above this quarter, if one runs through its row: ballast, sleepers, two rails. */
export function buildRail(quarter: Quarter): void {
  const { seed, i, j } = quarter;
  const k = (j - RAIL_ROW) / RAIL_EVERY;
  if (!Number.isInteger(k)) return;
  const middle = (offset: number): Ring =>
    Array.from({ length: 13 }, (_, n) =>
      turned((i + n / 12) * PITCH, railAt(seed, k, (i + n / 12) * PITCH) + offset),
    ).flat();
  quarter.line(middle(0), 9.4, 'bank', { layer: LAYER.rail });
  quarter.line(middle(0), 6.6, 'ballast', { layer: LAYER.rail });
  for (const track of [-2, 2]) {
    for (const rail of [-0.75, 0.75]) quarter.line(middle(track * 0.95 + rail), 0.26, 'rust', { layer: LAYER.rail });
  }
  quarter.line(middle(0), 0, undefined, {
    layer: LAYER.rail,
    tags: { railway: 'rail', gauge: '1435', electrified: 'contact_line' },
  });
}

/** A power line over open land, north of the town: towers about 150 m apart. */
export function buildPowerLine(quarter: Quarter): void {
  const { seed, i, j } = quarter;
  if (j % 9 !== 1 || !isOpen(quarter.use) || quarter.use === 'e') return;
  const v = (j + 0.62) * PITCH + 20 * wave(hash(seed, 14), i / 20);
  for (const f of [0.2, 0.84]) {
    const [x, y] = turned((i + f) * PITCH, v);
    if (toRiver(seed, x, y) < 12 || toRail(seed, x, y) < 12) continue;
    quarter.building(
      [x - 1.6, y - 1.6, x + 1.6, y - 1.6, x + 1.6, y + 1.6, x - 1.6, y + 1.6],
      14,
      'flat',
      'steel',
      undefined,
    );
    quarter.point(x, y, { power: 'tower' });
  }
  quarter.line([...turned((i + 0.2) * PITCH, v), ...turned((i + 0.84) * PITCH, v)], 0.1, 'steel', {
    tags: { power: 'line', voltage: '132000' },
  });
}
