import type { Bounds } from '../ard/index.ts';
import type { Catalogue } from './catalogue.ts';
import { HALF, type MapTile, NATIVE_ZOOM, ZOOM_0, mapTileAt } from './mercator.ts';

/** What the documents say of a mosaic. */
export interface Described {
  catalogue: Catalogue;
  /** What it is called. */
  title: string;
  /** Whose pictures they are, and under which licence. */
  attribution: string;
  /** Address of the server, without a slash at its end. */
  base: string;
  /** `?select=oldest`, or empty: what was asked of the document is asked of its tiles. */
  query: string;
}

/** Bounds in degrees that a map takes: within the square, and the whole way round where the antimeridian is crossed. */
function mapBounds({ bounds: [west, south, east, north] }: Catalogue): Bounds {
  const crosses = east > 180 || west < -180;
  return [crosses ? -180 : west, Math.max(-85, south), crosses ? 180 : east, Math.min(85, north)];
}

/** @see https://github.com/mapbox/tilejson-spec/tree/master/3.0.0 */
export function tileJson({ catalogue, title, attribution, base, query }: Described, scheme: 'xyz' | 'tms'): object {
  const bounds = mapBounds(catalogue);
  const template = scheme === 'xyz' ? 'tiles/{z}/{x}/{y}.png' : 'tms/1.0.0/ard/{z}/{x}/{y}.png';
  return {
    tilejson: '3.0.0',
    name: title,
    attribution,
    version: '1.0.0',
    scheme,
    tiles: [`${base}/${template}${query}`],
    minzoom: 0,
    maxzoom: NATIVE_ZOOM,
    bounds,
    center: [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, 14],
    vector_layers: [],
  };
}

const XML = '<?xml version="1.0" encoding="UTF-8"?>';
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** The root of the Tile Map Service: which maps there are. @see https://wiki.osgeo.org/wiki/Tile_Map_Service_Specification */
export function tmsService({ title, base }: Described): string {
  return `${XML}
<TileMapService version="1.0.0" services="${base}/tms">
  <Title>imagesim</Title>
  <Abstract>${escaped(title)}</Abstract>
  <TileMaps>
    <TileMap title="${escaped(title)}" srs="EPSG:3857" profile="global-mercator" href="${base}/tms/1.0.0/ard"/>
  </TileMaps>
</TileMapService>
`;
}

/** The services below `/tms`. */
export function tmsServices({ base }: Described): string {
  return `${XML}
<Services>
  <TileMapService title="imagesim" version="1.0.0" href="${base}/tms/1.0.0"/>
</Services>
`;
}

/**
 * The map of the Tile Map Service: the whole Web-Mercator square, as GDAL counts tiles from the corner of the bounding box.
 */
export function tmsMap({ title, attribution, base, query }: Described): string {
  const sets = Array.from({ length: NATIVE_ZOOM + 1 }, (_, z) => `    <TileSet href="${base}/tms/1.0.0/ard/${z}" units-per-pixel="${ZOOM_0 / 2 ** z}" order="${z}"/>`); // prettier-ignore
  const note = query ? ` (${query.slice(1)})` : '';
  return `${XML}
<TileMap version="1.0.0" tilemapservice="${base}/tms/1.0.0">
  <Title>${escaped(title)}</Title>
  <Abstract>${escaped(attribution + note)}</Abstract>
  <SRS>EPSG:3857</SRS>
  <BoundingBox minx="${-HALF}" miny="${-HALF}" maxx="${HALF}" maxy="${HALF}"/>
  <Origin x="${-HALF}" y="${-HALF}"/>
  <TileFormat width="256" height="256" mime-type="image/png" extension="png"/>
  <TileSets profile="global-mercator">
${sets.join('\n')}
  </TileSets>
</TileMap>
`;
}

/** Metres of a pixel as WMTS has it: 0.28 mm. */
const STANDARD_PIXEL = 0.00028;

/** WMTS 1.0.0 by plain addresses, in the well-known GoogleMapsCompatible. @see OGC 07-057r7, annex E */
export function wmtsCapabilities(described: Described): string {
  const { catalogue, title, attribution, base, query } = described;
  const [west, south, east, north] = mapBounds(catalogue);
  const zooms = Array.from({ length: NATIVE_ZOOM + 1 }, (_, z) => z);
  const matrices = zooms.map((z) => `      <TileMatrix>
        <ows:Identifier>${z}</ows:Identifier>
        <ScaleDenominator>${ZOOM_0 / 2 ** z / STANDARD_PIXEL}</ScaleDenominator>
        <TopLeftCorner>${-HALF} ${HALF}</TopLeftCorner>
        <TileWidth>256</TileWidth><TileHeight>256</TileHeight>
        <MatrixWidth>${2 ** z}</MatrixWidth><MatrixHeight>${2 ** z}</MatrixHeight>
      </TileMatrix>`); // prettier-ignore
  const limits = zooms.map((z) => {
    const [first, last] = [mapTileAt([west, north], z), mapTileAt([east, south], z)];
    return `          <TileMatrixLimits><TileMatrix>${z}</TileMatrix><MinTileRow>${first.y}</MinTileRow><MaxTileRow>${last.y}</MaxTileRow><MinTileCol>${first.x}</MinTileCol><MaxTileCol>${last.x}</MaxTileCol></TileMatrixLimits>`;
  });
  const formats = { png: 'image/png', jpg: 'image/jpeg', webp: 'image/webp' };
  const resources = Object.entries(formats).map(([end, type]) => `      <ResourceURL format="${type}" resourceType="tile" template="${escaped(`${base}/tiles/{TileMatrix}/{TileCol}/{TileRow}.${end}${query}`)}"/>`); // prettier-ignore
  return `${XML}
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
  <ows:ServiceIdentification>
    <ows:Title>${escaped(title)}</ows:Title>
    <ows:Abstract>${escaped(attribution)}</ows:Abstract>
    <ows:ServiceType>OGC WMTS</ows:ServiceType>
    <ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion>
  </ows:ServiceIdentification>
  <Contents>
    <Layer>
      <ows:Title>${escaped(title)}</ows:Title>
      <ows:WGS84BoundingBox><ows:LowerCorner>${west} ${south}</ows:LowerCorner><ows:UpperCorner>${east} ${north}</ows:UpperCorner></ows:WGS84BoundingBox>
      <ows:Identifier>ard</ows:Identifier>
      <Style isDefault="true"><ows:Identifier>default</ows:Identifier></Style>
${Object.values(formats).map((type) => `      <Format>${type}</Format>`).join('\n')}
      <TileMatrixSetLink>
        <TileMatrixSet>GoogleMapsCompatible</TileMatrixSet>
        <TileMatrixSetLimits>
${limits.join('\n')}
        </TileMatrixSetLimits>
      </TileMatrixSetLink>
${resources.join('\n')}
    </Layer>
    <TileMatrixSet>
      <ows:Identifier>GoogleMapsCompatible</ows:Identifier>
      <ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>
      <WellKnownScaleSet>urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible</WellKnownScaleSet>
${matrices.join('\n')}
    </TileMatrixSet>
  </Contents>
  <ServiceMetadataURL xlink:href="${base}/wmts/1.0.0/WMTSCapabilities.xml"/>
</Capabilities>
`; // prettier-ignore
}

/** Zoom of the squares that MosaicJSON files its rasters under: 7 km wide at 45°, about a cell. */
const MOSAIC_ZOOM = 12;

/**
 * Which rasters lie in which square of Web Mercator, first those that win.
 *
 * Their addresses are relative to the delivery. Of one in a bucket `asset_prefix` says where that is; where one on a disk
 * lies is not told to whoever asks: set it.
 *
 * @see https://github.com/developmentseed/mosaicjson-spec/tree/main/0.0.3
 */
export function mosaicJson(
  { catalogue, title, attribution }: Described,
  address: string,
  order: (tile: MapTile) => number[],
): object {
  const bounds = mapBounds(catalogue);
  const squares = new Map<string, MapTile>();
  for (const { bounds: cell } of catalogue.places)
    for (const tile of mapTilesIn(cell)) squares.set(mercatorQuadkey(tile), tile);
  const tiles = [...squares].sort(([a], [b]) => (a < b ? -1 : 1)).map(([quadkey, tile]) => [quadkey, order(tile).map((at) => catalogue.tiles[at].files.visual)]); // prettier-ignore
  return {
    mosaicjson: '0.0.3',
    name: title,
    attribution,
    version: '1.0.0',
    ...(address.startsWith('s3://') ? { asset_prefix: `${address}/` } : {}),
    minzoom: MOSAIC_ZOOM,
    maxzoom: NATIVE_ZOOM,
    quadkey_zoom: MOSAIC_ZOOM,
    bounds,
    center: [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, 14],
    tiles: Object.fromEntries(tiles.filter(([, rasters]) => rasters.length > 0)),
  };
}

function mapTilesIn([west, south, east, north]: Bounds): MapTile[] {
  const side = (2 * HALF) / 2 ** MOSAIC_ZOOM;
  const count = 2 ** MOSAIC_ZOOM;
  const tiles: MapTile[] = [];
  for (let y = Math.floor((HALF - north) / side); y * side < HALF - south; y++)
    for (let x = Math.floor((west + HALF) / side); x * side < east + HALF; x++)
      tiles.push({ z: MOSAIC_ZOOM, x: (x + count) % count, y });
  return tiles;
}

/** A Web-Mercator quadkey: not one of the ARD grid. */
function mercatorQuadkey({ z, x, y }: MapTile): string {
  return Array.from({ length: z }, (_, digit) => ((x >> (z - 1 - digit)) & 1) + 2 * ((y >> (z - 1 - digit)) & 1)).join(''); // prettier-ignore
}
