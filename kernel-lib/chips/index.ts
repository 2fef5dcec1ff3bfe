// 03 · chips: what is real, known before a pixel is read; then the chips.
// Takes a delivery on disk; makes nodata-index.json and chips/<zone>/<quadkey12>/<date>/<id>_<catid>.jpg.
export { type NodataIndex, readNodataIndex, recordTile, writeNodataIndex } from './nodataindex.ts';
export {
  type Validity,
  type ValidityOptions,
  checkPlace,
  NoMaskError,
  readValidity,
  validFractions,
} from './nodata.ts';
export { type Chip, chipPath, cutTile, readChips } from './cut.ts';
export { type ChipOptions, type ChipReport, chipTiles } from './chip.ts';
export { type CropOptions, cropQuarters } from './jpegcrop.ts';
export type { Photometric } from './jpegframe.ts';
export { readPixels } from './pixels.ts';
