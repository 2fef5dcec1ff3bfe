import type { Feature, FeatureCollection, Polygon } from 'geojson';
import { chipBounds, parseChip, polygonOf } from '../../ard/index.ts';
import type { Licence } from '../../datasets/index.ts';
import type { ChangeList, DetectedChange } from './detect.ts';

/** A change list as GeoJSON: RFC 7946, with the terms of the imagery as a member of its own. */
export interface ChangeCollection extends FeatureCollection<Polygon> {
  licences: Licence[];
}

/**
 * A change list as GeoJSON: of each chip its square in lon/lat, the probability that it changed, and both acquisitions.
 *
 * The terms of the imagery, on which the list rests, come along in `licences`.
 *
 * @param options.least probability, 0–1. Default: 0, all chips
 * @throws {RangeError} when `least` is not 0 to 1
 */
export function changeFeatures(
  { changes, licences }: Pick<ChangeList, 'changes' | 'licences'>,
  { least = 0 }: { least?: number | undefined } = {},
): ChangeCollection {
  if (!(least >= 0 && least <= 1)) throw new RangeError(`changeFeatures requires a least probability of 0 to 1, got ${least}`); // prettier-ignore
  const features = changes.filter(({ probability }) => probability >= least).map(featureOf);
  return { type: 'FeatureCollection', features, licences };
}

function featureOf({ id, before, after, probability, change, shift }: DetectedChange, rank: number): Feature<Polygon> {
  const { cell } = parseChip(id);
  const rounded = ({ coordinates }: Polygon): Polygon => ({
    type: 'Polygon',
    coordinates: coordinates.map((ring) => ring.map((place) => place.map((degrees) => Number(degrees.toFixed(7))))),
  });
  return {
    type: 'Feature',
    id,
    geometry: rounded(polygonOf(cell.epsg, chipBounds(id))),
    properties: {
      rank: rank + 1,
      probability: Number(probability.toFixed(4)),
      change: Number(change.toFixed(4)),
      before: before.date,
      beforeCatid: before.catid,
      after: after.date,
      afterCatid: after.catid,
      shiftEast: shift.x,
      shiftSouth: shift.y,
    },
  };
}
