import { Frame } from './frame.ts';
import type { InkName } from './inks.ts';
import type { Quarter } from './quarter.ts';
import { LAYER, blob, inside, type Ring, type When } from './thing.ts';

const CROPS: readonly InkName[] = ['wheat', 'wheat', 'maize', 'alfalfa', 'beet', 'ploughed'];
const CROP_TAGS: Partial<Record<InkName, string>> = {
  wheat: 'wheat',
  maize: 'maize',
  alfalfa: 'alfalfa',
  beet: 'sugar_beet',
};

/** Two to four strips of crops with tramlines and ditches; where restless, a pond is dug in one. */
export function buildFields(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'verge', { layer: LAYER.ground });
  const strips = Math.floor(dice.between(2, 4.4));
  const upright = dice.chance(0.5);
  for (let k = 0; k < strips; k++) {
    const strip = upright
      ? frame.part(k / strips, 0, (k + 1) / strips, 1)
      : frame.part(0, k / strips, 1, (k + 1) / strips);
    buildField(quarter, strip.inset(1.2), upright);
  }
  if (quarter.restless) digPond(quarter, frame.at(0.5, 0.55), 24);
}

function buildField(quarter: Quarter, field: Frame, upright: boolean): void {
  const { dice } = quarter;
  const ink = dice.pick(CROPS);
  const crop = CROP_TAGS[ink];
  const rows = field.angle + (upright ? 0 : Math.PI / 2); // stripes repeat across the rows
  quarter.area(field.ring, ink, {
    angle: rows,
    tags: { landuse: 'farmland', ...(crop && dice.chance(0.5) && { crop }) },
  });
  quarter.line(field.ring.slice(0, 4), 1.2, 'ditch', { layer: LAYER.field });
  const lines = ink === 'alfalfa' ? 0 : Math.floor((upright ? field.across : field.up) / 21);
  for (let k = 0; k < lines; k++) {
    const f = (k + 0.5) / lines;
    for (const off of [-0.9, 0.9]) {
      const g = f + off / (upright ? field.across : field.up);
      const line = upright
        ? [...field.at(g, 0.02), ...field.at(g, 0.98)]
        : [...field.at(0.02, g), ...field.at(0.98, g)];
      quarter.line(line, 0.32, 'tram', { layer: LAYER.field });
    }
  }
}

/** A pond that is there at the second date only. */
function digPond(quarter: Quarter, [x, y]: [number, number], radius: number): void {
  const ring = blob(x, y, radius, quarter.dice.next());
  if (!quarter.clear(ring, 3)) return;
  quarter.changed('pond dug', ring);
  quarter.area(blob(x, y, radius * 1.16, 0.4), 'soil', { layer: LAYER.bank, when: 2 });
  quarter.area(ring, 'pond', { layer: LAYER.water, when: 2, tags: { natural: 'water', water: 'pond' } });
}

/** Vines in rows, a track through the middle. */
export function buildVineyard(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'verge', { layer: LAYER.ground });
  const turn = dice.between(-0.5, 0.5);
  for (const part of [frame.part(0, 0, 0.49, 1), frame.part(0.51, 0, 1, 1)]) {
    quarter.area(part.inset(2).ring, 'vineyard', { angle: frame.angle + turn, tags: { landuse: 'vineyard' } });
  }
  quarter.line([...frame.at(0.5, 0), ...frame.at(0.5, 1)], 3, 'track', {
    layer: LAYER.road,
    tags: { highway: 'track' },
  });
  if (dice.chance(0.6))
    quarter.building(quarter.rectangle(frame, 0.54, 0.5, 12, 8), 6, 'gable', 'tilesOld', {
      building: 'farm_auxiliary',
    });
}

/** Fruit trees on a grid. Where restless, a third of them is felled. */
export function buildOrchard(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'verge', { layer: LAYER.ground });
  const yard = frame.inset(3);
  quarter.area(yard.ring, 'orchardFloor', {
    tags: { landuse: 'orchard', trees: 'peach_trees' },
    angle: frame.angle + Math.PI / 2,
  });
  const kind = dice.chance(0.7) ? 4 : 5;
  const [columns, rows] = [Math.floor(yard.across / 4), Math.floor(yard.up / 5)];
  if (quarter.restless) fell(quarter, yard.part(0.02, 0.02, 0.35, 0.98).ring);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const s = (column + 0.5 + dice.between(-0.07, 0.07)) / columns;
      const when = quarter.restless && s < 0.35 ? 1 : 0;
      if (dice.chance(0.96)) quarter.tree(...yard.at(s, (row + 0.5) / rows), dice.between(1.2, 1.85), kind, when);
    }
  }
}

function fell(quarter: Quarter, ring: Ring): void {
  quarter.area(ring, 'felled', { when: 2, layer: LAYER.field });
  quarter.changed('trees felled', ring);
}

/** A wood with a clearing (a multipolygon); where restless, one corner is felled between the dates. */
export function buildWood(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, 'verge', { layer: LAYER.ground });
  const wood = frame.inset(5);
  const glade = blob(
    ...frame.at(dice.between(0.35, 0.65), dice.between(0.35, 0.65)),
    dice.between(16, 26),
    dice.next(),
  );
  const tags = dice.chance(0.5)
    ? { landuse: 'forest', type: 'multipolygon' }
    : { natural: 'wood', type: 'multipolygon' };
  quarter.area(wood.ring, 'woodFloor', { holes: [glade], tags });
  quarter.area(glade, 'meadow', { tags: { natural: 'grassland' } });
  if (quarter.restless) fell(quarter, wood.part(0.56, 0.04, 0.97, 0.42).ring);
  plantWood(quarter, wood, glade, dice.pick([1, 1, 2, 0]));
}

/** Crowns on a jittered grid of 4 m, north to south, so that nearer ones stand before farther. */
function plantWood(quarter: Quarter, wood: Frame, glade: Ring, kind: number): void {
  const { dice } = quarter;
  const [columns, rows] = [Math.floor(wood.across / 4.2), Math.floor(wood.up / 4.2)];
  for (let row = rows - 1; row >= 0; row--) {
    for (let column = 0; column < columns; column++) {
      const [s, t] = [(column + dice.next()) / columns, (row + dice.next()) / rows];
      const [x, y] = wood.at(s, t);
      const radius = dice.between(1.6, 3.5);
      const other = dice.chance(0.14) ? 0 : kind;
      if (inside(x, y, glade)) continue;
      quarter.tree(x, y, radius, other, quarter.restless && s > 0.56 && t < 0.42 && s < 0.97 && t > 0.04 ? 1 : 0);
    }
  }
}

/** Meadow with scattered trees and a pond; where restless, a car park takes a corner. */
export function buildMeadow(quarter: Quarter): void {
  const { frame, dice } = quarter;
  quarter.area(frame.ring, dice.chance(0.6) ? 'meadow' : 'meadowDry', { layer: LAYER.ground });
  quarter.area(frame.inset(1).ring, undefined, { tags: { landuse: 'meadow' } });
  const ring = blob(...frame.at(dice.between(0.3, 0.7), dice.between(0.3, 0.7)), dice.between(14, 30), dice.next());
  if (quarter.clear(ring, 8)) {
    quarter.area(ring, 'pond', { layer: LAYER.water, tags: { natural: 'water', water: 'pond' } });
    for (let k = 0; k < 14; k++) quarter.tree(...jittered(quarter, ring, k), dice.between(1.4, 3.4), 6);
  }
  if (quarter.restless) digPond(quarter, frame.at(0.2, 0.2), 20);
  for (let k = 0; k < 46; k++) {
    const [x, y] = frame.at(dice.next(), dice.next());
    if (!inside(x, y, ring)) quarter.tree(x, y, dice.between(1.2, 4.4), dice.pick([0, 0, 1, 7]));
  }
}

function jittered({ dice }: Quarter, ring: Ring, k: number): [number, number] {
  const at = (2 * k) % ring.length;
  return [ring[at] + dice.between(-3, 3), ring[at + 1] + dice.between(-3, 3)];
}

/** Farm buildings about a yard, greenhouses, and fields around. */
export function buildFarm(quarter: Quarter): void {
  const { frame, dice } = quarter;
  buildFields(quarter);
  const yard = new Frame(quarter.rectangle(frame, 0.5, 0.5, 96, 70));
  quarter.area(yard.ring, 'gravel', { layer: LAYER.yard, tags: { landuse: 'farmyard' } });
  quarter.line([...frame.at(0.5, 0), ...frame.at(0.5, 0.4)], 3.2, 'track', {
    layer: LAYER.road,
    tags: { highway: 'service' },
  });
  const barn = (
    s: number,
    t: number,
    length: number,
    depth: number,
    ink: InkName,
    building: string,
    when: When = 0,
  ): boolean =>
    quarter.building(
      quarter.rectangle(yard, s, t, length, depth),
      dice.between(5, 7),
      'gable',
      ink,
      { building },
      { when },
    );
  barn(0.24, 0.78, 24, 12, 'tilesOld', 'farm');
  barn(0.72, 0.78, 34, 14, 'asbestos', 'barn');
  barn(0.76, 0.3, 30, 13, 'sheetGrey', 'farm_auxiliary');
  quarter.area(yard.part(0.04, 0.08, 0.46, 0.42).ring, 'greenhouse', {
    layer: LAYER.yard,
    tags: { building: 'greenhouse' },
  });
  for (let k = 0; k < 16; k++)
    quarter.tree(
      ...yard.at(dice.between(-0.1, 1.1), dice.pick([-0.06, 1.06])),
      dice.between(1.6, 3.6),
      dice.pick([0, 3, 6]),
    );
}
