import sharp from 'sharp';
import { eachUnit } from '../ard/index.ts';
import { escapeHtml, framed, hairline, palette } from './look.ts';

/** A file's path, or the bytes of an encoded image (JPEG, PNG, WebP, TIFF). */
export type Picture = string | Uint8Array;

/** What a picture is among the others: what was looked for, found rightly, found wrongly, has changed, or was accepted or rejected by hand. */
export type Mark = 'query' | 'hit' | 'miss' | 'changed' | 'accepted' | 'rejected';

export interface GalleryItem {
  image: Picture;
  /** Beneath the picture. Default: none. */
  caption?: string | undefined;
  /** Default: no mark. */
  mark?: Mark | undefined;
  /** By which a cell names it, such as the number of a search's answer: written on the picture. Default: none. */
  number?: number | undefined;
}

export interface GalleryOptions {
  /** Default: as many as fit. */
  columns?: number | undefined;
  /** Side of each picture, which is cut square, in pixels. Default: 152. */
  size?: number | undefined;
  /** Above the gallery. Default: none. */
  title?: string | undefined;
}

/** One place at two dates. */
export interface Pair {
  before: Picture;
  after: Picture;
  caption: string;
  /** Default: no mark. */
  mark?: Mark | undefined;
}

export interface PairsOptions extends GalleryOptions {
  /** Words above the two pictures. Default: `before`, `after`. */
  labels?: readonly [before: string, after: string] | undefined;
}

export interface ImageOptions {
  /** Beneath the picture. Default: none. */
  caption?: string | undefined;
  /** Shown width in pixels. Default: the picture's own, at most 860. */
  width?: number | undefined;
}

/** A sign and a line besides the colour, for readers who do not tell colours apart. */
const marks: Record<Mark, { sign: string; words: string; colour: string; line: string }> = {
  query: { sign: '◎', words: 'query', colour: palette[0], line: 'solid' },
  hit: { sign: '✓', words: 'hit', colour: palette[2], line: 'solid' },
  miss: { sign: '✗', words: 'miss', colour: palette[1], line: 'dashed' },
  changed: { sign: '△', words: 'changed', colour: palette[5], line: 'double' },
  accepted: { sign: '✓', words: 'accepted', colour: palette[2], line: 'solid' },
  rejected: { sign: '✗', words: 'rejected', colour: palette[1], line: 'dashed' },
};

const css = `
.ims .ims-grid { display: grid; gap: 14px 12px; justify-content: start; }
.ims .ims-grid img { display: block; margin: 0; max-width: none; box-sizing: border-box; border-radius: 2px; }
.ims .ims-grid figcaption { font-size: 11px; line-height: 1.4; margin-top: 4px; overflow-wrap: anywhere; }
.ims .ims-grid figure { position: relative; }
.ims .ims-badge { position: absolute; left: 0; top: 0; min-width: 20px; padding: 1px 6px; text-align: center; font-size: 13px; font-weight: 700; background: rgba(0, 0, 0, 0.72); color: #fff; border-radius: 2px 0 6px 0; }
.ims .ims-pair { display: flex; gap: 4px; }
.ims .ims-pair span { display: block; font-size: 11px; opacity: 0.68; }
.ims .ims-legend { display: flex; flex-wrap: wrap; gap: 2px 16px; }`;

/** Thumbnails in a grid, marked ones framed and signed. */
export async function galleryHtml(
  items: readonly GalleryItem[],
  { columns, size = 152, title }: GalleryOptions = {},
): Promise<string> {
  checkSize('gallery', size, columns);
  const figures = await eachUnit(items, 'pictures', async ({ image, caption, mark, number }) => {
    const badge = number === undefined ? '' : `<span class="ims-badge">${number}</span>`;
    return figure(picture(await thumbnail(image, size), size, mark, caption ?? '') + badge, caption, mark);
  });
  return grid(figures, size, columns, items, title);
}

/** Pictures of one place side by side, with one caption beneath each pair. */
export async function pairsHtml(
  items: readonly Pair[],
  { columns, size = 152, title, labels = ['before', 'after'] }: PairsOptions = {},
): Promise<string> {
  checkSize('pairs', size, columns);
  const figures = await eachUnit(items, 'pairs', async ({ before, after, caption, mark }) => {
    const two = await Promise.all([before, after].map((each) => thumbnail(each, size)));
    const halves = two.map(
      (source, at) =>
        `<div><span>${escapeHtml(labels[at])}</span>${picture(source, size, mark, `${labels[at]}: ${caption}`)}</div>`,
    );
    return figure(`<div class="ims-pair">${halves.join('')}</div>`, caption, mark);
  });
  return grid(figures, 2 * size + 4, columns, items, title);
}

/** One picture at its own proportions. */
export async function imageHtml(image: Picture, { caption, width }: ImageOptions = {}): Promise<string> {
  if (width !== undefined) checkSize('image', width, undefined);
  const { data, info } = await told(
    image,
    sharp(image)
      .resize({ width: width ?? 860, withoutEnlargement: width === undefined })
      .png()
      .toBuffer({ resolveWithObject: true }),
  );
  const source = `<img src="data:image/png;base64,${data.toString('base64')}" width="${info.width}" height="${info.height}" style="margin:0" alt="${escapeHtml(caption ?? '')}">`;
  return framed(
    `<figure>${source}${caption === undefined ? '' : `<figcaption class="ims-note">${escapeHtml(caption)}</figcaption>`}</figure>`,
    '',
  );
}

function checkSize(method: string, size: number, columns: number | undefined): void {
  if (!(size >= 1)) throw new RangeError(`${method} requires a positive size, got ${size}`);
  if (columns !== undefined && !(Number.isInteger(columns) && columns >= 1))
    throw new RangeError(`${method} requires a positive number of columns, got ${columns}`);
}

async function thumbnail(image: Picture, size: number): Promise<string> {
  const side = Math.round(size);
  const jpeg = await told(
    image,
    sharp(image)
      .resize(side, side, { fit: 'cover' })
      .flatten({ background: '#808080' })
      .jpeg({ quality: 82 })
      .toBuffer(),
  );
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}

async function told<Result>(image: Picture, work: Promise<Result>): Promise<Result> {
  return work.catch((error: unknown) => {
    const name = typeof image === 'string' ? image : `an image of ${image.length} bytes`;
    throw new Error(`cannot show ${name}: ${(error as Error).message}: give a JPEG, PNG, WebP or TIFF`, {
      cause: error,
    });
  });
}

function picture(source: string, size: number, mark: Mark | undefined, words: string): string {
  const frame =
    mark === undefined ? `border:1px solid ${hairline}` : `border:4px ${marks[mark].line} ${marks[mark].colour}`;
  return `<img src="${source}" width="${size}" height="${size}" style="${frame}" alt="${escapeHtml(words)}">`;
}

function figure(body: string, caption: string | undefined, mark: Mark | undefined): string {
  const sign = mark === undefined ? '' : `<b style="color:${marks[mark].colour}">${marks[mark].sign}</b> `;
  return `<figure>${body}<figcaption>${sign}${escapeHtml(caption ?? '')}</figcaption></figure>`;
}

function grid(
  figures: string[],
  width: number,
  columns: number | undefined,
  items: readonly { mark?: Mark | undefined }[],
  title: string | undefined,
): string {
  if (figures.length === 0) return framed('<p class="ims-note">no pictures</p>', css, title);
  const body = `<div class="ims-grid" style="grid-template-columns:repeat(${columns ?? 'auto-fill'}, ${width}px)">${figures.join('')}</div>`;
  return framed(body + legend(items), css, title);
}

function legend(items: readonly { mark?: Mark | undefined }[]): string {
  const used = (Object.keys(marks) as Mark[]).filter((mark) => items.some((item) => item.mark === mark));
  const entries = used.map((mark) => {
    const { sign, words, colour, line } = marks[mark];
    const count = items.filter((item) => item.mark === mark).length;
    return `<span><b style="color:${colour}">${sign}</b> ${words}: ${count}, ${line} frame</span>`;
  });
  return entries.length === 0 ? '' : `<p class="ims-note ims-legend">${entries.join('')}</p>`;
}
