// 07 · similarity: which places look alike, how good the answers are, and what changed between two dates.
// Takes chips and their embeddings; makes the store in embeddings/, answers, scores and change lists.
export { type Neighbour, type Vectors, cosine, nearest, rowsOf, vectorAt } from './nearest.ts';
export { type DeployOptions, type DeployReport, deploy } from './deploy.ts';
export { type DeployStoreOptions, deployStore, extendStore } from './store.ts';
export type { ChangeOptions } from './commit.ts';
export type { IndexFacts, StoreFacts } from './facts.ts';
export { type ListedStore, goBack, listStores, listTables, pruneStore } from './versions.ts';
export { type Loaded, type OpenStoreOptions, type Store, openStore, vectorsFor } from './open.ts';
export type { Query } from './query.ts';
export type { StoreRow } from './row.ts';
export { type Columns, rowOf } from './columns.ts';
export { type Origin, type SearchFilter, metresBetween, sift } from './filter.ts';
export type { Area } from './area.ts';
export { type AnswerRecall, type Answers, type Hit, type SearchOptions, search } from './search.ts';
export { bitCodes, bitNearest } from './bits.ts';
export { type AnswersFormat, answersBytes, writeAnswers } from './answersfile.ts';
export { type Question, averagePrecision, labelAgreement, labelsOfRow, sampleQuestions } from './report.ts';
export {
  type FeedbackMethod, type Search, type SearchAnswer, type SearchStart, ROCCHIO, startSearch,
} from './feedback.ts'; // prettier-ignore
export {
  type FeedbackGain, type GainRow, type SimulateOptions, gainLines, simulateFeedback,
} from './feedbackgain.ts'; // prettier-ignore
export { type Example, type LinearProbe, fitLogistic } from './logistic.ts';
export {
  type ChipKey, type ListedSet, type SavedSet, type SaveSetOptions, listSets, readSet, rowsOfSet, saveSet,
} from './sets.ts'; // prettier-ignore
export { type SetFeatures, type SetProperties, type TagProposal, setFeatures, tagProposals } from './proposals.ts';
export {
  type CardLabel, type CardOptions, type CardScores, type FigureName, type ReportCard, reportCard,
} from './card.ts'; // prettier-ignore
export type { CardFigure } from './cardscorer.ts';
export type { CardGroup, CardGroupRow } from './cardgroups.ts';
export { type LayoutOptions, layout } from './umap.ts';
export { type LikenessView, type ViewOptions, type ViewPoint, likenessView } from './view.ts';
export { type Report, type ReportOptions, makeReport, reportPath } from './cardmodel.ts';
// What changed between two dates.
export {
  type ChipChange, type KnownChange, changedShares, readChangeVectors, readKnownChanges, touchedChips,
} from './change.ts'; // prettier-ignore
export {
  type ChipPair, type PairImages, type PairOptions, type PairedTiles, type TilePair, type Visit, changeFolder, pairImages, pairedTiles,
} from './changepairs.ts'; // prettier-ignore
export {
  type CalibratedGroup, type ChangeEncoder, type ChangeList, type DetectOptions, type DetectedChange,
  COLOURS_AND_EDGES, backboneEncoder, detectChange, encodeChange,
} from './changedetect.ts'; // prettier-ignore
export type { ChangeParts } from './changeparts.ts';
export { type Shift, bestShifts, correlationsOf } from './changeshift.ts';
export { type CalibratedChange, type DatedFeatures, calibrateChange } from './changefit.ts';
export { type Mixture, twoPopulations } from './changemixture.ts';
export { type GridPlace, drawnTogether } from './changeneighbours.ts';
export { type Calibration, fitCalibration } from './changelogistic.ts';
export {
  type ChangeReport, type ChangeScoreOptions, type RankedChange, type ReliabilityBin, scoreChanges,
} from './changescore.ts'; // prettier-ignore
export {
  type Baseline, type DatedPictures, changeBaselines, histogramDifference, matchedHistograms, pixelDifference,
} from './changebaseline.ts'; // prettier-ignore
export { type ChangeCollection, changeFeatures } from './changefeatures.ts';
export { changePictures } from './changepictures.ts';
