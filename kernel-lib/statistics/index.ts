// 04 · statistics: what the tags of a zone are like, chip by chip, and which of them are worth learning.
// Takes osm_data.json of every cell; makes the tag atlas and the label schema.
export { type ChipTag, type ZoneChipTags, chipTags } from './chiptags.ts';
export { type AtlasRow, frame, tagAtlas } from './atlas.ts';
export { type Association, type TagPair, association, associations, chipsNeeded, wilsonInterval } from './inference.ts';
export { type Completeness, completeness } from './completeness.ts';
export { type Probe, areaUnderRoc, fitProbe, standardiser } from './probe.ts';
export { type Visibility, type VisibilityOptions, visibility } from './visible.ts';
export {
  type LabelRule, type LabelSchema, type SchemaOptions, measureOf,
  proposeSchema, readSchema, writeSchema,
} from './schema.ts'; // prettier-ignore
