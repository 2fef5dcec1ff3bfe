import { randomUUID } from 'node:crypto';
import type { LikenessView } from './view.ts';
import { rarestOf } from './view.ts';
import { escapeHtml, inks } from './ink.ts';

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
 *
 * @param title above it. Default: none
 */
export function likenessHtml(view: LikenessView, { title }: { title?: string | undefined } = {}): string {
  const id = `likeness-${randomUUID()}`;
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
  const circles = points.map(({ x, y }, at) => `<circle class="c${groups[at] < 0 ? COLOURED : groups[at]}" cx="${x}" cy="${y}" r="3.2"/>`).join(''); // prettier-ignore
  const sampled = view.of > points.length ? `${points.length} of ${view.of} chips, drawn at random` : `all ${points.length} chips`; // prettier-ignore
  return `<div class="likeness" id="${id}"><style>${css}</style>${title === undefined ? '' : `<b>${escapeHtml(title)}</b>`}
<p>${chooser(view.labels)}<span class="key">${key(coloured, groups)}</span></p>
<div class="stage"><svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${points.length} chips laid out by likeness">${circles}</svg><div class="chip" hidden><i></i><span></span></div></div>
<p class="note">${sampled}. Chips that lie together look alike to the model; how far groups lie apart, and which way, says nothing (UMAP). Several tags: the rarest of those listed gives the colour.</p>
<script>(${browse.toString()})(document.getElementById('${id}'), ${scriptJson({ points, labels: view.labels, side: view.sheet.side, columns: view.sheet.columns, count: points.length, width: WIDTH, height, jpeg: Buffer.from(view.sheet.jpeg).toString('base64') })});</script></div>`;
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
.likeness circle.on { fill: ${inks[1]}; fill-opacity: 0.95; }
.likeness circle.maybe { fill: none; stroke: #8c8c8c; }
.likeness circle.at { stroke: currentColor; stroke-width: 2; fill-opacity: 1; }
.likeness .chip { position: absolute; pointer-events: none; background: #fff; color: #111; border-radius: 4px; box-shadow: 0 2px 12px rgba(0, 0, 0, 0.4); padding: 6px; font-size: 11px; line-height: 1.35; width: 160px; overflow-wrap: anywhere; z-index: 2; white-space: pre-line; }
.likeness .chip[hidden] { display: none; }
.likeness .chip i { display: block; width: 160px; height: 160px; margin-bottom: 4px; background-color: #888; }
${[...inks.slice(0, COLOURED), '#8c8c8c'].map((ink, at) => `.likeness .c${at} { fill: ${ink}; background: ${ink}; }`).join('\n')}`;

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

/** As much of the browser's elements as {@link browse} touches. */
interface Place {
  querySelector(selector: string): Place;
  querySelectorAll(selector: string): ArrayLike<Place>;
  addEventListener(name: string, listener: (event: { clientX: number; clientY: number }) => void): void;
  setAttribute(name: string, value: string): void;
  getAttribute(name: string): string;
  getBoundingClientRect(): { left: number; top: number; width: number };
  classList: { toggle(name: string, isOn: boolean): void };
  style: Record<string, string>;
  hidden: boolean;
  textContent: string;
  value: string;
}

/** What the browser is given. */
interface Sheet {
  points: Drawn[];
  labels: string[];
  side: number;
  columns: number;
  count: number;
  width: number;
  height: number;
  jpeg: string;
}

/** Runs in the browser, and so knows nothing but its arguments: the thumbnail of the point under the pointer, and the choice of tag. */
function browse(place: Place, { points, labels, side, columns, count, width, height, jpeg }: Sheet): void {
  const [svg, chip, select] = ['svg', '.chip', 'select'].map((name) => place.querySelector(name));
  const [picture, words] = [chip.querySelector('i'), chip.querySelector('span')];
  const circles = svg.querySelectorAll('circle');
  const scale = 160 / side;
  picture.style['backgroundImage'] = `url(data:image/jpeg;base64,${jpeg})`;
  picture.style['backgroundSize'] = `${columns * 160}px ${Math.ceil(count / columns) * 160}px`;
  picture.style['imageRendering'] = scale > 4 ? 'pixelated' : 'auto';
  let shown = -1;
  const show = (next: number): void => {
    if (circles[shown]) circles[shown].classList.toggle('at', false);
    shown = next;
    chip.hidden = next < 0;
    if (next < 0) return;
    const { x, y, has, words: about } = points[next];
    circles[next].classList.toggle('at', true);
    picture.style['backgroundPosition'] = `-${(next % columns) * 160}px -${Math.floor(next / columns) * 160}px`;
    words.textContent = `${about}\n${has.map((at) => labels[at]).join(', ') || 'no tag'}`;
    const ratio = svg.getBoundingClientRect().width / width;
    chip.style['left'] = `${x * ratio + (x > width / 2 ? -190 : 16)}px`;
    chip.style['top'] = `${Math.max(0, Math.min(y * ratio - 80, height * ratio - 210))}px`;
  };
  svg.addEventListener('pointermove', ({ clientX, clientY }) => {
    const box = svg.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top].map((at) => (at * width) / box.width);
    let [best, near] = [-1, 14 * 14];
    points.forEach((point, at) => {
      const far = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (far < near) [best, near] = [at, far];
    });
    if (best !== shown) show(best);
  });
  svg.addEventListener('pointerleave', () => show(-1));
  select.addEventListener('change', () => {
    const tag = select.value === '' ? -1 : Number(select.value);
    points.forEach(({ has, unknown }, at) => {
      circles[at].classList.toggle('on', has.includes(tag));
      circles[at].classList.toggle('maybe', unknown.includes(tag));
      circles[at].classList.toggle('off', tag >= 0 && !has.includes(tag) && !unknown.includes(tag));
    });
  });
}
