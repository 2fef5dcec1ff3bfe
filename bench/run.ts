// Peers side by side: `npm run bench`, or `npm run bench -- chips` for the rows whose name holds a word. Measures and tells; never judges.
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { SampleScale } from 'imagesim/sample';
import { ard } from './ard.ts';
import { chipJoin } from './chipjoin.ts';
import { chips } from './chips.ts';
import { datasets } from './datasets.ts';
import { infra } from './infra.ts';
import { type Bench, type Measured, type Spread, measure } from './measure.ts';
import { osm } from './osm.ts';
import { serve } from './serve.ts';
import { similarity } from './similarity.ts';
import { submit } from './submit.ts';
import { training } from './training.ts';

const BENCHES: Bench[] = [
  ...ard,
  ...infra,
  ...osm,
  ...chipJoin,
  ...chips,
  ...datasets,
  ...training,
  ...similarity,
  ...serve,
  ...submit,
];

const USAGE = `npm run bench -- [word …] [--scale full|city|tiny] [--rounds 3]
rows: ${BENCHES.map(({ name }) => name).join(', ')}`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { scale: { type: 'string', default: 'full' }, rounds: { type: 'string', default: '3' } },
  });
  const wanted = BENCHES.filter(({ name }) => positionals.every((word) => name.includes(word)));
  const rounds = Number(values.rounds);
  const scale = values.scale as SampleScale;
  if (wanted.length === 0 || !(rounds >= 3) || !['tiny', 'city', 'full'].includes(scale)) throw new Error(USAGE);
  const machine = machineLines();
  const rows = await runAll(wanted, rounds, scale);
  console.log(
    [...table(rows), '', ...noteLines(rows), ...machine, `command: ${command()}, ${rounds} rounds`].join('\n'),
  );
}

/** One row after another. One that fails is told, and the others run. */
async function runAll(benches: Bench[], rounds: number, scale: SampleScale): Promise<Measured[]> {
  const rows: Measured[] = [];
  for (const bench of benches) {
    console.error(`bench: ${bench.name}`);
    try {
      rows.push(await measure(bench, rounds, { scale }));
    } catch (error) {
      console.error(`bench: ${bench.name} failed: ${(error as Error).stack}`);
      process.exitCode = 1;
    }
  }
  return rows;
}

/** The command as typed, through npm where it was. */
function command(): string {
  const words = process.argv.slice(2).map((word) => (/\s/.test(word) ? `'${word}'` : word)).join(' '); // prettier-ignore
  return process.env.npm_lifecycle_event === 'bench'
    ? `npm run bench${words && ` -- ${words}`}`
    : `node --import tsx bench/run.ts ${words}`;
}

function machineLines(): string[] {
  const [{ model }] = cpus();
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  return [
    `machine: ${cpus().length} cores, ${model.trim()}, ${memory}, Node ${process.versions.node}, ${process.platform} ${process.arch}`,
    `load when it began: ${loadavg()[0].toFixed(2)}; rates are medians (least–most) of rounds in turn, after warm-ups; ratio above 1: ours is faster`,
  ];
}

const figure = (rate: number): string => (rate >= 100 ? Math.round(rate).toLocaleString('en') : rate.toPrecision(3));
const range = (spread: Spread | undefined): string =>
  spread ? `${figure(spread.median)} (${figure(spread.least)}–${figure(spread.most)})` : '–';

/** Aligned columns under their heads. */
function table(rows: Measured[]): string[] {
  const cells = rows.map(({ name, ours, peer, unit, peerName }) => {
    const ratio = peer ? (ours.median / peer.median).toFixed(2) : '–';
    return [name, range(ours), range(peer), unit, ratio, peerName];
  });
  const all = [['row', 'ours', 'peer', 'unit', 'ratio', "peer's name"], ...cells];
  const widths = all[0].map((_, column) => Math.max(...all.map((line) => line[column].length)));
  return all.map((line) => line.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()); // prettier-ignore
}

function noteLines(rows: Measured[]): string[] {
  return rows.flatMap(({ name, notes }) => notes.map((note) => `${name}: ${note}`));
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
