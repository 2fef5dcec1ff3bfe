// 05 · datasets: which chips, with which labels, to learn from and to be tested on; as versions that do not change.
// Takes chips, chip tags and a label schema; makes datasets/<name>/<version>/.
export { type ChipLabels, type LabelOptions, type LabelValue, labelChips } from './labels.ts';
export { type Split, type SplitOptions, splitByPlace } from './splits.ts';
export { type LeakageExample, type LeakageOptions, type LeakageRow, leakageReport } from './leakage.ts';
export {
  type DatasetManifest,
  type DatasetRow,
  type DatasetVersion,
  type LabelCount,
  type Licence,
  countLabels,
  readDataset,
  writeDataset,
} from './version.ts';
export { type DatasetParts, makeDataset } from './make.ts';
export { type LabelledImages, loadImages, rowPath } from './load.ts';
