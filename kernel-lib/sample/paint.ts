import { Canvas, RESOLUTION } from './canvas.ts';
import { type Stamps, paintCrowns, shadeCrowns, stampsFor } from './crown.ts';
import { type Acquisition, type Light, expose, lightOf } from './light.ts';
import { grainTable, mottleTable } from './noise.ts';
import { castShadow, paintBuilding } from './roof.ts';
import { LAYER, band, meet, type Box, type Ring, type Thing } from './thing.ts';
import type { World } from './world.ts';

const BLOCK = 512;
/** Pixels beyond the block that the blur draws from. */
const MARGIN = 4;
const SIDE = BLOCK + 2 * MARGIN;
/** Metres from which a thing's shadow or leaning top can reach into a block. */
const REACH = 34;

/** Paints 512² blocks of the world as one acquisition saw them. Any two painters of one seed agree to the byte. */
export class Painter {
  readonly #world: World;
  readonly #light: Light;
  readonly #canvas: Canvas;
  readonly #grain: Float32Array;
  readonly #stamps: Stamps;
  readonly #swath: Ring;

  /** @param swath the ground that the satellite recorded, metres east and north of the origin */
  constructor(world: World, acquisition: Acquisition, swath: Ring) {
    this.#world = world;
    this.#light = lightOf(acquisition);
    this.#grain = grainTable(world.seed);
    this.#canvas = new Canvas(SIDE, mottleTable(world.seed), this.#grain, acquisition.which);
    this.#stamps = stampsFor(world.seed, this.#light);
    this.#swath = swath;
  }

  /**
   * Block (column, row), counted east and south from the origin.
   *
   * @returns pixels `[512, 512, 3]` and mask `[512, 512]`, or undefined where the swath does not reach
   */
  block(column: number, row: number): { pixels: Uint8Array; mask: Uint8Array } | undefined {
    const canvas = this.#canvas;
    canvas.left = column * BLOCK - MARGIN;
    canvas.top = row * BLOCK - MARGIN;
    const mask = this.#mask();
    if (!mask) return undefined;
    this.#paint();
    const planes = [canvas.red, canvas.green, canvas.blue];
    const pixels = expose(planes, SIDE, MARGIN, mask, this.#light, this.#grain, [column * BLOCK, row * BLOCK]);
    return { pixels, mask };
  }

  #mask(): Uint8Array | undefined {
    const canvas = this.#canvas;
    const inside = new Uint8Array(SIDE * SIDE);
    canvas.mark([this.#swath], inside);
    const mask = new Uint8Array(BLOCK * BLOCK);
    for (let y = 0; y < BLOCK; y++) {
      const from = (y + MARGIN) * SIDE + MARGIN;
      mask.set(inside.subarray(from, from + BLOCK), y * BLOCK);
    }
    return mask.includes(1) ? mask : undefined;
  }

  #box(reach: number): Box {
    const { left, top } = this.#canvas;
    const [west, north] = [left * RESOLUTION, -top * RESOLUTION];
    return [west - reach, north - SIDE * RESOLUTION - reach, west + SIDE * RESOLUTION + reach, north + reach];
  }

  #paint(): void {
    const canvas = this.#canvas;
    const light = this.#light;
    const { which } = light.acquisition;
    const box = this.#box(REACH);
    const there = (when: number): boolean => when === 0 || when === which;
    const quarters = this.#world.quarters(box);
    const things = quarters.flatMap((quarter) =>
      quarter.things.filter((thing) => thing.ink && there(thing.when) && meet(thing.box, box)),
    );
    things.sort((a, b) => a.layer - b.layer); // stable: within a layer, in the order of the quarters
    const built = things.findIndex(({ layer }) => layer >= LAYER.building);
    const [ground, buildings] = built < 0 ? [things, []] : [things.slice(0, built), things.slice(built)];
    const crowns = quarters.flatMap((quarter) =>
      quarter.crowns.filter(({ when, values }) => there(when) && values.length > 0),
    );
    canvas.shade.fill(0);
    canvas.cover([ringOf(box)], 'verge');
    for (const thing of ground) paintGround(canvas, thing);
    for (const thing of buildings) if (thing.layer === LAYER.building) castShadow(canvas, thing, light);
    for (const { values } of crowns) shadeCrowns(canvas, values, light);
    darken(canvas, light);
    for (const thing of buildings) paintRaised(canvas, thing, light);
    for (const { values } of crowns) paintCrowns(canvas, values, this.#stamps, light);
  }
}

const ringOf = ([west, south, east, north]: Box): Ring => [west, south, east, south, east, north, west, north];

function paintGround(canvas: Canvas, { form, rings, ink, tone, angle, width }: Thing): void {
  if (!ink) return;
  if (form === 'area') canvas.cover(rings, ink, { tone, angle });
  else if (width < 1) canvas.stroke(rings[0], width, ink, tone);
  else canvas.cover([band(rings[0], width)], ink, { tone, angle });
}

function paintRaised(canvas: Canvas, thing: Thing, light: Light): void {
  if (thing.layer === LAYER.building) return paintBuilding(canvas, thing, light);
  const { rings, ink = 'steel', tone, angle, height } = thing;
  canvas.cover(rings, ink, { tone, angle }, light.lean[0] * height, light.lean[1] * height);
}

/** Takes the sun from what lies in shadow. */
function darken({ shade, red, green, blue }: Canvas, light: Light): void {
  const [r, g, b] = light.shade;
  for (let i = 0; i < shade.length; i++) {
    if (shade[i] === 0) continue;
    red[i] *= r;
    green[i] *= g;
    blue[i] *= b;
  }
}
