import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { ardVerbs } from './cli/ard.ts';
import { sampleVerbs } from './cli/sample.ts';
import { infraVerbs } from './cli/infra.ts';
import { osmVerbs } from './cli/osm.ts';
import { chipVerbs } from './cli/chips.ts';
import { datasetVerbs } from './cli/datasets.ts';
import { trainingVerbs } from './cli/training.ts';
import { serveVerbs } from './cli/serve.ts';
import { stop } from './cli/output.ts';

const ownVersion = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

const program = new Command('imagesim')
  .description('Finds places that look alike in very-high-resolution satellite imagery.')
  .version(ownVersion)
  .configureOutput({
    outputError: (text, write) =>
      write(
        `${text
          .trim()
          .replace(/^error:/, 'imagesim:')
          .replace(/\s*\n\s*/g, ' ')} (imagesim --help lists the verbs)\n`,
      ),
  });

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(); // whoever read has read enough: `imagesim cell - | head -1`
  throw error;
});
process.once('SIGINT', () => stop.abort(new Error('interrupted: run the same command again to go on')));

ardVerbs(program);
sampleVerbs(program);
infraVerbs(program);
osmVerbs(program);
chipVerbs(program);
datasetVerbs(program);
trainingVerbs(program);
serveVerbs(program);

program.parseAsync().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  console.error(`imagesim: ${message.split('\n')[0]}`);
  if (process.env.IMAGESIM_DEBUG && error instanceof Error) console.error(error.stack);
  process.exitCode = 1;
});
