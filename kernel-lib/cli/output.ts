// What verbs write, and how they are stopped.
import { renameSync, writeFileSync } from 'node:fs';
import type { Progress } from '../ard/index.ts';

/** Aborted by Ctrl-C. */
export const stop: AbortController = new AbortController();

/** Writes a line of the answer. */
export function print(line: string): void {
  console.log(line);
}

/** Writes rows of the same fields under their names, `–` where a value is not there. */
export function printTable(rows: object[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => Object.values(row).map((value) => String(value ?? '–')))];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  cells.forEach((row) => print(row.map((text, column) => text.padEnd(widths[column])).join('  ').trimEnd())); // prettier-ignore
}

/** So many bytes, for people. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** What every long step gets: Ctrl-C, and one line that is written over on a terminal; of a worker of an array a file. */
export function steps(): { signal: AbortSignal; onProgress: (progress: Progress) => void } {
  const told = process.env.IMAGESIM_PROGRESS ? progressWriter(process.env.IMAGESIM_PROGRESS) : undefined;
  const onProgress = (progress: Progress): void => {
    told?.(progress);
    const { done, total, unit, note = '' } = progress;
    const line = `${done}/${total} ${unit} ${note}`.trimEnd();
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}${done === total ? '\n' : ''}`);
  };
  return { signal: stop.signal, onProgress };
}

/** Least time between two notes of how far a worker is. */
const NOTED_MS = 1000;

/** Notes in a file how far a step is, at most once a second and at its end: `imagesim submit` adds up those of all workers. */
function progressWriter(path: string): (progress: Progress) => void {
  let last = -Infinity;
  return ({ done, total, unit }) => {
    const now = performance.now();
    if (now - last < NOTED_MS && done < total) return;
    last = now;
    writeFileSync(`${path}.part`, `${JSON.stringify({ done, total, unit })}\n`);
    renameSync(`${path}.part`, path);
  };
}
