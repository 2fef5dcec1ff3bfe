import type { Feature, FeatureCollection } from 'geojson';
import {
  type ExpressionSpecification,
  type FillLayerSpecification,
  type GeoJSONSource,
  type LayerSpecification,
  type LineLayerSpecification,
  type MapMouseEvent,
  Map as GlMap,
  type RasterTileSource,
  ScaleControl,
  type StyleSpecification,
} from 'maplibre-gl';
import { BASE } from './ask.ts';
import type { Facts } from './shapes.ts';
import type { State } from './state.ts';

/** What lies above the pictures, from below upwards. */
export const OVERLAYS = ['tags', 'change', 'grid', 'asked', 'hits'] as const;
export type Overlay = (typeof OVERLAYS)[number];

/** Colours of what OpenStreetMap has, by key. */
export const TAG_COLOURS: Record<string, string> = {
  building: '#ff9f1c', highway: '#ffffff', natural: '#7bd389', landuse: '#b5e48c', waterway: '#4cc9f0', leisure: '#57cc99',
}; // prettier-ignore
export const OTHER_TAGS = '#d0a2ff';

/** The zoom from which single chips can be told apart. */
export const GRID_ZOOM = 15;

/** What the ground tells. */
export interface GroundEvents {
  onClick(place: [lon: number, lat: number], under: { overlay: Overlay; feature: Feature }[]): void;
  onPoint(under: { overlay: Overlay; feature: Feature }[], at: { x: number; y: number } | undefined): void;
  onMoved(): void;
  /** A map tile could not be had: 503 where it will be soon. */
  onTileFault(status: number, reason: string): void;
}

/** Milliseconds in which pictures come up; at once for who wants no motion. */
const FADE = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 120;
const EMPTY: FeatureCollection = { type: 'FeatureCollection', features: [] };
/** An expression of MapLibre's style language, which its own types are too wide for. */
type Paint = ExpressionSpecification | string;

const colourOfTag: Paint = [
  'match',
  ['get', 'main'],
  ...Object.entries(TAG_COLOURS).flat(),
  OTHER_TAGS,
] as unknown as ExpressionSpecification;
const verdictColour: Paint = ['match', ['get', 'verdict'], 'accepted', '#5fe39a', 'rejected', '#ff9b87', '#ffd23f'];
const ramp: Paint = ['interpolate', ['linear'], ['get', 'probability'], 0, '#fff1a8', 0.5, '#fb8b3c', 1, '#d4006a'];

/** Lines that show on light and on dark ground: a dark one beneath each. */
function lines(source: Overlay, colour: Paint, width: number): LayerSpecification[] {
  const line = (id: string, paint: LineLayerSpecification['paint']): LayerSpecification => ({ id: `${source}-${id}`, type: 'line', source, layout: { 'line-join': 'round' }, paint: paint! }); // prettier-ignore
  return [line('edge', { 'line-color': '#000', 'line-opacity': 0.55, 'line-width': width + 2 }), line('line', { 'line-color': colour, 'line-width': width })]; // prettier-ignore
}

function fill(source: Overlay, paint: NonNullable<FillLayerSpecification['paint']>): FillLayerSpecification {
  return { id: `${source}-fill`, type: 'fill', source, paint };
}

function layersAbove(): LayerSpecification[] {
  const dot: LayerSpecification = { id: 'tags-dot', type: 'circle', source: 'tags', filter: ['==', ['geometry-type'], 'Point'], paint: { 'circle-radius': 4, 'circle-color': colourOfTag, 'circle-stroke-color': '#000', 'circle-stroke-width': 1, 'circle-stroke-opacity': 0.6 } }; // prettier-ignore
  return [
    { ...fill('tags', { 'fill-color': colourOfTag, 'fill-opacity': 0.16 }), filter: ['==', ['geometry-type'], 'Polygon'] },
    { id: 'tags-line', type: 'line', source: 'tags', paint: { 'line-color': colourOfTag, 'line-width': 1.6, 'line-opacity': 0.9 } },
    dot,
    fill('change', { 'fill-color': ramp, 'fill-opacity': ['interpolate', ['linear'], ['get', 'probability'], 0, 0.08, 1, 0.3] }),
    { id: 'change-line', type: 'line', source: 'change', paint: { 'line-color': ramp, 'line-width': 1.6 } },
    fill('grid', { 'fill-color': '#fff', 'fill-opacity': ['case', ['get', 'at'], 0.16, 0] }),
    { id: 'grid-line', type: 'line', source: 'grid', paint: { 'line-color': '#fff', 'line-opacity': ['case', ['get', 'stored'], 0.55, 0.2], 'line-width': 1 } },
    fill('hits', { 'fill-color': verdictColour, 'fill-opacity': ['case', ['get', 'at'], 0.24, 0.04] }),
    ...lines('hits', verdictColour, 2.4),
    ...lines('asked', '#ffffff', 3),
  ]; // prettier-ignore
}

/** The map: one picture, or two beside each other with a divider between. */
export class Ground {
  readonly after: GlMap;
  #before: GlMap | undefined;
  readonly #places: { after: HTMLElement; before: HTMLElement };
  #facts: Facts;
  readonly #events: GroundEvents;
  readonly #data = new Map<Overlay, FeatureCollection>();
  #days: { after: string; before: string };
  /** Which map tiles each map shows. */
  readonly #shown = new Map<GlMap, string>();
  #isFollowing = false;

  constructor(places: { after: HTMLElement; before: HTMLElement }, facts: Facts, state: State, days: { after: string; before: string }, events: GroundEvents) {
    this.#places = places;
    this.#facts = facts;
    this.#events = events;
    this.#days = days;
    const { view } = state;
    this.after = this.#map(places.after, days.after, view && { center: [view.lon, view.lat], zoom: view.zoom });
    this.after.addControl(new ScaleControl({ maxWidth: 120 }), 'bottom-left');
    this.after.on('moveend', () => events.onMoved());
  } // prettier-ignore

  /** Maps that are there. */
  get maps(): GlMap[] {
    return this.#before ? [this.after, this.#before] : [this.after];
  }

  /** West, south, east, north of what is seen, degrees. */
  get bounds(): [number, number, number, number] {
    const { _sw, _ne } = this.after.getBounds();
    return [_sw.lng, _sw.lat, _ne.lng, _ne.lat];
  }

  #map(container: HTMLElement, day: string, view?: { center: [number, number]; zoom: number }): GlMap {
    const { bounds, store } = this.#facts;
    const [west, south, east, north] = 'bounds' in store ? store.bounds : bounds;
    const start = view ?? { bounds: [west, south, east, north] as [number, number, number, number], fitBoundsOptions: { padding: 48 } }; // prettier-ignore
    const map = new GlMap({
      container, style: this.#style(day), ...start, maxZoom: 20.5, maxPitch: 0, dragRotate: false, touchPitch: false,
      attributionControl: false, fadeDuration: FADE, rollEnabled: false,
    }); // prettier-ignore
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.getCanvas().setAttribute('aria-label', `Satellite pictures, ${container.id} the divider`);
    this.#shown.set(map, this.#tiles(day));
    map.on('style.load', () => this.#showTiles());
    map.on('style.load', () => this.#data.forEach((data, name) => void sourceOf(map, name)?.setData(data)));
    map.on('click', (event) => this.#events.onClick([event.lngLat.lng, event.lngLat.lat], this.#under(map, event)));
    map.on('mousemove', (event) => this.#events.onPoint(this.#under(map, event), event.point));
    map.on('mouseout', () => this.#events.onPoint([], undefined));
    map.on('error', (event) => { const { error } = event as unknown as { error: Error & { status?: number } }; this.#events.onTileFault(error.status ?? 0, error.message); }); // prettier-ignore
    return map;
  }

  #style(day: string): StyleSpecification {
    const [west, south, east, north] = this.#facts.bounds;
    const overlays = OVERLAYS.map((name) => [name, { type: 'geojson', data: this.#data.get(name) ?? EMPTY, tolerance: 0.1 }]); // prettier-ignore
    const bounds = east > 180 || west < -180 ? {} : { bounds: [west, south, east, north] };
    const ground = { type: 'raster', tiles: [this.#tiles(day)], tileSize: 256, minzoom: 0, maxzoom: 19, ...bounds };
    return {
      version: 8,
      sources: { ground, ...Object.fromEntries(overlays) } as StyleSpecification['sources'],
      layers: [
        { id: 'sea', type: 'background', paint: { 'background-color': '#0c0e10' } },
        { id: 'ground', type: 'raster', source: 'ground', paint: { 'raster-fade-duration': FADE } },
        ...layersAbove(),
      ],
    };
  }

  /** The delivery's key is in the address, so that no browser shows what was there before. */
  #tiles(day: string): string {
    return `${BASE}tiles/{z}/{x}/{y}.webp?to=${day}&of=${this.#facts.key}`;
  }

  #under(map: GlMap, { point }: MapMouseEvent): { overlay: Overlay; feature: Feature }[] {
    const reach = 3;
    const box: [[number, number], [number, number]] = [[point.x - reach, point.y - reach], [point.x + reach, point.y + reach]]; // prettier-ignore
    const layers = ['hits-fill', 'change-fill', 'tags-dot', 'tags-line', 'tags-fill', 'grid-fill'].filter((id) => map.getLayer(id)); // prettier-ignore
    return map.queryRenderedFeatures(box, { layers }).map((feature) => ({ overlay: feature.source as Overlay, feature: feature as Feature })); // prettier-ignore
  }

  setData(name: Overlay, data: FeatureCollection): void {
    this.#data.set(name, data);
    for (const map of this.maps) void sourceOf(map, name)?.setData(data);
  }

  /** Shows other days; on the left the other one, where two are compared. */
  setDays(days: { after: string; before: string }, isComparing: boolean): void {
    this.#days = days;
    this.#places.before.hidden = !isComparing;
    if (isComparing) this.#compare();
    this.#showTiles();
  }

  /** Shows what another state of the delivery has. */
  reload(facts: Facts): void {
    this.#facts = facts;
    this.#shown.clear(); // also those that could not be had before are asked for again
    this.#showTiles();
  }

  /** Has each map show its day, where it does not yet. */
  #showTiles(): void {
    for (const map of this.maps) {
      const tiles = this.#tiles(map === this.after ? this.#days.after : this.#days.before);
      const pictures = map.getSource<RasterTileSource>('ground');
      if (!pictures || this.#shown.get(map) === tiles) continue;
      this.#shown.set(map, tiles);
      pictures.setTiles([tiles]);
    }
  }

  #compare(): void {
    const { after } = this;
    if (this.#before) {
      this.#before.resize();
      return void this.#before.jumpTo(poseOf(after));
    }
    const { center, zoom } = poseOf(after);
    const before = this.#map(this.#places.before, this.#days.before, { center: [center.lng, center.lat], zoom });
    this.#before = before;
    const follow = (leader: GlMap, follower: GlMap): void => {
      leader.on('move', () => {
        if (this.#isFollowing) return;
        this.#isFollowing = true;
        follower.jumpTo(poseOf(leader));
        this.#isFollowing = false;
      });
    };
    follow(after, before);
    follow(before, after);
  }

  resize(): void {
    for (const map of this.maps) map.resize();
  }
}

function poseOf(map: GlMap): { center: ReturnType<GlMap['getCenter']>; zoom: number } {
  return { center: map.getCenter(), zoom: map.getZoom() };
}

function sourceOf(map: GlMap, name: Overlay): GeoJSONSource | undefined {
  return map.getSource(name);
}
