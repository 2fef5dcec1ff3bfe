import type { Canvas } from './canvas.ts';
import { type Light, irradiance } from './light.ts';
import type { Ring, Thing } from './thing.ts';

/** Pitch of a roof: 24°. */
const [SLOPE_SIN, SLOPE_COS, SLOPE_TAN] = [Math.sin(0.42), Math.cos(0.42), Math.tan(0.42)];

/** Puts the ground that a building keeps from the sun in shadow. */
export function castShadow(canvas: Canvas, { rings, height }: Thing, { shadow }: Light): void {
  const [dx, dy] = [shadow[0] * height, shadow[1] * height];
  canvas.darken(rings, dx, dy);
  for (const ring of rings) for (const wall of walls(ring, dx, dy)) canvas.darken([wall]);
}

/** The strips that a ring's edges sweep when it moves by (dx, dy) metres east and south. */
function walls(ring: Ring, dx: number, dy: number): Ring[] {
  return edges(ring).map(([ax, ay, bx, by]) => [ax, ay, bx, by, bx + dx, by - dy, ax + dx, ay - dy]);
}

function edges(ring: Ring): Ring[] {
  return Array.from({ length: ring.length / 2 }, (_, k) => {
    const next = (2 * k + 2) % ring.length;
    return [ring[2 * k], ring[2 * k + 1], ring[next], ring[next + 1]];
  });
}

/** Paints walls and roof of a building as they are seen from where the satellite stands. */
export function paintBuilding(canvas: Canvas, thing: Thing, light: Light): void {
  const { rings, height, roof } = thing;
  const [dx, dy] = [light.lean[0] * height, light.lean[1] * height];
  for (const ring of rings) {
    for (const wall of walls(ring, dx, dy)) {
      const [nx, ny] = outward(wall.slice(0, 4));
      canvas.cover([wall], 'wall', { tone: thing.tone, light: irradiance(light, nx, -ny, 0) * 0.9 });
    }
  }
  if (roof === 'flat') paintFlat(canvas, thing, dx, dy);
  else
    for (const [face, eave] of roof === 'court' ? courtFaces(rings) : faces(rings[0], roof === 'hip', light))
      paintFace(canvas, thing, face, eave, light);
}

/** Unit normal of an edge, to its right: outward of a ring that runs counter-clockwise. East and north. */
function outward([ax, ay, bx, by]: Ring): [number, number] {
  const length = Math.hypot(bx - ax, by - ay) || 1;
  return [(by - ay) / length, -(bx - ax) / length];
}

function paintFlat(canvas: Canvas, { rings, ink = 'roofGrey', tone, angle }: Thing, dx: number, dy: number): void {
  canvas.cover(rings, ink, { tone, angle }, dx, dy);
  for (const ring of rings) {
    const moved = ring.map((value, k) => (k % 2 ? value - dy : value + dx));
    canvas.stroke([...moved, moved[0], moved[1]], 0.4, 'kerb', tone);
  }
}

function paintFace(
  canvas: Canvas,
  { ink = 'tiles', tone, angle, height }: Thing,
  face: Ring,
  eave: Ring,
  light: Light,
): void {
  const [nx, ny] = outward(eave);
  const lit = irradiance(light, nx * SLOPE_SIN, -ny * SLOPE_SIN, SLOPE_COS);
  canvas.cover([face], ink, { tone, angle, light: lit }, light.lean[0] * height, light.lean[1] * height);
}

/** The faces of a pitched roof on a quadrilateral, each with the eave that it falls to. The ridge leans further than the eaves. */
function faces(ring: Ring, hip: boolean, { lean }: Light): [face: Ring, eave: Ring][] {
  const long = Math.hypot(ring[2] - ring[0], ring[3] - ring[1]) >= Math.hypot(ring[4] - ring[2], ring[5] - ring[3]);
  const r = long ? ring : [...ring.slice(2), ring[0], ring[1]];
  const depth = Math.hypot(r[4] - r[2], r[5] - r[3]);
  const length = Math.hypot(r[2] - r[0], r[3] - r[1]) || 1;
  const f = hip ? Math.min(0.48, depth / 2 / length) : 0;
  const rise = (depth / 2) * SLOPE_TAN;
  const west = [(r[0] + r[6]) / 2, (r[1] + r[7]) / 2];
  const east = [(r[2] + r[4]) / 2, (r[3] + r[5]) / 2];
  const ridge = (k: number): Ring => [
    west[0] + (east[0] - west[0]) * k + lean[0] * rise,
    west[1] + (east[1] - west[1]) * k - lean[1] * rise,
  ];
  const [a, b] = [ridge(f), ridge(1 - f)];
  const [p, q, s, t] = [r.slice(0, 2), r.slice(2, 4), r.slice(4, 6), r.slice(6, 8)];
  return [
    [
      [...p, ...q, ...b, ...a],
      [...p, ...q],
    ],
    [
      [...s, ...t, ...a, ...b],
      [...s, ...t],
    ],
    [
      [...t, ...p, ...a],
      [...t, ...p],
    ],
    [
      [...q, ...s, ...b],
      [...q, ...s],
    ],
  ];
}

/** Four wings about a court: each falls outward and inward from a ridge halfway. */
function courtFaces([outer, inner]: Ring[]): [face: Ring, eave: Ring][] {
  const ridge = outer.map((value, k) => (value + inner[k]) / 2);
  const [out, high, low] = [edges(outer), edges(ridge), edges(inner)];
  return out.flatMap((edge, k): [Ring, Ring][] => {
    const back = [high[k][2], high[k][3], high[k][0], high[k][1]];
    const inward = [low[k][2], low[k][3], low[k][0], low[k][1]];
    return [
      [[...edge, ...back], edge],
      [[...high[k], ...inward], inward],
    ];
  });
}
