import { buildParking } from './civic.ts';
import type { Frame } from './frame.ts';
import type { InkName } from './inks.ts';
import type { Quarter } from './quarter.ts';
import { LAYER, centreOf, rectangle, type Ring, type When } from './thing.ts';
import { beside, traffic } from './ways.ts';

const ROOFS: readonly InkName[] = ['tiles', 'tiles', 'tiles', 'tilesOld', 'tilesOld', 'slate', 'roofGrey'];

/** Detached houses on rows of plots, two inner streets, gardens; where restless, plots built on or cleared. */
export function buildHouses(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'lawn', { layer: LAYER.ground });
  quarter.area(frame.ring, undefined, { tags: { landuse: 'residential' } });
  const streets = [1 / 3, 2 / 3];
  for (const t of streets) {
    const line = [...quarter.whole.at(0, t), ...quarter.whole.at(1, t)];
    quarter.road(line, 5.4, 'asphalt', 1.3, { highway: 'residential', surface: 'asphalt' });
    traffic(quarter, beside(line, 1.6), 0.2, 0.16);
  }
  const gap = 4.4 / frame.up;
  const rows = [[0, 1 / 6], [1 / 6, 1 / 3 - gap], [1 / 3 + gap, 1 / 2], [1 / 2, 2 / 3 - gap], [2 / 3 + gap, 5 / 6], [5 / 6, 1]]; // prettier-ignore
  const count = Math.round(frame.across / dice.between(18, 24));
  const fates = quarter.restless ? plotFates(quarter, rows.length * count) : [];
  for (const [r, [low, high]] of rows.entries()) {
    for (let k = 0; k < count; k++)
      buildPlot(quarter, frame.part(k / count, low, (k + 1) / count, high), r % 2 === 0, fates[r * count + k] ?? 0);
  }
}

/** Three neighbouring plots are built on and one house is taken down. */
function plotFates({ dice }: Quarter, plots: number): When[] {
  const fates: When[] = [];
  const first = Math.floor(dice.between(0.15, 0.55) * plots);
  for (let k = first; k < first + 3; k++) fates[k] = 2;
  fates[Math.floor(dice.between(0.65, 0.9) * plots)] = 1;
  return fates;
}

/** One plot: a house by the street, drive, garden with trees, now and then a pool. `southern`: its street lies south. */
function buildPlot(quarter: Quarter, plot: Frame, southern: boolean, when: When): void {
  const { dice } = quarter;
  if (when === 0 && dice.chance(0.04)) return emptyPlot(quarter, plot);
  const front = southern ? 0.36 : 0.64;
  const length = Math.min(plot.across - 5, dice.between(10, 15));
  const ring = quarter.rectangle(
    plot,
    dice.between(0.44, 0.56),
    front,
    length,
    dice.between(8, 11.5),
    dice.chance(0.15) ? 0.2 : 0,
  );
  const garden = dice.pick(['lawn', 'garden', 'lawn', 'meadowDry'] as const);
  quarter.area(plot.inset(0.5).ring, garden);
  if (when !== 0) clearedPlot(quarter, plot, ring, when);
  const roof = dice.pick(['gable', 'gable', 'hip', 'hip', 'flat'] as const);
  const ink = roof === 'flat' ? 'roofGravel' : dice.pick(ROOFS);
  const stands = quarter.building(
    ring,
    dice.between(5.5, 8.5),
    roof,
    ink,
    { building: dice.chance(0.8) ? 'house' : 'yes' },
    { when },
  );
  if (stands && roof !== 'flat' && dice.chance(0.12)) roofPanels(quarter, ring);
  const [sx, edge] = [dice.chance(0.5) ? 0.08 : 0.92, southern ? 0.02 : 0.98];
  quarter.line(
    [...plot.at(sx, edge), ...plot.at(sx, front)],
    3,
    dice.pick(['gravel', 'concrete', 'terrace'] as const),
    { layer: LAYER.yard },
  );
  if (dice.chance(0.5))
    quarter.car(...plot.at(sx, southern ? 0.16 : 0.84), plot.angle + Math.PI / 2, dice.chance(0.5) ? 1 : 2);
  buildGarden(quarter, plot, southern);
}

function emptyPlot(quarter: Quarter, plot: Frame): void {
  quarter.area(plot.inset(0.5).ring, 'meadowDry');
  for (let k = 0; k < 3; k++) quarter.tree(...plot.at(quarter.dice.next(), quarter.dice.next()), 1.8, 7);
}

/** The ground of a plot at the date when its house does not stand. */
function clearedPlot(quarter: Quarter, plot: Frame, house: Ring, when: When): void {
  if (!quarter.clear(house, 6)) return;
  quarter.area(plot.inset(0.6).ring, when === 2 ? 'meadowDry' : 'rubble', { when: when === 2 ? 1 : 2 });
  quarter.changed(when === 2 ? 'built' : 'demolished', house);
}

/** Modules on one face of a roof: a strip beside the ridge. */
function roofPanels(quarter: Quarter, ring: Ring): void {
  const [x, y] = centreOf(ring);
  const angle = Math.atan2(ring[3] - ring[1], ring[2] - ring[0]);
  const south = Math.cos(angle) > 0 ? -1 : 1;
  const panel = rectangle(x - Math.sin(angle) * 2 * south * -1, y + Math.cos(angle) * 2 * south, 5, 2.4, angle);
  const thing = quarter.area(panel, 'panel', { layer: LAYER.roof, angle });
  thing.height = 7;
}

function buildGarden(quarter: Quarter, plot: Frame, southern: boolean): void {
  const { dice } = quarter;
  const back = southern ? 0.8 : 0.2;
  if (dice.chance(0.09)) {
    const pool = quarter.rectangle(plot, dice.between(0.3, 0.7), back, 8, 4, dice.between(-0.2, 0.2));
    const [x, y] = centreOf(pool);
    quarter.area(rectangle(x, y, 10.5, 6.5, plot.angle), 'terrace', { layer: LAYER.yard });
    quarter.area(pool, 'pool', {
      layer: LAYER.yard,
      tags: dice.chance(0.6) ? { leisure: 'swimming_pool' } : undefined,
    });
  } else if (dice.chance(0.3)) {
    quarter.building(
      quarter.rectangle(plot, dice.pick([0.15, 0.85]), back, 4.5, 3.4),
      2.6,
      'flat',
      dice.pick(['asbestos', 'sheetGrey', 'roofGrey'] as const),
      { building: 'shed' },
    );
  }
  const trees = Math.floor(dice.between(1, 6));
  for (let k = 0; k < trees; k++)
    quarter.tree(
      ...plot.at(dice.next(), back + dice.between(-0.16, 0.16)),
      dice.between(1, 3.4),
      dice.pick([0, 0, 4, 5, 7, 2]),
    );
  if (dice.chance(0.6)) quarter.line([...plot.at(0, 0.05), ...plot.at(0, 0.95)], 0.9, 'hedge');
  if (dice.chance(0.5)) quarter.line([...plot.at(0, southern ? 1 : 0), ...plot.at(1, southern ? 1 : 0)], 0.9, 'hedge');
}

/** Blocks of flats among lawns and parked cars; where restless, a new block. */
export function buildFlats(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'park', { layer: LAYER.ground });
  quarter.area(frame.ring, undefined, { tags: { landuse: 'residential' } });
  for (const [t, turn] of [
    [0.17, 0],
    [0.5, 0],
    [0.83, 0],
  ]) {
    // prettier-ignore
    for (const s of [0.2, 0.5, 0.8]) {
      const when = quarter.restless && t === 0.5 && s === 0.5 ? 2 : 0;
      const ring = quarter.rectangle(frame, s, t, dice.between(38, 50), dice.between(12, 15), turn);
      if (when === 2) {
        quarter.area(quarter.rectangle(frame, s, t, 60, 30), 'soil', { when: 1 });
        quarter.changed('built', ring);
      }
      quarter.building(ring, dice.between(12, 20), dice.chance(0.5) ? 'flat' : 'hip', dice.pick(['roofGravel', 'tiles', 'roofGrey'] as const), { building: 'apartments', 'building:levels': '5' }, { when });
    }
    if (t < 0.8) buildParking(quarter, frame.part(0.06, t + 0.1, 0.94, t + 0.2), 0.75);
  }
  for (let k = 0; k < 90; k++) {
    const t = dice.pick([0.02, 0.09, 0.25, 0.42, 0.58, 0.74, 0.92, 0.98]) + dice.between(-0.02, 0.02);
    if (t > 0.26 && t < 0.37) continue;
    quarter.tree(...frame.at(dice.next(), t), dice.between(1.6, 3.6), dice.pick([0, 0, 2]));
  }
  for (const s of [0.3, 0.62]) quarter.point(...frame.at(s, 0.05), { amenity: 'bench' });
}

/** Old town: closed blocks about courtyards, narrow lanes. */
export function buildOldTown(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'terrace', { layer: LAYER.ground });
  quarter.area(frame.ring, undefined, { tags: { landuse: 'residential' } });
  const cuts = [0, 0.26, 0.5, 0.77, 1];
  for (const cut of cuts.slice(1, -1)) {
    quarter.line([...frame.at(cut, 0), ...frame.at(cut, 1)], 4.4, 'asphalt', {
      layer: LAYER.road,
      tags: { highway: 'living_street' },
    });
    quarter.line([...frame.at(0, cut), ...frame.at(1, cut)], 4.4, 'asphalt', {
      layer: LAYER.road,
      tags: { highway: 'living_street' },
    });
  }
  for (let a = 0; a < 4; a++) {
    for (let b = 0; b < 4; b++) {
      const block = frame.part(cuts[a], cuts[b], cuts[a + 1], cuts[b + 1]).inset(4);
      if (a === 2 && b === 1) buildSquare(quarter, block);
      else if (dice.chance(0.55)) courtBlock(quarter, block);
      else rowBlock(quarter, block);
    }
  }
}

function courtBlock(quarter: Quarter, block: Frame): void {
  const { dice } = quarter;
  const court = block.inset(dice.between(10, 13));
  quarter.area(court.ring, dice.pick(['terrace', 'garden', 'lawn'] as const), { layer: LAYER.yard });
  quarter.building(
    block.ring,
    dice.between(9, 13),
    'court',
    dice.pick(['tiles', 'tilesOld', 'tilesOld'] as const),
    { building: 'residential', 'building:levels': '3' },
    { holes: [court.ring] },
  );
  if (dice.chance(0.7)) quarter.tree(...court.at(0.5, 0.5), dice.between(1.6, 3), 0);
}

/** Houses wall to wall in two rows. */
function rowBlock(quarter: Quarter, block: Frame): void {
  const { dice } = quarter;
  for (const [low, high] of [
    [0, 0.27],
    [0.73, 1],
  ]) {
    // prettier-ignore
    for (let s = 0; s < 0.98; ) {
      const end = Math.min(1, s + dice.between(9, 15) / block.across);
      const house = block.part(s, low, end > 0.9 ? 1 : end, high);
      quarter.building(house.ring, dice.between(8, 12), 'gable', dice.pick(ROOFS), { building: dice.chance(0.6) ? 'residential' : 'yes' });
      s = end > 0.9 ? 1 : end;
    }
  }
  quarter.area(block.part(0.02, 0.29, 0.98, 0.71).ring, 'garden', { layer: LAYER.yard });
  for (let k = 0; k < 9; k++)
    quarter.tree(...block.at(dice.next(), dice.between(0.34, 0.66)), dice.between(1.2, 2.6), 0);
}

function buildSquare(quarter: Quarter, block: Frame): void {
  quarter.area(block.ring, 'concrete', {
    layer: LAYER.yard,
    tags: { highway: 'pedestrian', area: 'yes', name: 'Piazza del Seme' },
  });
  quarter.building(quarter.rectangle(block, 0.3, 0.5, 30, 14), 14, 'gable', 'tiles', {
    building: 'church',
    amenity: 'place_of_worship',
  });
  for (const s of [0.6, 0.72, 0.84]) {
    for (const t of [0.2, 0.5, 0.8]) quarter.tree(...block.at(s, t), 2.1, 0);
    quarter.point(...block.at(s, 0.35), { amenity: 'bench' });
  }
}
