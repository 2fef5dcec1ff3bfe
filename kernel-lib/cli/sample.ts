import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { print, steps } from './output.ts';
import { between } from './values.ts';

/** Adds the verb that makes the synthetic delivery. */
export function sampleVerbs(program: Command): void {
  program
    .command('sample')
    .description('make the synthetic delivery')
    .argument('<folder>', 'where it goes')
    .addOption(new Option('--scale <scale>', 'how much ground').choices(['tiny', 'city', 'full']).default('tiny'))
    .option('--seed <n>', 'another country', between(-1e9, 1e9), 33)
    .action(async (folder: string, { scale, seed }: { scale: 'tiny' | 'city' | 'full'; seed: number }) => {
      const { makeSample } = await import('../sample/index.ts');
      const made = await makeSample(resolve(folder), { scale, seed, ...steps() });
      print(`${made.files.length} files in ${resolve(folder)}: ${made.cells.join(', ')} at ${made.dates.join(', ')}`);
    });
}
