import { buildParking } from './civic.ts';
import type { Frame } from './frame.ts';
import type { InkName } from './inks.ts';
import type { Quarter } from './quarter.ts';
import { LAYER, rectangle, type When } from './thing.ts';

const HALLS: readonly InkName[] = ['sheet', 'sheetGrey', 'sheet', 'roofGravel', 'asbestos', 'roofGrey'];

/** Halls with flat roofs, yards, lorries, a car park; where restless, one hall more at the second date. */
export function buildIndustry(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'concrete', { layer: LAYER.ground });
  quarter.area(frame.ring, undefined, { tags: { landuse: 'industrial' } });
  const mid = [...frame.at(0, 0.5), ...frame.at(1, 0.5)];
  quarter.line(mid, 7, 'asphalt', { layer: LAYER.road, tags: { highway: 'service', surface: 'asphalt' } });
  const halls = [[0.03, 0.06, 0.46, 0.43], [0.53, 0.06, 0.76, 0.43], [0.04, 0.58, 0.3, 0.94], [0.36, 0.58, 0.72, 0.94]]; // prettier-ignore
  for (const [k, [s0, t0, s1, t1]] of halls.entries()) {
    const hall = frame.part(s0, t0, s1, t1).inset(dice.between(2, 6));
    buildHall(quarter, hall, k === 1 && quarter.restless ? 2 : 0);
  }
  quarter.area(frame.part(0.8, 0.04, 0.98, 0.44).ring, 'meadowDry');
  buildParking(quarter, frame.part(0.76, 0.58, 0.98, 0.94), 0.65);
  for (let k = 0; k < 14; k++) buildLorry(quarter, frame, dice.chance(0.5) ? 1 : 2);
  for (let k = 0; k < 16; k++) quarter.tree(...frame.at(dice.next(), dice.pick([0.02, 0.98])), dice.between(1.5, 3), 0);
}

function buildHall(quarter: Quarter, hall: Frame, when: When): void {
  const { dice } = quarter;
  if (when === 2) {
    quarter.area(hall.inset(-2).ring, 'meadowDry', { layer: LAYER.yard, when: 1 });
    quarter.changed('built', hall.ring);
  }
  const ink = dice.pick(HALLS);
  const use = dice.chance(0.7) ? 'industrial' : 'warehouse';
  if (!quarter.building(hall.ring, dice.between(7, 11), 'flat', ink, { building: use }, { when })) return;
  const rows = Math.floor(hall.across / 11);
  const lit = dice.chance(0.6);
  for (let k = 0; k < rows; k++) {
    const roof = lit ? hall.part((k + 0.42) / rows, 0.1, (k + 0.58) / rows, 0.9) : undefined;
    if (roof) onRoof(quarter, roof.ring, 'skylight', when);
    else if (dice.chance(0.7))
      onRoof(quarter, quarter.rectangle(hall, (k + 0.5) / rows, dice.between(0.2, 0.8), 3, 2.2), 'steel', when);
  }
}

/** Something that lies on a flat roof: it leans with the roof and casts no shadow of its own. */
function onRoof(quarter: Quarter, ring: number[], ink: InkName, when: When): void {
  const thing = quarter.area(ring, ink, { layer: LAYER.roof, when });
  thing.height = 9;
}

function buildLorry(quarter: Quarter, frame: Frame, when: When): void {
  const { dice } = quarter;
  const [x, y] = frame.at(dice.between(0.05, 0.95), dice.pick([0.46, 0.54, 0.97]) + dice.between(-0.01, 0.01));
  if (!quarter.clear([x, y], 8)) return;
  const angle = frame.angle + dice.between(-0.1, 0.1);
  const trailer = rectangle(x, y, 11, 2.5, angle);
  quarter.area(trailer, dice.pick(['sheet', 'carBlue', 'carWhite', 'carSilver'] as const), { layer: LAYER.car, when });
  const cab = rectangle(x + Math.cos(angle) * 7, y + Math.sin(angle) * 7, 2.2, 2.4, angle);
  quarter.area(cab, dice.pick(['carWhite', 'carRed', 'carDark'] as const), { layer: LAYER.car, when });
}

/** Two large shops before one large car park; where restless, the second shop is new. */
export function buildShops(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'asphalt', { layer: LAYER.ground });
  quarter.area(frame.ring, undefined, { tags: { landuse: 'retail' } });
  const shop = (s0: number, s1: number, when: When): void => {
    const hall = frame.part(s0, 0.6, s1, 0.95);
    if (when) {
      quarter.area(hall.inset(-4).ring, 'soil', { layer: LAYER.yard, when: 1 });
      quarter.changed('built', hall.ring);
    }
    if (
      !quarter.building(
        hall.ring,
        8,
        'flat',
        dice.pick(['roofGravel', 'sheet', 'roofGrey'] as const),
        { building: 'retail', shop: 'supermarket' },
        { when },
      )
    )
      return;
    for (let k = 0; k < 9; k++)
      onRoof(quarter, quarter.rectangle(hall, dice.between(0.1, 0.9), dice.between(0.2, 0.8), 3.4, 2.4), 'steel', when);
  };
  shop(0.05, 0.58, 0);
  shop(0.66, 0.95, quarter.restless ? 2 : 0);
  buildParking(quarter, frame.part(0.03, 0.04, 0.62, 0.54), 0.6);
  buildParking(quarter, frame.part(0.64, 0.04, 0.97, 0.54), 0.4);
  for (let k = 0; k < 20; k++) quarter.tree(...frame.at(dice.next(), 0.015), dice.between(1.4, 2.4), 0);
}

/** Rows of modules on a meadow; where restless, a quarter of it was still a field at the first date. */
export function buildSolar(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'meadow', { layer: LAYER.ground });
  const plant = frame.inset(7);
  quarter.area(plant.ring, undefined, { tags: { power: 'plant', 'plant:source': 'solar', landuse: 'industrial' } });
  const east = Math.PI / 2; // rows run west to east: their stripes repeat northwards
  for (const [s0, s1] of [
    [0.02, 0.47],
    [0.53, 0.98],
  ]) {
    // prettier-ignore
    for (const [t0, t1] of [[0.03, 0.55], [0.61, 0.97]]) { // prettier-ignore
      const fresh = quarter.restless && s0 > 0.5 && t0 > 0.5;
      const ring = plant.part(s0, t0, s1, t1).ring;
      if (fresh) {
        quarter.area(ring, 'wheat', { when: 1 });
        quarter.changed('solar panels built', ring);
      }
      quarter.area(ring, 'solar', { layer: LAYER.yard, angle: east, when: fresh ? 2 : 0, tags: { power: 'generator', 'generator:source': 'solar' } });
    }
  }
  quarter.line([...plant.at(0.5, 0), ...plant.at(0.5, 1)], 4, 'gravel', {
    layer: LAYER.road,
    tags: { highway: 'service' },
  });
  quarter.building(quarter.rectangle(plant, 0.535, 0.5, 7, 3.4), 3, 'flat', 'sheet', {
    building: 'service',
    power: 'substation',
  });
  for (let k = 0; k < 40; k++) quarter.tree(...frame.at(dice.next(), dice.pick([0.008, 0.992])), dice.between(1, 2), 7);
}
