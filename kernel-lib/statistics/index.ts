// 04 · statistics: what the tags of a zone are like, chip by chip, and which of them are worth learning.
// Takes osm_data.json of every cell; makes the tag atlas and the label schema, and says how far its figures can be trusted:
// intervals, tests corrected for their number, what neighbours cost, and how much more ground it would take.
export { type ChipTag, type NearPoints, type ZoneChipTags, chipTags, nearPoints } from './chiptags.ts';
export { type TagElements, ElementTally } from './elementtally.ts';
export { type Sizes, type SizeWord, type TypicalSize, typicalSize } from './size.ts';
export { type AtlasRow, frame, tagAtlas } from './atlas.ts';
export { type Filtered, type FilterStep, filterTags } from './filter.ts';
export { companions, cooccurrence } from './cooccurrence.ts';
export { type BootstrapOptions, type Interval, bootstrap, wilsonInterval } from './interval.ts';
export { type Imbalance, type ImbalanceIntervals, imbalance, imbalanceWithIntervals } from './imbalance.ts';
export { type ChiSquared, chiSquaredTest, fisherExact } from './contingency.ts';
export { adjustP } from './correction.ts';
export { type Completeness, completeness } from './completeness.ts';
export { type Probe, areaUnderRoc, fitProbe, standardiser } from './probe.ts';
export { type Visibility, type VisibilityOptions, chipsHaving, visibility } from './visible.ts';
export {
  type Association, type TagPair, type TestedPair, association, associations, associationTests,
} from './association.ts'; // prettier-ignore
export { type Neighbours, chipNeighbours } from './neighbours.ts';
export { type SpatialTest, moransI } from './moran.ts';
export { type JoinCounts, joinCounts } from './joincounts.ts';
export { type EffectiveSize, effectiveSize } from './effective.ts';
export { type Clustering, clustering } from './clustering.ts';
export { countsBySquare, incidences, squareOf } from './incidence.ts';
export { type Rarefaction, type RarefactionPoint, rarefaction } from './rarefaction.ts';
export { type KolmogorovSmirnov, type LabelDrift, amounts, kolmogorovSmirnov, labelDrift } from './drift.ts';
export { type PrecisionOptions, chipsForClass, chipsNeeded } from './precision.ts';
export { chiSquaredTail, kolmogorovTail, logChoose, normalQuantile, normalTail } from './distribution.ts';
export {
  type LabelRule, type LabelSchema, type Measured, type SchemaOptions, measureOf,
  proposeSchema, readSchema, writeSchema,
} from './schema.ts'; // prettier-ignore
