import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { escapeHtml, framed, hairline, palette } from './look.ts';
import { bytesText, numberText } from './number.ts';

/** A file or folder that the notebook wrote, and what it is. */
export interface Written {
  path: string;
  what: string;
  /** Files in it, itself where it is one. */
  files: number;
  bytes: number;
}

const css = `
.ims .ims-written { border-left: 3px solid ${palette[2]}; padding: 2px 0 2px 12px; }
.ims .ims-written table { border-collapse: collapse; margin: 0; font-size: 13px; }
.ims .ims-written tr, .ims .ims-written tbody tr:nth-child(odd), .ims .ims-written tbody tr:nth-child(even) { background: transparent; }
.ims .ims-written td { border: 0; border-bottom: 1px solid ${hairline}; padding: 2px 18px 2px 0; text-align: left; vertical-align: top; }
.ims .ims-written tr:last-child td { border-bottom: 0; }
.ims .ims-written code { background: transparent; padding: 0; font-size: 12px; }`;

/**
 * Measures what was written.
 *
 * @param lines path and what it is; a folder counts with everything in it
 * @throws {Error} naming the path that is not there
 */
export async function measureWritten(lines: readonly (readonly [path: string, what: string])[]): Promise<Written[]> {
  return Promise.all(lines.map(async ([path, what]) => ({ path, what, ...(await measure(path)) })));
}

async function measure(path: string): Promise<{ files: number; bytes: number }> {
  const found = await stat(path).catch((error: unknown) => {
    throw new Error(`nothing was written to ${path}: run the cell that writes it again`, { cause: error });
  });
  if (!found.isDirectory()) return { files: 1, bytes: found.size };
  let [files, bytes] = [0, 0];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inside = entry.isSymbolicLink() ? { files: 1, bytes: 0 } : await measure(join(path, entry.name));
    files += inside.files;
    bytes += inside.bytes;
  }
  return { files, bytes };
}

const sizeText = ({ files, bytes }: Written): string =>
  files === 1 ? bytesText(bytes) : `${numberText(files)} files, ${bytesText(bytes)}`;

/** The box that closes a notebook. */
export function writtenHtml(written: readonly Written[]): string {
  const rows = written.map((each) => {
    const cells = [`<code>${escapeHtml(each.path)}</code>`, escapeHtml(each.what), escapeHtml(sizeText(each))];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return framed(`<div class="ims-written"><table><tbody>${rows.join('')}</tbody></table></div>`, css, 'Written');
}

/** The same in one line of plain text. */
export function writtenLine(written: readonly Written[]): string {
  return `wrote ${written.map((each) => `${each.path}: ${each.what} (${sizeText(each)})`).join('; ')}`;
}
