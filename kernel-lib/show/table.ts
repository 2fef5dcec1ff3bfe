import { escapeHtml, framed, hairline } from './look.ts';
import { decimalsFor, numberText } from './number.ts';

/** Rows as objects, or a danfojs DataFrame (or anything else with `columns` and `values`). */
export type Table = readonly object[] | { columns: readonly string[]; values: readonly unknown[] };

export interface TableOptions {
  /** Above the table. Default: none. */
  title?: string | undefined;
  /** Rows shown at most. Default: 20. */
  limit?: number | undefined;
}

const css = `
.ims table.ims-table { border-collapse: collapse; border: 0; margin: 0; font-size: 13px; table-layout: auto; width: auto; }
.ims table.ims-table tr, .ims table.ims-table tbody tr:nth-child(odd), .ims table.ims-table tbody tr:nth-child(even) { background: transparent; }
.ims table.ims-table tbody tr:hover { background: rgba(128, 128, 128, 0.12); }
.ims table.ims-table th, .ims table.ims-table td { border: 0; padding: 3px 14px 3px 0; text-align: left; vertical-align: top; max-width: 420px; overflow-wrap: anywhere; }
.ims table.ims-table th { font-weight: 600; border-bottom: 1px solid ${hairline}; }
.ims table.ims-table td { border-bottom: 1px solid rgba(128, 128, 128, 0.14); }
.ims table.ims-table .ims-number { text-align: right; white-space: nowrap; }`;

/**
 * A table as HTML: numbers to the right, three figures of each column's largest, and the count of rows where it is cut.
 *
 * Missing values (null, undefined, NaN) show as a dash.
 *
 * @throws {RangeError} when `limit` is not a positive whole number
 */
export function tableHtml(table: Table, { title, limit = 20 }: TableOptions = {}): string {
  if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`table requires a positive limit, got ${limit}`);
  const { columns, rows } = columnsAndRows(table);
  if (rows.length === 0) return framed('<p class="ims-note">no rows</p>', css, title);
  const shown = rows.slice(0, limit);
  const formats = columns.map((_, column) => formatOf(shown.map((row) => row[column])));
  const head = columns.map((name, column) => `<th${formats[column].attribute}>${escapeHtml(name)}</th>`).join('');
  const body = shown.map(
    (row) =>
      `<tr>${formats.map((format, column) => `<td${format.attribute}>${escapeHtml(format.text(row[column]))}</td>`).join('')}</tr>`,
  );
  const cut = rows.length > limit ? `<p class="ims-note">${limit} of ${numberText(rows.length)} rows</p>` : '';
  return framed(
    `<table class="ims-table"><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table>${cut}`,
    css,
    title,
  );
}

function columnsAndRows(table: Table): { columns: string[]; rows: unknown[][] } {
  if ('columns' in table) {
    return {
      columns: [...table.columns],
      rows: table.values.map((row) => (Array.isArray(row) ? (row as unknown[]) : [row])),
    };
  }
  const columns = [...new Set(table.flatMap((row) => Object.keys(row)))];
  return { columns, rows: table.map((row) => columns.map((name) => (row as Record<string, unknown>)[name])) };
}

interface Format {
  attribute: string;
  text(value: unknown): string;
}

function formatOf(values: unknown[]): Format {
  const numbers = values.filter((value) => typeof value === 'number' && Number.isFinite(value)) as number[];
  const numeric =
    numbers.length > 0 &&
    values.every((value) => isMissing(value) || typeof value === 'number' || typeof value === 'bigint');
  if (!numeric) return { attribute: '', text: cellText };
  const decimals = numbers.every(Number.isInteger) ? 0 : decimalsFor(Math.max(...numbers.map(Math.abs)));
  return {
    attribute: ' class="ims-number"',
    text: (value) => (typeof value === 'number' ? numberText(value, decimals) : cellText(value)),
  };
}

const isMissing = (value: unknown): boolean => value === null || value === undefined || Number.isNaN(value);

function cellText(value: unknown): string {
  if (isMissing(value)) return '–';
  if (typeof value === 'number') return numberText(value);
  if (value instanceof Date) return value.toISOString().replace('T00:00:00.000Z', '');
  if (Array.isArray(value)) return value.map(cellText).join(', ');
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'string' ? value : JSON.stringify(value);
}
