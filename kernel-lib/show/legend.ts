import { escapeHtml, hairline, palette } from './look.ts';
import { numberText } from './number.ts';

/** Rules of every map's legend and drawing. */
export const mapCss = `
.ims svg.ims-map { display: block; max-width: 100%; height: auto; }
.ims .ims-key { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 14px; margin-top: 6px; font-size: 12px; }
.ims .ims-key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px; vertical-align: -1px; box-sizing: border-box; }
.ims .ims-ramp { display: inline-block; width: 160px; height: 10px; border-radius: 2px; }`;

/** What each value is drawn in, and the words that say so. */
export interface Legend {
  colourOf: (value: number | string) => string;
  key: string;
}

/** One entry of a legend; `none` is drawn hollow. */
export function swatch(colour: string, words: string): string {
  const ground = colour === 'none' ? `border:1px solid ${hairline}` : `background:${colour}`;
  return `<span><i style="${ground}"></i>${escapeHtml(words)}</span>`;
}

/** The commonest seven have colours of their own, equals by their name; what is left shares the grey. */
export function categories(features: readonly { value: number | string }[]): Legend {
  const counts = new Map<string, number>();
  for (const { value } of features) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  const ranked = [...counts].sort(([a, some], [b, more]) => more - some || (a < b ? -1 : 1));
  const grey = palette.length - 1;
  const own = ranked.slice(0, ranked.length > palette.length ? grey : palette.length);
  const colours = new Map(own.map(([value], rank) => [value, palette[rank]]));
  const others = ranked.slice(own.length).reduce((sum, [, count]) => sum + count, 0);
  const entries = own.map(([value, count]) => swatch(colours.get(value)!, `${value}: ${numberText(count)}`));
  if (others > 0) entries.push(swatch(palette[grey], `${ranked.length - own.length} others: ${numberText(others)}`));
  return { colourOf: (value) => colours.get(String(value)) ?? palette[grey], key: entries.join('') };
}

/** What stands below the drawing of a map: a line for whose data it is, and a bar of a round number of metres. */
export interface Footing {
  pixelsPerMetre: number;
  width: number;
  height: number;
}

/** Pixels that a letter of the credit line takes, about; and a line of it. */
const [LETTER, LINE] = [5.3, 12];

/** A round number of metres that takes up to a quarter of the width; a line higher where the credit needs the room. */
export function scaleBar({ pixelsPerMetre, width, height }: Footing, credit = ''): string {
  const room = width / 4 / pixelsPerMetre;
  const power = 10 ** Math.floor(Math.log10(room));
  const metres = [5, 2, 1].map((step) => step * power).find((step) => step <= room) ?? power;
  const length = Math.round(metres * pixelsPerMetre);
  const isTight = credit.length * LETTER + length + 80 > width;
  const [x, y] = [8, height - 8 - (isTight ? LINE : 0)];
  const words = metres >= 1000 ? `${numberText(metres / 1000)} km` : `${numberText(metres)} m`;
  const line = `<path d="M${x} ${y - 4}v4h${length}v-4" fill="none" stroke="currentColor" stroke-opacity="0.7"/>`;
  return `${line}<text x="${x + length + 6}" y="${y}" font-size="11" fill="currentColor" fill-opacity="0.8">${words}</text>`;
}

/** Whose data a map shows, at its lower right: within the drawing, so that a copy of the picture has it too. */
export function creditLine(words: string | undefined, { width, height }: Footing): string {
  if (words === undefined) return '';
  return `<text x="${width - 8}" y="${height - 8}" text-anchor="end" font-size="10" fill="currentColor" fill-opacity="0.8">${escapeHtml(words)}</text>`;
}
