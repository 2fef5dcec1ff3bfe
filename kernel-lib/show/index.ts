/**
 * What a notebook displays: progress, tables, charts, galleries, maps of squares, checks, what was written.
 *
 * Takes: the kernel (`import * as tslab from 'tslab'` in a cell: only cells can import it) and values of any stage.
 * Makes: outputs that read the same in Jupyter and in an executed copy, on light and dark ground, without a network.
 */
export { showIn } from './show.ts';
export type { Show, ShowOptions } from './show.ts';
export type { Kernel, Screen } from './kernel.ts';
export type { Table, TableOptions } from './table.ts';
export type { BarsOptions, LinesOptions, Series } from './chart.ts';
export type { HeatOptions } from './heat.ts';
export type { GalleryItem, GalleryOptions, ImageOptions, Mark, Pair, PairsOptions, Picture } from './gallery.ts';
export type { Square, SquaresOptions } from './squares.ts';
export type { MapFeature, MapOptions } from './map.ts';
export type { Fact } from './checks.ts';
export { likenessHtml, type LikenessOptions } from './likeness.ts';
export { reportPage } from './report.ts';
