import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type ArrayJob, type Engine, type ShardFault, type SubmitOptions, type SubmitReport, dataPath, durationText } from '../infra/index.ts'; // prettier-ignore
import { print, steps } from './output.ts';
import { between, listOf } from './values.ts';

/** Verbs of which one worker puts together what all have done; `chip` does so by itself, and the others need not. */
const MERGED: ReadonlySet<string> = new Set(['similarity deploy', 'change']);
/** Those of which that holds in a bucket: without a shared disk no worker knows whether it ends last. */
const MERGED_IN_BUCKET: ReadonlySet<string> = new Set(['chip']);

/** Adds the verb that has another verb done by many workers; added last, when the others are known. */
export function submitVerbs(program: Command): void {
  program
    .command('submit')
    .description('have a verb that takes --shard done by an array of workers, and follow it: submit chip --zone 33 --engine slurm --array 100')
    .argument('<verb...>', 'the verb and its own options; after -- where they are called like these')
    .addOption(new Option('--engine <engine>', 'what runs them').choices(['local', 'slurm', 'batch']).makeOptionMandatory())
    .requiredOption('--array <n>', 'among how many workers the cells are dealt out', between(1, 1_000_000))
    .option('--only <shards>', 'only these of them, from 0: 0-3,7', shardsOf)
    .option('--cpus <n>', 'processors of a worker', between(1, 1024), 1)
    .option('--memory <MiB>', 'of a worker', between(128, 4_194_304), 3072)
    .option('--retries <n>', 'how often a worker is started again whose machine or process died', between(0, 9), 5)
    .option('--at-once <n>', 'at most so many at once; default: what the engine has room for, of local one a core', between(1, 1_000_000))
    .option('--queue <name>', 'partition of Slurm or job queue of Batch; default: the cluster’s own, or imagesim')
    .option('--definition <name>', 'job definition of Batch; default: imagesim')
    .option('--after <id>', 'begin when this job has ended well')
    .option('--no-merge', 'of similarity deploy, change and chip --to: leave what the workers have made in parts, for the same verb without --shard')
    .option('--detach', 'print the id of the job, and do not wait for it')
    .option('--dry-run', 'print what would be submitted')
    .allowUnknownOption()
    .action(async (words: string[], flags: SubmitFlags) => {
      const verb = fitVerb(program, words);
      const merges = flags.merge && (MERGED.has(verb) || (MERGED_IN_BUCKET.has(verb) && words.some((word) => /^--to(=|$)/.test(word))));
      const infra = await import('../infra/index.ts');
      const options = { ...flags, merges, memoryMiB: flags.memory, onSubmit: (id: string) => console.error(`${flags.engine} job ${id}`) };
      const [engine, job] = [await openEngine(flags), infra.arrayJob(words, dataPath(), options)];
      if (flags.dryRun) return [job, ...(merges ? [infra.mergeOf(job)] : [])].forEach((one) => print(engine.draft(one)));
      const report = await infra.submitArray(engine, job, { ...options, ...steps() });
      if (flags.detach) print(report.id);
      else tell(report, job, (what, failed) => infra.redoCommand(engine, what, failed, keptFlags(flags)));
    }); // prettier-ignore
}

interface SubmitFlags extends Pick<
  SubmitOptions,
  'array' | 'only' | 'cpus' | 'retries' | 'atOnce' | 'after' | 'detach'
> {
  engine: 'local' | 'slurm' | 'batch';
  memory: number;
  queue?: string;
  definition?: string;
  merge: boolean;
  dryRun?: boolean;
}

async function openEngine({ engine, queue, definition }: SubmitFlags): Promise<Engine> {
  const { BatchEngine, LocalEngine, SlurmEngine } = await import('../infra/index.ts');
  if (engine === 'batch') return new BatchEngine({ queue, definition });
  return engine === 'slurm' ? new SlurmEngine(queue) : new LocalEngine();
}

/** Refuses here, and not in every worker, what is no verb of several workers or lacks an option. @returns the verb, without its options */
function fitVerb(program: Command, words: readonly string[]): string {
  let [command, rest] = [program, [...words]];
  for (let sub; (sub = command.commands.find((one) => one.name() === rest[0])); rest = rest.slice(1)) command = sub;
  const name = words.slice(0, words.length - rest.length).join(' ');
  if (!command.options.some(({ long }) => long === '--shard'))
    throw new Error(`${name || words[0]} is no verb that is dealt out: ${shardedVerbs(program).join(', ')} are`);
  const { operands, unknown } = command.parseOptions(rest); // says itself what a value should be
  if (unknown.length > 0) throw new Error(`${name} has no option ${unknown[0]}: imagesim ${name} --help lists them`);
  if (command.getOptionValue('shard') !== undefined) throw new Error('--shard is for the workers: leave it out');
  const missing = command.options.find((option) => option.mandatory && command.getOptionValue(option.attributeName()) === undefined); // prettier-ignore
  if (missing) throw new Error(`${name} lacks ${missing.flags}`);
  const argument = command.registeredArguments.find((one, at) => one.required && operands[at] === undefined);
  if (argument) throw new Error(`${name} lacks <${argument.name()}>`);
  return name;
}

/** Every verb that takes `--shard`, with those above it: `similarity deploy`. */
function shardedVerbs(command: Command, above = ''): string[] {
  return command.commands.flatMap((sub) => {
    const name = `${above}${sub.name()}`;
    return [...(sub.options.some(({ long }) => long === '--shard') ? [name] : []), ...shardedVerbs(sub, `${name} `)];
  });
}

type Redo = (job: ArrayJob, failed: readonly ShardFault[]) => string;

function tell({ state, seconds, failed, folder, merge }: SubmitReport, job: ArrayJob, redo: Redo): void {
  const { finished, restarts } = state;
  const again = restarts > 0 ? `, ${restarts} started again after a death` : '';
  const said = merge && join(merge.folder, '0.log');
  const merged = merge?.failed.length === 0 ? `; merged${said && existsSync(said) ? `, see ${said}` : ''}` : '';
  print(`${finished} of ${job.shards.length} shards finished in ${durationText(seconds)}${again}; logs: ${folder}${merged}`);
  const faults = [...failed, ...(merge?.failed ?? [])];
  faults.forEach(({ shard, why, log }) => console.error(`imagesim: ${merge ? 'merge' : `shard ${shard}`}: ${why} (log: ${log})`));
  if (faults.length === 0) return;
  if (merge) console.error(`only the merge again: ${redo({ ...job, count: 1 }, merge.failed)}`);
  else console.error(`only these again, where no tile has changed since: ${redo(job, failed)}`);
  console.error('else all of them, by the same command: what is done stays done');
  process.exitCode = 1;
} // prettier-ignore

/** What a job that is done again is to be told again. */
function keptFlags({ merge, cpus, memory, retries, atOnce, queue, definition }: SubmitFlags): string[] {
  const kept = { cpus, memory, retries, 'at-once': atOnce, queue, definition };
  const named = Object.entries(kept).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)])); // prettier-ignore
  return merge ? named : [...named, '--no-merge'];
}

/** Numbers of workers: `0-3,7`. */
function shardsOf(text: string): number[] {
  return listOf(text).flatMap((word) => {
    const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(word) ?? [];
    if (first === undefined || Number(last) < Number(first))
      throw new InvalidArgumentError('expected numbers from 0 on, as 0-3,7.');
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => Number(first) + at);
  });
}
