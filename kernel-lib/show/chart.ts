import { randomUUID } from 'node:crypto';
import { escapeHtml, font, framed, hairline, palette } from './look.ts';
import { drawScript, ink } from './plotly.ts';

export interface BarsOptions {
  /** One a bar, shown in this order. */
  labels: readonly string[];
  /** Heights, one a label. */
  values: readonly number[];
  /** `[low, high]` of each value, such as a confidence interval, in the values' own terms. Default: none. */
  intervals?: readonly (readonly [low: number, high: number])[] | undefined;
  title: string;
  /** What the labels are. */
  xTitle: string;
  /** What the values are, with the unit. */
  yTitle: string;
}

/** One line of a chart. */
export interface Series {
  name: string;
  x: ArrayLike<number> | readonly string[];
  y: ArrayLike<number>;
  /** Bounds of y, drawn as a band around the line. Default: none. */
  low?: ArrayLike<number> | undefined;
  high?: ArrayLike<number> | undefined;
}

export interface LinesOptions {
  series: readonly Series[];
  title: string;
  /** What x is, with the unit. */
  xTitle: string;
  /** What y is, with the unit. */
  yTitle: string;
}

/** Traces and layout in plotly's own terms. */
export interface Figure {
  traces: readonly object[];
  layout: Record<string, unknown>;
}

/**
 * Bars, lying down where the labels are many or long, with whiskers for intervals.
 *
 * @throws {RangeError} when labels, values and intervals differ in number
 */
export function barsFigure({ labels, values, intervals, title, xTitle, yTitle }: BarsOptions): Figure {
  for (const [what, count] of [
    ['values', values.length],
    ['intervals', intervals?.length ?? labels.length],
  ] as const) {
    if (count !== labels.length)
      throw new RangeError(`bars requires as many ${what} as labels, got ${count} for ${labels.length}`);
  }
  const lying = labels.length > 12 || labels.some((label) => label.length > 14);
  const whiskers = intervals && {
    type: 'data',
    symmetric: false,
    array: intervals.map(([, high], bar) => high - values[bar]),
    arrayminus: intervals.map(([low], bar) => values[bar] - low),
    thickness: 1.2,
    width: 3,
    color: ink,
  };
  const labelAxis = { type: 'category', title: xTitle, showgrid: false, ticks: '' };
  const valueAxis = { title: yTitle, rangemode: 'tozero' };
  const shape = { type: 'bar', marker: { opacity: 0.85 } };
  const trace = lying
    ? { ...shape, orientation: 'h', x: values, y: labels, error_x: whiskers }
    : { ...shape, x: labels, y: values, error_y: whiskers };
  const axes = lying
    ? { xaxis: valueAxis, yaxis: { ...labelAxis, autorange: 'reversed' } }
    : { xaxis: labelAxis, yaxis: valueAxis };
  return { traces: [trace], layout: { title, ...axes, ...(lying && { height: 110 + 24 * labels.length }) } };
}

/**
 * Lines that differ in dash and marker as well as in colour, with bands around those that have bounds.
 *
 * @throws {RangeError} when a line has one bound only, or not as many as points
 */
export function linesFigure({ series, title, xTitle, yTitle }: LinesOptions): Figure {
  const dashes = ['solid', 'dash', 'dot', 'dashdot'];
  const symbols = ['circle', 'square', 'diamond', 'triangle-up', 'x'];
  const lines = series.map(({ name, x, y }, index) => ({
    type: 'scatter',
    name,
    x: Array.from<number | string>(x),
    y: Array.from(y),
    mode: y.length > 40 ? 'lines' : 'lines+markers',
    line: { width: 2, dash: dashes[index % dashes.length], color: palette[index % palette.length] },
    marker: { size: 6, symbol: symbols[index % symbols.length] },
  }));
  return {
    traces: [...series.flatMap(bandTraces), ...lines],
    layout: { title, xaxis: { title: xTitle }, yaxis: { title: yTitle }, showlegend: series.length > 1 },
  };
}

/** The upper bound, and the lower one filled up to it; no legend of their own. */
function bandTraces({ name, x, y, low, high }: Series, index: number): object[] {
  if (!low && !high) return [];
  if (low?.length !== y.length || high?.length !== y.length) {
    throw new RangeError(`lines requires low and high for each of the ${y.length} points of ${name}, got ${low?.length ?? 0} and ${high?.length ?? 0}`); // prettier-ignore
  }
  const shape = { type: 'scatter', mode: 'lines', line: { width: 0 }, showlegend: false, hoverinfo: 'skip' };
  const places = Array.from<number | string>(x);
  const fill = { fill: 'tonexty', fillcolor: `${palette[index % palette.length]}33` };
  return [{ ...shape, x: places, y: Array.from(high) }, { ...shape, x: places, y: Array.from(low), ...fill }]; // prettier-ignore
}

/**
 * A plotly chart in the house look. A title may be a plain string, here and on the axes.
 *
 * @param script plotly itself, where this chart is the one that brings it; else empty
 */
export function chartHtml({ traces, layout }: Figure, script: string): string {
  const { title, ...rest } = layout;
  const heading = titleText(title);
  const height = typeof rest['height'] === 'number' ? rest['height'] : 360;
  const axes = Object.entries(rest).map(([key, value]) => [
    key,
    /^[xy]axis\d*$/.test(key) ? axisWithTitle(value) : value,
  ]);
  const id = `ims-${randomUUID()}`;
  const waiting = '<p class="ims-note">The chart appears once the notebook is trusted or its cells have run.</p>';
  const place = `<div id="${id}" role="img" aria-label="${escapeHtml(heading ?? 'chart')}" style="max-width:860px;height:${height}px">${waiting}</div>`;
  const figure = {
    data: traces,
    layout: { ...Object.fromEntries(axes), height, template: { layout: house() } },
    config,
  };
  return framed(place + script + drawScript(id, figure), '', heading);
}

/** Plotly's buttons: zoom and save stay. */
const config = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d', 'zoomIn2d', 'zoomOut2d'],
};

function house(): Record<string, unknown> {
  const axis = {
    gridcolor: hairline,
    linecolor: hairline,
    zerolinecolor: 'rgba(128, 128, 128, 0.6)',
    zerolinewidth: 1,
    automargin: true,
    title: { standoff: 8 },
  };
  return {
    font: { family: font, size: 12, color: ink },
    colorway: palette,
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    margin: { l: 56, r: 16, t: 18, b: 48 },
    xaxis: { ...axis, ticks: 'outside', tickcolor: hairline },
    yaxis: axis,
    legend: { orientation: 'h', x: 0, xanchor: 'left', y: 1.02, yanchor: 'bottom' },
    hoverlabel: { font: { family: font, size: 12 } },
    bargap: 0.25,
    modebar: { bgcolor: 'rgba(0,0,0,0)' },
  };
}

/** A title's words: plotly takes `{text}`, a cell may give a string. */
export function titleText(title: unknown): string | undefined {
  return typeof title === 'string' ? title : (title as { text?: string } | undefined)?.text;
}

function axisWithTitle(axis: unknown): unknown {
  const { title, ...rest } = axis as { title?: unknown };
  return typeof title === 'string' ? { ...rest, title: { text: title } } : axis;
}
