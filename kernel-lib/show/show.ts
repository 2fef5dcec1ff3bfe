import type { Progress } from '../ard/index.ts';
import type { LikenessView } from '../similarity/index.ts';
import {
  barsFigure,
  chartHtml,
  linesFigure,
  titleText,
  type BarsOptions,
  type Figure,
  type LinesOptions,
} from './chart.ts';
import { checksHtml, demand, type Fact } from './checks.ts';
import {
  galleryHtml,
  imageHtml,
  pairsHtml,
  type GalleryItem,
  type GalleryOptions,
  type ImageOptions,
  type Pair,
  type PairsOptions,
  type Picture,
} from './gallery.ts';
import { heatFigure, type HeatOptions } from './heat.ts';
import type { Kernel } from './kernel.ts';
import { likenessHtml, type LikenessOptions } from './likeness.ts';
import { mapHtml, type MapFeature, type MapOptions } from './map.ts';
import { plotlyScript } from './plotly.ts';
import { progressIn } from './progress.ts';
import { squaresHtml, type Square, type SquaresOptions } from './squares.ts';
import { tableHtml, type Table, type TableOptions } from './table.ts';
import { measureWritten, writtenHtml, writtenLine } from './written.ts';

export interface ShowOptions {
  /** The clock that times progress, in milliseconds. Default: the machine's monotonic one. */
  now?: (() => number) | undefined;
}

/** What a notebook displays. Every method adds one output to the cell that calls it. */
export interface Show {
  /**
   * A bar that is updated in place: give what comes back as a step's `onProgress`. It ends as one line with the time
   * taken.
   */
  progress(label: string): (progress: Progress) => void;
  /** Rows, or a danfojs DataFrame, as a table. */
  table(table: Table, options?: TableOptions): void;
  /** A plotly chart: its traces and layout in plotly's own terms; titles may be plain strings. */
  chart(traces: readonly object[], layout?: object): void;
  /** Bars, with whiskers for intervals. */
  bars(options: BarsOptions): void;
  /** Lines over a common x, with bands for bounds. */
  lines(options: LinesOptions): void;
  /** A heat map: squares of two categories, coloured by value. */
  heat(options: HeatOptions): void;
  /** Thumbnails in a grid, marked ones framed. */
  gallery(items: readonly GalleryItem[], options?: GalleryOptions): Promise<void>;
  /** Pictures of one place before and after, side by side. */
  pairs(items: readonly Pair[], options?: PairsOptions): Promise<void>;
  /** A map of chips or cells, coloured by value. */
  squares(features: readonly Square[], options?: SquaresOptions): void;
  /** Points, lines and areas over a picture of the ground, coloured by value. */
  map(features: readonly MapFeature[], options: MapOptions): Promise<void>;
  /** Claims that must hold: shows each with a tick or a cross, then throws an Error that names those that fail. */
  checks(facts: readonly Fact[]): void;
  /** Text with Markdown in it. */
  markdown(text: string): void;
  /** All chips laid out by likeness, a thumbnail on hover. */
  likeness(view: LikenessView, options?: LikenessOptions): void;
  /** One picture. */
  image(image: Picture, options?: ImageOptions): Promise<void>;
  /** The closing box: paths, what they are, and their sizes; also printed as one line `wrote …`. */
  wrote(lines: readonly (readonly [path: string, what: string])[]): Promise<void>;
}

/**
 * What a notebook shows with, given its kernel.
 *
 * ```ts
 * import * as tslab from 'tslab';
 * import { showIn } from 'imagesim/show';
 * const show = showIn(tslab);
 * ```
 */
export function showIn(kernel: Kernel, { now = () => performance.now() }: ShowOptions = {}): Show {
  const html = (text: string): void => kernel.display.html(text);
  const chart = chartsIn(kernel);
  return {
    progress: (label) => progressIn(kernel, label, now),
    table: (table, options) => html(tableHtml(table, options)),
    chart: (traces, layout = {}) => chart({ traces, layout: layout as Record<string, unknown> }),
    bars: (options) => chart(barsFigure(options)),
    lines: (options) => chart(linesFigure(options)),
    heat: (options) => chart(heatFigure(options)),
    gallery: async (items, options) => html(await galleryHtml(items, options)),
    pairs: async (items, options) => html(await pairsHtml(items, options)),
    squares: (features, options) => html(squaresHtml(features, options)),
    map: async (features, options) => html(await mapHtml(features, options)),
    checks: (facts) => {
      html(checksHtml(facts));
      demand(facts);
    },
    markdown: (text) => kernel.display.markdown(text),
    likeness: (view, options) => html(likenessHtml(view, options)),
    image: async (image, options) => html(await imageHtml(image, options)),
    wrote: async (lines) => {
      const written = await measureWritten(lines);
      html(writtenHtml(written));
      console.log(writtenLine(written));
    },
  };
}

/**
 * The first chart brings plotly. It brings it again when one of its title does: its cell has run again, and the output
 * that had it is gone.
 */
function chartsIn(kernel: Kernel): (figure: Figure) => void {
  let carrier: string | undefined;
  return (figure) => {
    const name = titleText(figure.layout['title']);
    const carries = carrier === undefined || carrier === name;
    carrier ??= name ?? '';
    kernel.display.html(chartHtml(figure, carries ? plotlyScript() : ''));
  };
}
