// 07 · similarity: which places look alike, how good the answers are, and what changed between two dates.
// Takes chips and their embeddings; makes the store in embeddings/, answers, scores and change lists.
export { type Neighbour, type Vectors, cosine, nearest, rowsOf, vectorAt } from './nearest.ts';
export {
  type Answer,
  type Embedding,
  type SearchHit,
  type SearchOptions,
  askStore,
  deployStore,
  searchStore,
} from './store.ts';
export {
  type LabelScore,
  type Question,
  type RetrievalReport,
  averagePrecision,
  labelAgreement,
  labelsOfRow,
  retrievalReport,
  sampleQuestions,
} from './report.ts';
// What changed between two dates.
export {
  type ChipChange, type KnownChange, changeScore, changedShares, rankChange, readChangeVectors, readKnownChanges, touchedChips,
} from './change.ts'; // prettier-ignore
export {
  type ChipPair, type PairImages, type PairOptions, type PairedTiles, type TilePair, type Visit, changeFolder, pairImages, pairedTiles,
} from './changepairs.ts'; // prettier-ignore
export {
  type CalibratedGroup, type ChangeEncoder, type ChangeList, type DetectOptions, type DetectedChange,
  COLOURS_AND_EDGES, backboneEncoder, detectChange,
} from './changedetect.ts'; // prettier-ignore
export { type Shift, bestShifts, correlationsOf } from './changeshift.ts';
export { type CalibratedChange, type DatedFeatures, calibrateChange } from './changefit.ts';
export { type Mixture, risingWith, twoPopulations } from './changemixture.ts';
export { type Calibration, fitCalibration } from './changelogistic.ts';
export {
  type ChangeReport, type ChangeScoreOptions, type RankedChange, type ReliabilityBin, scoreChanges,
} from './changescore.ts'; // prettier-ignore
export {
  type Baseline, type DatedPictures, changeBaselines, histogramDifference, matchedHistograms, pixelDifference,
} from './changebaseline.ts'; // prettier-ignore
export { type ChangeCollection, changeFeatures } from './changefeatures.ts';
