// The map: a delivery as XYZ, TMS and WMTS tiles in Web Mercator, all its cells, days and zones at once.
// Takes a folder or an S3 prefix, and the similarity store where there is one; makes map tiles, what acquisition shows at a place, a server to which
// routes are added, and the page to search on.
export {
  type MapTile, HALF, MOST_ZOOM, NATIVE_ZOOM, fromMercator, mapTileAt, mapTileBounds, toMercator,
} from './mercator.ts'; // prettier-ignore
export { type Choice, type Selection, CHOICES } from './selection.ts';
export type { Catalogue, Place } from './catalogue.ts';
export type { Canvas } from './canvas.ts';
export { type Box, type View, type Warp, TOLERANCE, lonLatIn, placeIn, viewOf, warpOf } from './warp.ts';
export { type Mosaic, type MosaicOptions, type PixelAt, openMosaic } from './mosaic.ts';
export { type KeepOptions, type KeptMosaic, keepMosaic } from './keep.ts';
export { type KeptStore, type OpenedStore, type StoreChoice, keepStore } from './openstore.ts';
export { NotReadyError } from './ground.ts';
export { type Colour, type Format, encode } from './picture.ts';
export { OverloadError, Queue } from './queue.ts';
export { RequestError } from './fault.ts';
export { baseOf } from './address.ts';
export { type ServeOptions, serveApp } from './app.ts';
export type { PageOptions } from './pageroutes.ts';
export type { AnswerCollection, ChangeAnswer, Facts, TagCollection } from './page/shapes.ts';
export { type LiveMapOptions, liveMap } from './livemap.ts';
export { type MapServer, type ServerOptions, startServer } from './server.ts';
