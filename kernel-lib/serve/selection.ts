import { z } from 'zod';
import type { Tile } from '../ard/index.ts';

/** Which acquisition is shown where several have a place. */
export const CHOICES = ['newest', 'oldest', 'least-cloud', 'lowest-off-nadir'] as const;
export type Choice = (typeof CHOICES)[number];

/** Which acquisitions are shown, and which first. Where the first is not real, the next one shows. */
export interface Selection {
  /** Default: newest. What the STAC item does not tell comes last; among equals the newest comes first. */
  select: Choice;
  /** First and last day, `2023-05-17`, UTC. Default: all. */
  from?: string | undefined;
  to?: string | undefined;
}

const day = z.iso.date('expected a day, as 2023-05-17');

/** A selection as a query has it. */
export const selectionSchema: z.ZodType<Selection> = z
  .object({ select: z.enum(CHOICES).default('newest'), from: day.optional(), to: day.optional() })
  .refine(({ from = '', to = '9999' }) => from <= to, 'from is later than to');

type Order = (a: Tile, b: Tile) => number;

const newer: Order = (a, b) => compare(timeOf(b), timeOf(a)) || compare(a.catid, b.catid);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const timeOf = ({ date, metadata }: Tile): string => metadata?.datetime ?? date;
const least =
  (of: (tile: Tile) => number | undefined): Order =>
  (a, b) =>
    (of(a) ?? Infinity) === (of(b) ?? Infinity) ? newer(a, b) : (of(a) ?? Infinity) - (of(b) ?? Infinity);

const ORDERS: Record<Choice, Order> = {
  newest: newer,
  oldest: (a, b) => compare(timeOf(a), timeOf(b)) || compare(a.catid, b.catid),
  'least-cloud': least(({ metadata }) => metadata?.cloudPercent),
  'lowest-off-nadir': least(({ metadata }) => metadata?.offNadir),
};

/** Whether a tile is among those shown. */
export function isSelected({ date }: Pick<Tile, 'date'>, { from = '', to = '9999' }: Selection): boolean {
  return date >= from && date <= to;
}

/** The place of each tile in the order of a choice, 0 first. */
export function ranksOf(tiles: readonly Tile[], choice: Choice): Uint32Array {
  const order = [...tiles.keys()].sort((a, b) => ORDERS[choice](tiles[a], tiles[b]) || a - b);
  const ranks = new Uint32Array(tiles.length);
  order.forEach((tile, rank) => (ranks[tile] = rank));
  return ranks;
}

/** A selection as a short text, the same for the same selection. */
export function selectionText({ select, from = '', to = '' }: Selection): string {
  return `${select}/${from}/${to}`;
}
