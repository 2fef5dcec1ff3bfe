import type { Figure } from './chart.ts';
import { ink } from './plotly.ts';

export interface HeatOptions {
  /** One a row, from the top. */
  rows: readonly string[];
  /** One a column. Default: the rows' labels. */
  columns?: readonly string[] | undefined;
  /** `[row, col]`; what is not finite stays blank. */
  values: readonly (readonly number[])[];
  title: string;
  /** What the columns are. */
  xTitle: string;
  /** What the rows are. */
  yTitle: string;
  /** What the colour tells, with the unit. */
  zTitle: string;
  /** Values of the ends of the colours. Default: the least and the greatest. */
  range?: readonly [low: number, high: number] | undefined;
}

/** Columns up to which each square has its number in it. */
const NUMBERED = 12;

/**
 * Squares coloured by value, dark blue to yellow (cividis), each with its number where they are few.
 *
 * @throws {RangeError} when the values are not as many rows and columns as the labels
 */
export function heatFigure({
  rows,
  columns = rows,
  values,
  title,
  xTitle,
  yTitle,
  zTitle,
  range,
}: HeatOptions): Figure {
  const odd = values.find((row) => row.length !== columns.length);
  if (values.length !== rows.length || odd) {
    const found = `${values.length} × ${(odd ?? values[0] ?? []).length}`;
    throw new RangeError(`heat requires ${rows.length} × ${columns.length} values, got ${found}`);
  }
  const trace = {
    type: 'heatmap',
    x: columns,
    y: rows,
    z: values,
    colorscale: 'Cividis',
    ...(range && { zmin: range[0], zmax: range[1] }),
    hoverongaps: false,
    hovertemplate: `%{y}<br>%{x}<br>${zTitle.replaceAll('%', '%%')}: %{z:.3~g}<extra></extra>`,
    xgap: 1,
    ygap: 1,
    colorbar: { title: { text: zTitle, side: 'right' }, thickness: 12, outlinewidth: 0, tickfont: { color: ink } },
    ...(columns.length <= NUMBERED && { texttemplate: '%{z:.2~f}', textfont: { size: 11 } }),
  };
  const axis = { type: 'category', showgrid: false, ticks: '' };
  return {
    traces: [trace],
    layout: {
      title,
      xaxis: { ...axis, title: xTitle, tickangle: -40 },
      yaxis: { ...axis, title: yTitle, autorange: 'reversed' },
      height: Math.max(300, 190 + 26 * rows.length),
    },
  };
}
