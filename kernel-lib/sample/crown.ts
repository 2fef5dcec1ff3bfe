import { RESOLUTION, type Canvas } from './canvas.ts';
import { CROWNS } from './inks.ts';
import type { Light } from './light.ts';
import { Dice, hash } from './noise.ts';
import { CROWN_SIZE } from './thing.ts';

const VARIANTS = 4;
const LARGEST = 18;

/** Stamps of crowns, `[2r + 1, 2r + 1]`: light on the leaves, 0 outside. One per radius in pixels and variant. */
export type Stamps = Float32Array[];

export function stampsFor(seed: number, light: Light): Stamps {
  return Array.from({ length: (LARGEST + 1) * VARIANTS }, (_, k) =>
    stamp(Math.max(1, Math.floor(k / VARIANTS)), hash(seed, 50, k), light),
  );
}

/** A half ball of leaves with a ragged rim, bright towards the sun. */
function stamp(radius: number, seed: number, { sun }: Light): Float32Array {
  const dice = new Dice(seed);
  const side = 2 * radius + 1;
  const lobes = Array.from({ length: 3 }, () => dice.between(0, 2 * Math.PI));
  return Float32Array.from({ length: side * side }, (_, i) => {
    const [x, y] = [(i % side) - radius, Math.floor(i / side) - radius];
    const turn = Math.atan2(y, x);
    const rim = radius * (0.88 + 0.1 * Math.sin(3 * turn + lobes[0]) + 0.08 * Math.sin(5 * turn + lobes[1])) + 0.4;
    const d = Math.hypot(x, y) / rim;
    const leaf = dice.between(-1, 1);
    if (d > 1 || (d > 0.8 && leaf > 0.75)) return 0;
    const [nx, ny, nz] = [(x / rim) * 0.9, (y / rim) * 0.9, Math.sqrt(1 - 0.81 * d * d)];
    const lit = Math.max(0, nx * sun[0] + ny * sun[1] + nz * sun[2]);
    const clump = Math.sin(x * 1.1 + lobes[2] * 3) * Math.sin(y * 1.3 + lobes[0] * 5);
    return (0.4 + 0.72 * lit) * (1 + 0.16 * leaf + (radius > 4 ? 0.13 * clump : 0));
  });
}

/** Shadows of crowns on the ground: a disc where the middle of the crown throws it. */
export function shadeCrowns(canvas: Canvas, values: readonly number[], { shadow }: Light): void {
  const { side, shade } = canvas;
  for (let k = 0; k < values.length; k += CROWN_SIZE) {
    const radius = values[k + 2] / RESOLUTION;
    const height = values[k + 2] * CROWNS[values[k + 4]].tall * 0.62;
    const cx = canvas.x(values[k] + shadow[0] * height);
    const cy = canvas.y(values[k + 1] - shadow[1] * height);
    if (cx < -radius || cy < -radius || cx > side + radius || cy > side + radius) continue;
    const last = Math.min(side - 1, Math.floor(cy + radius));
    for (let y = Math.max(0, Math.ceil(cy - radius)); y <= last; y++) {
      const half = Math.sqrt(Math.max(0, radius * radius - (y - cy) ** 2));
      const from = Math.max(0, Math.ceil(cx - half));
      const to = Math.min(side, Math.floor(cx + half) + 1);
      if (from < to) shade.fill(1, y * side + from, y * side + to);
    }
  }
}

/** The crowns themselves, leaning with the view. */
export function paintCrowns(canvas: Canvas, values: readonly number[], stamps: Stamps, light: Light): void {
  const { side, red, green, blue } = canvas;
  for (let k = 0; k < values.length; k += CROWN_SIZE) {
    const { colour, tall } = CROWNS[values[k + 4]];
    const radius = Math.min(LARGEST, Math.max(1, Math.round(values[k + 2] / RESOLUTION)));
    const height = values[k + 2] * tall * 0.6;
    const left = Math.round(canvas.x(values[k] + light.lean[0] * height)) - radius;
    const top = Math.round(canvas.y(values[k + 1] - light.lean[1] * height)) - radius;
    const width = 2 * radius + 1;
    if (left + width <= 0 || top + width <= 0 || left >= side || top >= side) continue;
    const tone = values[k + 3];
    const leaves = stamps[radius * VARIANTS + (Math.floor(tone * 97) % VARIANTS)];
    const own = 0.8 + 0.42 * tone;
    const warm = 0.9 + 0.2 * ((tone * 7.3) % 1);
    for (let y = Math.max(0, -top); y < width && top + y < side; y++) {
      for (let x = Math.max(0, -left), i = (top + y) * side + left + x; x < width && left + x < side; x++, i++) {
        const lit = leaves[y * width + x] * own;
        if (lit === 0) continue;
        red[i] = colour[0] * lit * warm;
        green[i] = colour[1] * lit;
        blue[i] = colour[2] * lit;
      }
    }
  }
}
