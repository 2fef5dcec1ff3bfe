// A synthetic delivery: two neighbouring cells at two dates, with the map that they were painted from and what changed.
// Takes a folder, a scale and a seed; makes COG tiles, STAC items, Overpass answers and change polygons in the form of real ones.
export {
  type Sample, type SampleOptions, type SampleScale, type SampleTile, makeSample, makeSampleTile,
} from './sample.ts'; // prettier-ignore
export { World } from './world.ts';
export { ORIGIN } from './plan.ts';
export { Painter } from './paint.ts';
export { ACQUISITIONS, type Acquisition } from './light.ts';
export type { Change, Thing } from './thing.ts';
