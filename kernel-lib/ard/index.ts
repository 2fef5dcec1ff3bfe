// The ground that every stage stands on: the ARD grid, what a delivery holds, and its rasters.
// Takes ids, places and folders; makes cells, tiles, windows of pixels and masks.
export {
  type ArdQuadkey, type Bounds, type Cell, type Direction, type MercatorQuadkey,
  APRON_PIXELS, CELL_PIXELS, CELL_ZOOM, CHIP_PIXELS, CHIP_ZOOM, CHIPS_PER_SIDE, METRES_PER_PIXEL, TILE_PIXELS,
  boundsOf, cellAt, cellOf, children, columnRow, contains, lonLatBounds, neighbours, paddedZone, parent,
  parseCell, polygonOf, quadkeyAt, quadkeyUnder, squareBounds, squareId, type ZoneMembership, zoneMembership, zoneOf,
} from './grid.ts'; // prettier-ignore
export { toLonLat, toUtm } from './projection.ts';
export { type ChipPlace, chipBounds, chipIdAt, chipIds, chipWindow, parseChip } from './chip.ts';
export { ardRoot, cellFolder, cellsOnDisk, dataRoot, zonesOnDisk } from './layout.ts';
export { type Source, type SourceFile, type SourceOptions, openSource } from './source.ts';
export { type Delivery, type Tile, type TileMetadata, openDelivery, readTiles, tilesOf } from './delivery.ts';
export { type CogBlock, type CogOptions, writeCog } from './cog.ts';
export { type Survey, isPlaced, surveyRasters } from './survey.ts';
export { overviewPng } from './overview.ts';
export { type BlockTable, type Raster, type RasterLevel, openRaster } from './raster.ts';
export { makeFolder, partName, readJson, replaceWhole, writeWhole } from './files.ts';
export { type Progress, type StepOptions, eachUnit } from './step.ts';
