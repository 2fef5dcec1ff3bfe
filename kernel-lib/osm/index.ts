// Stage 02: what OpenStreetMap knows about the delivered cells.
// Takes a zone and a data folder, or a cell; makes osm_data.json in each cell's folder, tag counts,
// the geometry of every tagged element, and what each chip holds of it.
export { type FetchOsmOptions, PUBLIC_OVERPASS, fetchOsmByQuadkey, osmCells } from './fetch.ts';
export { type TagCount, type TagCounts, type ZoneTags, TagTally, countTags, primaryKey } from './tags.ts';
export { type OsmMeta, OSM_ATTRIBUTION, mapTime, osmPath, readOsm, readOsmMeta } from './read.ts';
export type {
  OsmData,
  OsmElement,
  OsmMember,
  OsmNode,
  OsmRelation,
  OsmTags,
  OsmWay,
  OverpassAnswer,
} from './schema.ts';
export { type BrokenElement, type Element, type Elements, elements } from './elements.ts';
export { type PlacedElement, type PlacedGeometry, placeInCell } from './place.ts';
export { type ChipIndex, chipIndex } from './join.ts';
export { type CellSurvey, surveyOsm } from './survey.ts';
export { type ChipCoverage, chipCoverage } from './coverage.ts';
export { type Ledger, addRing } from './cut.ts';
export { overpassQuery } from './query.ts';
export { type OverpassFailure, OverpassError } from './answer.ts';
export { type OverpassOptions, fetchOverpass } from './overpass.ts';
export { type Wait, slotWaitMs } from './wait.ts';
export { type CellOptions, type FetchedCell, fetchCell } from './cell.ts';
export { type ExtractOptions, readExtract } from './extract.ts';
export { type LoopbackOverpass, serveOverpass } from './loopback.ts';
