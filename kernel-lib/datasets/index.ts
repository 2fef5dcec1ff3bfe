// 05 · datasets: which chips, with which labels, to learn from and to be tested on; as versions that do not change.
// Takes chips, chip tags and a label schema; makes datasets/<name>/<version>/.
export { type ChipLabels, type LabelOptions, type LabelValue, labelChips } from './labels.ts';
export { type Split, type SplitOptions, splitByPlace } from './splits.ts';
export { splitDrift } from './drift.ts';
export { type LeakageExample, type LeakageOptions, type LeakageRow, leakageReport } from './leakage.ts';
export { type DatasetInputs, type DatasetManifest, type Licence } from './manifest.ts';
export { type DatasetRow } from './row.ts';
export { type HashedChips, hashChips } from './hash.ts';
export {
  type DatasetFacts, type DatasetVersion, type GapCount, type LabelCount, countGaps, countLabels, readDataset, writeDataset,
} from './version.ts'; // prettier-ignore
export { type ListedVersion, findVersion, listDatasets, parseDataset } from './name.ts';
export { type DatasetParts, imageryLicences, makeDataset } from './make.ts';
export { type LabelledImages, type LabelledSource, loadImages, openImages, rowPath } from './load.ts';
export { type CreateOptions, createDataset } from './create.ts';
export { type DatasetDiff, diffDatasets } from './diff.ts';
export { type VerifyOptions, type VersionVerdict, verifyDataset } from './verify.ts';
export { type ExportFormat, type ExportOptions, exportDataset } from './export.ts';
