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
export {
  type Digest, type FilePart, type OpenOptions, type Source, type SourceFile, type SourceOptions, type SourceTop, SourceError,
} from './source.ts'; // prettier-ignore
export { openSource } from './address.ts';
export { bucketFault, isOpenData, placeOf, s3Client } from './bucket.ts';
export {
  type BareTile, type Delivery, type DeliveryAddress, type DeliveryOptions, type Tile, type TileMetadata,
  bareTilesOf, deliveryAddress, openDelivery, readTiles, tilesOf,
} from './delivery.ts'; // prettier-ignore
export { type CogBlock, type CogOptions, writeCog } from './cog.ts';
export { type Survey, isPlaced, surveyRasters } from './survey.ts';
export {
  type Peek,
  type PictureOptions,
  groundPng,
  maskPng,
  overviewPng,
  peekAt,
  realBounds,
  realShare,
} from './overview.ts';
export type { Traffic } from './remote.ts';
export { blockBytes, unpackBlock } from './block.ts';
export { type BlockTable, type Raster, type RasterLevel, openObject, openRaster } from './raster.ts';
export type { JpegTables } from './window.ts';
export { type StalePart, WriteError, cannotWrite, jsonOf, laidDown, makeFolder, partName, readJson, replaceWhole, staleParts, sweepParts, writeWhole } from './files.ts'; // prettier-ignore
export { atWork, withLock } from './lock.ts';
export { type Shard, environmentShard, isShare, parseShard, shardOf } from './shard.ts';
export { type Progress, type StepOptions, eachUnit } from './step.ts';
