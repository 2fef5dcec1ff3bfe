// 07 · similarity: which places look alike, how good the answers are, and what changed between two dates.
// Takes chips and their embeddings; makes the store in embeddings/, answers, scores and change lists.
export { type Neighbour, type Vectors, cosine, nearest, rowsOf, vectorAt } from './nearest.ts';
export { type DeployOptions, type DeployReport, deploy } from './store/deploy.ts';
export { type DeployStoreOptions, deployStore, extendStore } from './store/store.ts';
export type { ChangeOptions } from './store/commit.ts';
export type { IndexFacts, StoreFacts } from './store/facts.ts';
export { type ListedStore, goBack, listStores, listTables, pruneStore } from './store/versions.ts';
export { type Loaded, type OpenStoreOptions, type Store, openStore, vectorsFor } from './store/open.ts';
export { type Query, chipsUnder } from './query.ts';
export type { StoreRow } from './store/row.ts';
export { type Columns, rowOf } from './store/columns.ts';
export { type Origin, type SearchFilter, metresBetween, sift } from './filter.ts';
export type { Area } from './area.ts';
export { type AnswerRecall, type Answers, type Hit, type SearchOptions, search } from './search.ts';
export { bitCodes, bitNearest } from './bits.ts';
export { type AnswersFormat, answersGeojson, answersBytes, writeAnswers } from './answersfile.ts';
export { type Question, averagePrecision, labelAgreement, labelsOfRow, sampleQuestions } from './report.ts';
export {
  type FeedbackMethod, type Search, type SearchAnswer, type SearchStart, ROCCHIO, startSearch,
} from './feedback/feedback.ts'; // prettier-ignore
export {
  type FeedbackGain, type GainRow, type SimulateOptions, gainLines, simulateFeedback,
} from './feedback/gain.ts'; // prettier-ignore
export { type Example, type LinearProbe, fitLogistic } from './feedback/logistic.ts';
export {
  type ChipKey, type ListedSet, type SavedSet, type SaveSetOptions, listSets, readSet, rowsOfSet, saveSet,
} from './feedback/sets.ts'; // prettier-ignore
export {
  type SetFeatures,
  type SetProperties,
  type TagProposal,
  setFeatures,
  tagProposals,
} from './feedback/proposals.ts';
export {
  type CardLabel, type CardOptions, type CardScores, type FigureName, type ReportCard, reportCard,
} from './card/card.ts'; // prettier-ignore
export type { CardFigure } from './card/scorer.ts';
export type { CardGroup, CardGroupRow } from './card/groups.ts';
export { type LayoutOptions, layout } from './card/umap.ts';
export { type LikenessView, type ViewOptions, type ViewPoint, likenessView } from './card/view.ts';
export { type Report, type ReportOptions, makeReport, reportPath } from './card/model.ts';
// What changed between two dates.
export {
  type ChipChange, type KnownChange, changedShares, readChangeVectors, readKnownChanges, touchedChips,
} from './change/known.ts'; // prettier-ignore
export {
  type ChipPair, type PairImages, type PairOptions, type PairedTiles, type TilePair, type Visit, changeAddress, changeFolder, pairImages, pairedTiles,
} from './change/pairs.ts'; // prettier-ignore
export {
  type CalibratedGroup, type ChangeEncoder, type ChangeList, type DetectOptions, type DetectedChange,
  COLOURS_AND_EDGES, backboneEncoder, detectChange, encodeChange,
} from './change/detect.ts'; // prettier-ignore
export type { ChangeParts } from './change/parts.ts';
export { sweepChangeParts } from './change/sweep.ts';
export { type Shift, bestShifts, correlationsOf } from './change/shift.ts';
export { type CalibratedChange, type DatedFeatures, calibrateChange } from './change/fit.ts';
export { type Mixture, twoPopulations } from './change/mixture.ts';
export { type GridPlace, drawnTogether } from './change/neighbours.ts';
export { type Calibration, fitCalibration } from './change/logistic.ts';
export {
  type ChangeReport, type ChangeScoreOptions, type RankedChange, type ReliabilityBin, scoreChanges,
} from './change/score.ts'; // prettier-ignore
export {
  type Baseline, type DatedPictures, changeBaselines, histogramDifference, matchedHistograms, pixelDifference,
} from './change/baseline.ts'; // prettier-ignore
export { type ChangeCollection, changeFeatures } from './change/features.ts';
export { changePictures } from './change/pictures.ts';
