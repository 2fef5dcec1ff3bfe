import { Frame } from './frame.ts';
import type { InkName } from './inks.ts';
import type { Quarter } from './quarter.ts';
import { LAYER, type When } from './thing.ts';
import { along, beside } from './ways.ts';

/** A car park: asphalt, rows of bays, cars that differ by date. `full`: share of bays in use. */
export function buildParking(quarter: Quarter, frame: Frame, full: number, when: When = 0): void {
  const { dice } = quarter;
  quarter.area(frame.ring, dice.chance(0.5) ? 'carpark' : 'asphalt', {
    layer: LAYER.yard,
    when,
    tags: { amenity: 'parking', surface: 'asphalt' },
  });
  const rows = Math.max(1, Math.floor(frame.up / 16));
  const bays = Math.floor((frame.across - 4) / 2.6);
  for (let row = 0; row < rows; row++) {
    for (const side of [-1, 1]) {
      const t = (row + 0.5 + side * 0.33) / rows;
      const half = (2.4 / frame.up) * 1;
      for (let bay = 0; bay <= bays; bay++) {
        const s = (bay * 2.6 + 2) / frame.across;
        quarter.line([...frame.at(s, t - half), ...frame.at(s, t + half)], 0.16, 'paint', { when });
        for (const date of [1, 2] as const) {
          if (bay < bays && (when === 0 || when === date) && dice.chance(full))
            quarter.car(...frame.at(s + 1.3 / frame.across, t), frame.angle + (side * Math.PI) / 2, date);
        }
      }
    }
  }
}

/** A school about a courtyard, with its pitch, yard and trees. */
export function buildSchool(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'park', { layer: LAYER.ground });
  quarter.area(frame.inset(1).ring, undefined, { tags: { amenity: 'school', name: 'Scuola Primaria' } });
  const house = new Frame(quarter.rectangle(frame, 0.3, 0.62, 62, 56));
  quarter.area(new Frame(quarter.rectangle(frame, 0.3, 0.62, 92, 84)).ring, 'concrete', { layer: LAYER.yard });
  quarter.building(house.ring, 9, 'flat', 'roofGravel', { building: 'school' }, { holes: [house.inset(17).ring] });
  quarter.building(quarter.rectangle(frame, 0.74, 0.82, 34, 22), 9, 'flat', 'sheetGrey', { building: 'school' });
  buildPitch(quarter, new Frame(quarter.rectangle(frame, 0.74, 0.38, 50, 80)), 'pitch', 'soccer');
  buildParking(quarter, frame.part(0.08, 0.06, 0.5, 0.16), 0.6);
  for (const [x, y] of along(beside([...frame.at(0, 0.99), ...frame.at(1, 0.99)], 0), 9))
    quarter.tree(x, y, dice.between(1.8, 3.2), 0);
  for (let k = 0; k < 26; k++)
    quarter.tree(...frame.at(dice.between(0.02, 0.55), dice.between(0.19, 0.3)), dice.between(1.5, 3), 0);
}

/** A marked sports ground. */
export function buildPitch(quarter: Quarter, frame: Frame, ink: InkName, sport: string): void {
  const long = frame.up > frame.across;
  quarter.area(frame.inset(-3).ring, ink === 'pitch' ? 'pitch' : 'concrete', {
    layer: LAYER.yard,
    angle: frame.angle + (long ? Math.PI / 2 : 0),
    tone: 0.5,
  });
  const thing = quarter.area(frame.ring, ink, {
    layer: LAYER.yard,
    angle: frame.angle + (long ? Math.PI / 2 : 0),
    tone: 0.5,
    tags: { leisure: 'pitch', sport },
  });
  thing.tone = 0.5;
  const mark = (...points: [number, number][]): void => {
    quarter.line(
      points.flatMap(([s, t]) => (long ? frame.at(t, s) : frame.at(s, t))),
      0.3,
      'paint',
    );
  };
  mark([0, 0], [1, 0], [1, 1], [0, 1], [0, 0]);
  mark([0.5, 0], [0.5, 1]);
  if (sport === 'tennis') {
    for (const t of [0.13, 0.87]) mark([0, t], [1, t]);
    for (const s of [0.23, 0.77]) mark([s, 0.13], [s, 0.87]);
    mark([0.23, 0.5], [0.77, 0.5]);
    return;
  }
  mark([0, 0.22], [0.16, 0.22], [0.16, 0.78], [0, 0.78]);
  mark([1, 0.22], [0.84, 0.22], [0.84, 0.78], [1, 0.78]);
  const [cx, cy] = frame.at(0.5, 0.5);
  const radius = Math.min(frame.across, frame.up) * 0.13;
  quarter.line(
    Array.from({ length: 21 }, (_, k) => [
      cx + radius * Math.cos((k * Math.PI) / 10),
      cy + radius * Math.sin((k * Math.PI) / 10),
    ]).flat(),
    0.3,
    'paint',
  );
}

/** Football and tennis among trees, with a clubhouse and its car park. */
export function buildSports(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'park', { layer: LAYER.ground });
  quarter.area(frame.inset(1).ring, undefined, { tags: { leisure: 'park', name: 'Parco dello Sport' } });
  buildPitch(quarter, new Frame(quarter.rectangle(frame, 0.28, 0.62, 66, 104)), 'pitch', 'soccer');
  for (const [k, t] of [0.9, 0.77, 0.64, 0.51].entries()) {
    for (const s of [0.63, 0.84])
      buildPitch(
        quarter,
        new Frame(quarter.rectangle(frame, s, t, 23.8, 11)),
        (k + (s > 0.7 ? 1 : 0)) % 3 ? 'clay' : 'court',
        'tennis',
      );
  }
  quarter.building(quarter.rectangle(frame, 0.72, 0.38, 30, 12), 4.5, 'hip', 'tiles', {
    building: 'yes',
    leisure: 'sports_hall',
  });
  const lot = frame.part(0.06, 0.04, 0.42, 0.24);
  if (quarter.restless) {
    quarter.area(lot.ring, 'meadowDry', { when: 1 });
    quarter.changed('car park built', lot.ring);
    buildParking(quarter, lot, 0.5, 2);
  } else buildParking(quarter, lot.part(0, 0, 1, 0.66), 0.5);
  for (let k = 0; k < 70; k++)
    quarter.tree(
      ...frame.at(dice.between(0.6, 0.98), dice.between(0.04, 0.3)),
      dice.between(1.8, 4),
      dice.pick([0, 0, 2]),
    );
  for (let k = 0; k < 5; k++) quarter.point(...frame.at(0.65 + k * 0.06, 0.2), { amenity: 'bench' });
}

/** Rows of graves between gravel ways, cypresses along the wall, a chapel. */
export function buildCemetery(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'park', { layer: LAYER.ground });
  const yard = frame.inset(14);
  quarter.area(yard.ring, 'gravel', { tags: { landuse: 'cemetery', name: 'Cimitero' } });
  for (const [s0, s1] of [
    [0.02, 0.24],
    [0.27, 0.48],
    [0.52, 0.73],
    [0.76, 0.98],
  ]) {
    // prettier-ignore
    for (const [t0, t1] of [[0.02, 0.3], [0.33, 0.62], [0.65, 0.84]]) quarter.area(yard.part(s0, t0, s1, t1).ring, 'graves', { layer: LAYER.yard }); // prettier-ignore
  }
  quarter.building(quarter.rectangle(yard, 0.5, 0.93, 20, 12), 8, 'gable', 'tilesOld', { building: 'chapel' });
  const r = yard.ring;
  const walls = [r.slice(0, 4), r.slice(2, 6), r.slice(4, 8), [...r.slice(6, 8), ...r.slice(0, 2)]];
  for (const wall of walls) {
    quarter.line(wall, 1, 'wall');
    for (const [x, y] of along(beside(wall, 2.5), 5.5)) quarter.tree(x, y, dice.between(0.8, 1.3), 3);
  }
  for (let k = 0; k < 60; k++) {
    const [s, t] = [dice.next(), dice.next()];
    if (Math.min(s, t, 1 - s, 1 - t) < 0.05) quarter.tree(...frame.at(s, t), dice.between(1.6, 3), 0);
  }
}
