// 03 · chips: what is real, known before a pixel is read; then the chips.
// Takes a delivery on disk; makes nodata-index.json, merged from a record a cell, chips/<zone>/<quadkey12>/<date>/<id>_<catid>.jpg
// and their table, chips/<zone>/index.parquet.
export { type ChipOptions, type ChipReport, type TileReport, chipTiles } from './chip.ts';
export { type CellDates, chipsPerDate } from './dates.ts';
export { type NodataIndex, readNodataIndex } from './nodataindex.ts';
export { type CellRecord, type TileRecord, readRecords, realChips, recordedChips } from './record.ts';
export { pickSome } from './pick.ts';
export {
  type Validity,
  type ValidityOptions,
  checkPlace,
  NoMaskError,
  readValidity,
  validFractions,
} from './nodata.ts';
export {
  type Chip,
  type ChipFormat,
  type CutOptions,
  chipCells,
  chipFile,
  cutTile,
  datesOfCell,
  readChips,
} from './cut.ts';
export { type UncutCell, type UncutTile, type UncutZone, NotIndexedError, openUncut, uncutZone } from './uncut.ts';
export { type CropOptions, cropQuarters } from './jpegcrop.ts';
export { STRETCH } from './product.ts';
export { decodeImage, readPixels } from './pixels.ts';
export { FEATURES, chipFeatures, imageFeatures } from './features.ts';
export { type Chunk, type Coded, type Coder, ROWS_AT_ONCE, coder, endGroup, linesOf, metaOf, writeCodes, writeLines } from './columns.ts'; // prettier-ignore
