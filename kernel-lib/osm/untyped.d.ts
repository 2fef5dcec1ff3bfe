// What this folder uses of two packages that come without types.

declare module 'osmtogeojson' {
  import type { FeatureCollection } from 'geojson';

  interface Properties {
    tainted?: boolean;
  }
  export default function osmtogeojson(answer: {
    elements: unknown[];
  }): FeatureCollection<
    import('geojson').Point | import('geojson').LineString | import('geojson').Polygon | import('geojson').MultiPolygon,
    Properties
  >;
}

declare module 'lineclip' {
  type Box = [west: number, south: number, east: number, north: number];

  export function clipPolygon(ring: number[][], box: Box): number[][];
  export function clipPolyline(line: number[][], box: Box): number[][][];
}
