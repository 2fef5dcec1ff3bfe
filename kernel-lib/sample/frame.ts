import type { Ring } from './thing.ts';

/**
 * A quadrilateral of ground with coordinates of its own: s from 0 to 1 along its south side, t from 0 to 1 northwards.
 *
 * Straight lines of constant s or t stay straight, so rows of plots follow the roads around them.
 */
export class Frame {
  /** South-west, south-east, north-east, north-west. */
  readonly ring: Ring;
  /** Mean length of the south and north side, metres. */
  readonly across: number;
  /** Mean length of the west and east side, metres. */
  readonly up: number;
  /** Direction of growing s, radians. */
  readonly angle: number;

  constructor(ring: Ring) {
    this.ring = ring;
    const side = (a: number, b: number): number =>
      Math.hypot(ring[2 * b] - ring[2 * a], ring[2 * b + 1] - ring[2 * a + 1]);
    this.across = (side(0, 1) + side(3, 2)) / 2;
    this.up = (side(0, 3) + side(1, 2)) / 2;
    this.angle = Math.atan2(ring[3] - ring[1] + ring[5] - ring[7], ring[2] - ring[0] + ring[4] - ring[6]);
  }

  at(s: number, t: number): [number, number] {
    const r = this.ring;
    const [a, b, c, d] = [(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t];
    return [a * r[0] + b * r[2] + c * r[4] + d * r[6], a * r[1] + b * r[3] + c * r[5] + d * r[7]];
  }

  /** The part between two corners. */
  part(s0: number, t0: number, s1: number, t1: number): Frame {
    return new Frame([...this.at(s0, t0), ...this.at(s1, t0), ...this.at(s1, t1), ...this.at(s0, t1)]);
  }

  /** The frame drawn in by so many metres from its west, south, east and north side. */
  inset(west: number, south: number = west, east: number = west, north: number = south): Frame {
    return this.part(west / this.across, south / this.up, 1 - east / this.across, 1 - north / this.up);
  }
}
