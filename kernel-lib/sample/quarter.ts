import { Frame } from './frame.ts';
import type { InkName } from './inks.ts';
import { Dice, hash } from './noise.ts';
import { isMain, isOpen, quarterRing, toRail, toRiver, useOf } from './plan.ts';
import {
  LAYER,
  band,
  boxOf,
  centreOf,
  rectangle,
  type Change,
  type Crowns,
  type Ring,
  type Thing,
  type When,
} from './thing.ts';

type Tags = Record<string, string>;

/** What a builder may say of an area beyond its ring and ink. */
export interface AreaOptions {
  layer?: number;
  holes?: Ring[];
  tags?: Tags | undefined;
  when?: When;
  /** Direction of rows, radians. Default: of the quarter. */
  angle?: number;
  tone?: number;
}

/** Share of buildings and the like that nobody has mapped, and of outlines that lie off by 1–3 m. */
const UNMAPPED = 0.04;
const SHIFTED = 0.06;

/**
 * One quarter of the lattice while it is being built: its ground, its chances, and what has been put on it so far.
 *
 * What would stand in the river or on the railway is left out; areas of ground reach under them.
 */
export class Quarter {
  readonly seed: number;
  readonly i: number;
  readonly j: number;
  /** The plan's letter, in lower case. */
  readonly use: string;
  /** Whether something changes here between the dates. */
  readonly restless: boolean;
  readonly dice: Dice;
  /** From road middle to road middle. */
  readonly whole: Frame;
  /** What the roads leave. */
  readonly frame: Frame;
  readonly things: Thing[] = [];
  readonly crowns: Crowns[] = ([0, 1, 2] as const).map((when) => ({ when, values: [] }));
  readonly changes: Change[] = [];

  constructor(seed: number, i: number, j: number) {
    const letter = useOf(seed, i, j);
    this.seed = seed;
    this.i = i;
    this.j = j;
    this.use = letter.toLowerCase();
    this.restless = letter !== this.use;
    this.dice = new Dice(hash(seed, 20, i, j));
    const turns = (hash(seed, 21, i, j) >>> 9) % 4; // so that not every street runs the same way
    const sides = rotated(roadSides(seed, i, j), turns);
    this.whole = new Frame(rotated(quarterRing(seed, i, j), 2 * turns));
    this.frame = this.whole.inset(sides[0], sides[1], sides[2], sides[3]);
  }

  /** An area of ground. Returned, so that a builder may alter it. */
  area(
    ring: Ring,
    ink: InkName | undefined,
    {
      layer = LAYER.field,
      holes = [],
      tags,
      when = 0,
      angle = this.frame.angle,
      tone = this.dice.next(),
    }: AreaOptions = {},
  ): Thing {
    const rings = [ring, ...holes];
    const thing: Thing = {
      form: 'area',
      rings,
      layer,
      tone,
      angle,
      height: 0,
      width: 0,
      when,
      box: boxOf(rings),
      ...(ink && { ink }),
      ...(tags && { tags }),
    };
    this.things.push(thing);
    return thing;
  }

  /** A strip along a line: a drive, a mark, a hedge. Painted only, unless it has tags. */
  line(
    line: Ring,
    width: number,
    ink: InkName | undefined,
    { layer = LAYER.mark, tags, when = 0, tone = 0.5 }: AreaOptions = {},
  ): Thing {
    const box = boxOf([line], width / 2);
    const thing: Thing = {
      form: 'line',
      rings: [line],
      layer,
      tone,
      angle: 0,
      height: 0,
      width,
      when,
      box,
      ...(ink && { ink }),
      ...(tags && { tags }),
    };
    this.things.push(thing);
    return thing;
  }

  /** A road: its kerb where it has one, its surface, and its tags. */
  road(line: Ring, width: number, ink: InkName, kerb: number, tags?: Tags): void {
    const kerbed = line.length === 4 ? band(line, width + 2 * kerb) : line;
    if (kerb > 0) this.area(kerbed, 'kerb', { layer: LAYER.kerb, tone: 0.5 });
    this.line(line, width, ink, { layer: LAYER.road, tags, tone: this.dice.next() });
  }

  /** A building, unless it would stand in the river or on the rails. @returns whether it stands */
  building(
    ring: Ring,
    height: number,
    roof: NonNullable<Thing['roof']>,
    ink: InkName,
    tags: Tags | undefined,
    { holes = [], when = 0 }: AreaOptions = {},
  ): boolean {
    const { dice } = this;
    const tone = dice.next();
    const chances = [dice.next(), dice.next(), dice.next() * 2 * Math.PI, dice.between(1, 3)];
    if (!this.clear(ring, 6)) return false;
    const angle = Math.atan2(ring[3] - ring[1], ring[2] - ring[0]);
    const mapped = when !== 0 || chances[0] > UNMAPPED;
    const thing = this.area(ring, ink, {
      layer: LAYER.building,
      holes,
      when,
      angle,
      tone,
      tags: mapped ? tags : undefined,
    });
    thing.height = height;
    thing.roof = roof;
    if (when === 0 && chances[1] < SHIFTED)
      thing.nudge = [chances[3] * Math.cos(chances[2]), chances[3] * Math.sin(chances[2])];
    return true;
  }

  /** A crown, unless it would stand in water or on the rails. Kinds are those of `CROWNS`. */
  tree(x: number, y: number, radius: number, kind: number, when: When = 0): void {
    if (toRiver(this.seed, x, y) < 1 || toRail(this.seed, x, y) < 7) return;
    this.crowns[when].values.push(x, y, radius, this.dice.next(), kind);
  }

  point(x: number, y: number, tags: Tags): void {
    this.things.push({
      form: 'point',
      rings: [[x, y]],
      layer: LAYER.mark,
      tone: 0,
      angle: 0,
      height: 0,
      width: 0,
      when: 0,
      tags,
      box: [x, y, x, y],
    });
  }

  /** A parked or driving car: at most dates another one. */
  car(x: number, y: number, angle: number, when: When): void {
    if (!this.clear([x, y], 3)) return;
    const ink = this.dice.pick([
      'carWhite',
      'carWhite',
      'carSilver',
      'carSilver',
      'carDark',
      'carDark',
      'carRed',
      'carBlue',
    ] as const);
    const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
    const length = this.dice.between(3.6, 4.7);
    this.line([x - (dx * length) / 2, y - (dy * length) / 2, x + (dx * length) / 2, y + (dy * length) / 2], 1.8, ink, {
      layer: LAYER.car,
      when,
      tone: this.dice.next(),
    });
    this.line([x + dx * 0.7, y + dy * 0.7, x + dx * 1.3, y + dy * 1.3], 1.5, 'glass', { layer: LAYER.car, when });
  }

  /** Says that this ground is another at the second date. */
  changed(kind: string, ring: Ring): void {
    this.changes.push({ kind, ring });
  }

  /** Whether a ring keeps so many metres from the river's banks and the railway. */
  clear(ring: Ring, metres: number): boolean {
    const [x, y] = centreOf(ring);
    const reach = Math.hypot(ring[0] - x, ring[1] - y);
    return toRiver(this.seed, x, y) > metres + reach && toRail(this.seed, x, y) > metres + reach + 4;
  }

  rectangle(frame: Frame, s: number, t: number, length: number, depth: number, turn = 0): Ring {
    return rectangle(...frame.at(s, t), length, depth, frame.angle + turn);
  }
}

function rotated(list: number[], by: number): number[] {
  return [...list.slice(by), ...list.slice(0, by)];
}

/** How much of each side (west, south, east, north) the road there takes, from its middle: road, kerb and verge. */
function roadSides(seed: number, i: number, j: number): number[] {
  const here = useOf(seed, i, j);
  const side = (line: number, neighbour: string): number => roadHalf(line, here, neighbour);
  return [
    side(i, useOf(seed, i - 1, j)),
    side(j, useOf(seed, i, j - 1)),
    side(i + 1, useOf(seed, i + 1, j)),
    side(j + 1, useOf(seed, i, j + 1)),
  ];
}

function roadHalf(line: number, here: string, neighbour: string): number {
  if (isMain(line)) return 8.5;
  return isOpen(here) && isOpen(neighbour) ? 3.4 : 5.6;
}
