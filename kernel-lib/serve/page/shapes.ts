import type { FeatureCollection, MultiPolygon, Polygon } from 'geojson';

/** What the page has to know before anything is asked: `/facts.json`. */
export interface Facts {
  title: string;
  attribution: string;
  /** West, south, east, north, degrees. */
  bounds: [west: number, south: number, east: number, north: number];
  /** Days of the catalogue in order, and how many cells each shows. */
  days: { day: string; cells: number }[];
  /** Changes when what is served does. */
  key: string;
  overviews: { total: number; ready: number; making: boolean; fault?: string | undefined };
  /** The store that answers; where there is none, how to make one. */
  store: StoreFact | { remedy: string };
  changes: { there: true } | { remedy: string };
}

/** What the page has to know of the store. */
export interface StoreFact {
  table: string;
  version: string;
  model: string;
  rows: number;
  days: string[];
  /** Around the centres of its chips. */
  bounds: [west: number, south: number, east: number, north: number];
  /** The most frequent tags, and of how many rows each. */
  tags: { tag: string; rows: number }[];
  hasCloud: boolean;
  hasOffNadir: boolean;
}

/** What an answer says of itself. */
export interface HitProperties {
  rank: number;
  id: string;
  catid: string;
  date: string;
  similarity: number;
  lon: number;
  lat: number;
  /** Semicolons between. */
  tags: string;
  cloud_percent: number | null;
  off_nadir: number | null;
}

/** Answers as GeoJSON, and how they were found: `/search`. */
export interface AnswerCollection extends FeatureCollection<Polygon | MultiPolygon> {
  /** The chips asked with, as features too. */
  asked: FeatureCollection<Polygon | MultiPolygon>;
  /** What `similarity` is: the cosine, or the probability that a place is wanted. */
  score: 'cosine' | 'probability';
  recall: { value: number; from: 'exact' | 'sample' | 'question'; k: number; questions: number };
  milliseconds: number;
  /** Rows that the filter left, where that is known, of how many. */
  left?: number | undefined;
  rows: number;
  table: string;
  version: string;
  model: string;
  licences: readonly { source: string; licence: string; attribution: string }[];
}

/** The acquisition that shows at a place: `/shown`. */
export interface ShownAnswer {
  shown: { date: string; catid: string } | null;
}

/** What a square of a change list says of itself. */
export interface ChangeProperties {
  id: string;
  rank: number;
  probability: number;
  before: string;
  beforeCatid: string;
  after: string;
  afterCatid: string;
}

/** What OpenStreetMap has in a view: `/tags`. */
export interface TagCollection extends FeatureCollection {
  /** To be shown where the features are. */
  attribution: string;
  /** Features in the view that are not among these: the smallest ones. */
  leftOut: number;
  /** Cells in the view whose map was not fetched, and how to. */
  missing: string[];
  remedy?: string | undefined;
}

/** A part of a change list: `/change`. */
export interface ChangeAnswer extends FeatureCollection<Polygon | MultiPolygon> {
  licences: unknown[];
  name: string;
  /** Squares of the list, and how many of those asked for are not among these: the least probable. */
  of: number;
  leftOut: number;
}
