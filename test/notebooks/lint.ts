/**
 * Lints the notebooks' cells: each notebook's code joined into one TypeScript file beside it (so that imports
 * resolve), oxlint over all of them, and the files taken away again. It catches a call of the library that nobody
 * awaits, which the kernel itself calls ok.
 *
 * Run it as `node --import tsx test/notebooks/lint.ts [folder]`; it says notebook, cell and line of each finding and
 * exits 1 where there is one.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const folder = resolve(process.argv[2] ?? join(root, 'notebooks'));

/**
 * What a module should keep and a notebook need not: cells leave names for the reader, and end on a bare value to
 * show.
 */
const allowed = ['no-unused-vars', 'no-unused-expressions', 'no-shadow', 'import/no-duplicates'];

/** A notebook's code cells as one text. */
interface Joined {
  path: string;
  text: string;
  /** For each line of the text: its cell, counted from 1 among the code cells, and its line there. */
  places: { cell: number; line: number }[];
}

function joinCells(name: string): Joined {
  const { cells } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
    cells: { cell_type: string; source: string | string[] }[];
  };
  const code = cells.filter((cell) => cell.cell_type === 'code');
  const lines = code.map(({ source }) => (Array.isArray(source) ? source.join('') : source).split('\n'));
  const places = lines.flatMap((cell, index) => cell.map((_, line) => ({ cell: index + 1, line: line + 1 })));
  return { path: join(folder, `${basename(name, '.ipynb')}.cells.ts`), text: lines.flat().join('\n'), places };
}

interface Finding {
  filename: string;
  message: string;
  code: string;
  labels: { span: { line: number } }[];
}

function lint(files: readonly Joined[]): Finding[] {
  const settings = [
    '-c',
    join(root, '.oxlintrc.json'),
    '--no-ignore',
    '--type-aware',
    '--format=json',
    ...allowed.flatMap((rule) => ['-A', rule]),
  ];
  const program = join(root, 'node_modules', 'oxlint', 'bin', 'oxlint');
  const { stdout, stderr } = spawnSync(process.execPath, [program, ...settings, ...files.map(({ path }) => path)], {
    cwd: root,
    encoding: 'utf8',
  });
  try {
    return (JSON.parse(stdout) as { diagnostics: Finding[] }).diagnostics;
  } catch (error) {
    throw new Error(`oxlint did not run over the cells of ${folder}: ${stdout}${stderr}`, { cause: error });
  }
}

function tell({ filename, message, code, labels }: Finding, files: readonly Joined[]): string {
  const file = files.find(({ path }) => basename(path) === basename(filename));
  const place = file?.places[(labels[0]?.span.line ?? 1) - 1];
  return `${basename(filename, '.cells.ts')}.ipynb, code cell ${place?.cell}, line ${place?.line}: ${message} ${code}`;
}

const files = readdirSync(folder)
  .filter((name) => name.endsWith('.ipynb'))
  .map(joinCells);
try {
  for (const { path, text } of files) writeFileSync(path, text);
  const findings = files.length === 0 ? [] : lint(files);
  for (const finding of findings) console.error(tell(finding, files));
  process.exitCode = findings.length === 0 ? 0 : 1;
} finally {
  for (const { path } of files) rmSync(path, { force: true });
}
