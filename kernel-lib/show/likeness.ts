import { randomUUID } from 'node:crypto';
import type { LikenessView, ViewPoint } from '../similarity/index.ts';
import { likenessScript } from './likenessscript.ts';
import { escapeHtml, palette } from './look.ts';

/** Options of {@link likenessHtml}. */
export interface LikenessOptions {
  /** Above the picture. Default: none. */
  title?: string | undefined;
  /** The element's id, no other of the page's. Default: a random one. */
  id?: string | undefined;
}

/** Colours of labels: the rarest of its labels colours a chip. */
const COLOURED = 7;
const [WIDTH, GAP] = [860, 10];

/** What the script needs of a point: its place, and which labels it has, by number. */
interface Drawn {
  x: number;
  y: number;
  words: string;
  has: number[];
  unknown: number[];
}

/**
 * The picture of all chips as a piece of HTML, without anything from outside: points coloured by tag, a thumbnail on hover, and a choice of tag. Without
 * scripts it is a still picture.
 */
export function likenessHtml(view: LikenessView, { title, id = `likeness-${randomUUID()}` }: LikenessOptions = {}): string {
  const height = Math.round(Math.max(0.25, ...view.points.map(({ y }) => y)) * (WIDTH - 2 * GAP)) + 2 * GAP;
  const coloured = view.labels.slice(0, COLOURED);
  const points = view.points.map(({ x, y, row }): Drawn => ({
    x: Math.round(GAP + x * (WIDTH - 2 * GAP)),
    y: Math.round(GAP + y * (WIDTH - 2 * GAP)),
    words: `${row.id} · ${row.date}`,
    has: view.labels.flatMap((label, at) => (row.labels[label] === 1 ? [at] : [])),
    unknown: view.labels.flatMap((label, at) => (row.labels[label] == null ? [at] : [])),
  }));
  const groups = view.points.map(({ row }) => coloured.indexOf(rarestOf(row, coloured) ?? ''));
  const radius = points.length > 400 ? 3.2 : 5;
  const circles = points.map(({ x, y }, at) => `<circle class="c${groups[at] < 0 ? COLOURED : groups[at]}" cx="${x}" cy="${y}" r="${radius}"/>`).join(''); // prettier-ignore
  const sampled = view.of > points.length ? `${points.length} of ${view.of} chips, drawn at random` : `All ${points.length} chips`; // prettier-ignore
  return `<div class="likeness" id="${id}"><style>${css}</style>${title === undefined ? '' : `<b>${escapeHtml(title)}</b>`}
<p>${chooser(view.labels)}<span class="key">${key(coloured, groups)}</span></p>
<div class="stage"><svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${points.length} chips laid out by likeness">${circles}</svg><div class="chip" hidden><i></i><span></span></div></div>
<p class="note">${sampled}. Chips that lie together look alike to the model; how far groups lie apart, and which way, says nothing (UMAP). Several tags: the rarest of those listed gives the colour.</p>
<script>(${likenessScript})(document.getElementById('${id}'), ${scriptJson({ points, labels: view.labels, side: view.sheet.side, columns: view.sheet.columns, count: points.length, width: WIDTH, height, jpeg: Buffer.from(view.sheet.jpeg).toString('base64') })});</script></div>`;
} // prettier-ignore

const css = `
.likeness { font: 13px/1.45 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; color: inherit; max-width: ${WIDTH}px; }
.likeness p { margin: 4px 0; display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: center; }
.likeness .note { font-size: 12px; opacity: 0.75; }
.likeness .key { display: inline-flex; flex-wrap: wrap; gap: 2px 14px; font-size: 12px; }
.likeness .key i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 5px; }
.likeness .stage { position: relative; border: 1px solid rgba(128, 128, 128, 0.32); border-radius: 4px; }
.likeness svg { display: block; width: 100%; height: auto; }
.likeness select { font: inherit; max-width: 240px; }
.likeness circle { fill-opacity: 0.75; }
.likeness circle.off { fill: #8c8c8c; fill-opacity: 0.22; }
.likeness circle.on { fill: ${palette[1]}; fill-opacity: 0.95; }
.likeness circle.maybe { fill: none; stroke: #8c8c8c; }
.likeness circle.at { stroke: currentColor; stroke-width: 2; fill-opacity: 1; }
.likeness .chip { position: absolute; pointer-events: none; background: #fff; color: #111; border-radius: 4px; box-shadow: 0 2px 12px rgba(0, 0, 0, 0.4); padding: 6px; font-size: 11px; line-height: 1.35; width: 160px; overflow-wrap: anywhere; z-index: 2; white-space: pre-line; }
.likeness .chip[hidden] { display: none; }
.likeness .chip i { display: block; width: 160px; height: 160px; margin-bottom: 4px; background-color: #888; }
${[...palette.slice(0, COLOURED), '#8c8c8c'].map((ink, at) => `.likeness .c${at} { fill: ${ink}; background: ${ink}; }`).join('\n')}`;

function chooser(labels: readonly string[]): string {
  const options = labels.map((label, at) => `<option value="${at}">${escapeHtml(label)}</option>`);
  return `<label>Tag <select><option value="">all</option>${options.join('')}</select></label>`;
}

function key(coloured: readonly string[], groups: readonly number[]): string {
  const count = (group: number): number => groups.filter((each) => each === group).length;
  const entries = coloured.map((label, at) => `<span><i class="c${at}"></i>${escapeHtml(label)}: ${count(at)}</span>`);
  return [...entries, `<span><i class="c${COLOURED}"></i>none of these: ${count(-1)}</span>`].join('');
}

/** JSON as it may stand inside a script element. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029'); // prettier-ignore
}

/** The rarest label that a chip has among some, which are in order of frequency; nothing where it has none. */
function rarestOf({ labels: own }: ViewPoint['row'], labels: readonly string[]): string | undefined {
  return labels.findLast((label) => own[label] === 1);
}
