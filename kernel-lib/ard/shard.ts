/** One of several workers that share the same units. */
export interface Shard {
  /** Which one, counted from 0. */
  index: number;
  /** How many there are. */
  count: number;
}

/** The shard that a text names: `0/4` is the first of four. @throws {RangeError} when it names none */
export function parseShard(text: string): Shard {
  const [, index, count] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).map(Number);
  if (index === undefined || !(index < count))
    throw new RangeError(`no shard "${text}": expected i/n with i from 0 to n - 1, as 0/4 … 3/4`);
  return { index, count };
}

/**
 * The shard that an array job of Slurm or AWS Batch gives this process; nothing outside one.
 *
 * @throws {RangeError} when the number of the job is there and that of all jobs is not
 * @see https://slurm.schedmd.com/job_array.html
 * @see https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
 */
export function environmentShard(environment: NodeJS.ProcessEnv = process.env): Shard | undefined {
  const number = (name: string): number | undefined =>
    environment[name] === undefined || environment[name] === '' ? undefined : Number(environment[name]);
  const slurm = number('SLURM_ARRAY_TASK_ID');
  const batch = number('AWS_BATCH_JOB_ARRAY_INDEX');
  if (slurm === undefined && batch === undefined) return undefined;
  const first = number('SLURM_ARRAY_TASK_MIN') ?? 0;
  const step = number('SLURM_ARRAY_TASK_STEP') ?? 1;
  const index = slurm === undefined ? batch! : (slurm - first) / step;
  const count = number(slurm === undefined ? 'AWS_BATCH_JOB_ARRAY_SIZE' : 'SLURM_ARRAY_TASK_COUNT');
  const [job, of] = slurm === undefined ? ['AWS_BATCH_JOB_ARRAY_INDEX', 'AWS_BATCH_JOB_ARRAY_SIZE'] : ['SLURM_ARRAY_TASK_ID', 'SLURM_ARRAY_TASK_COUNT']; // prettier-ignore
  if (count === undefined || !Number.isInteger(index) || !(index >= 0 && index < count))
    throw new RangeError(`${job} is ${slurm ?? batch} and ${of} ${count ?? 'not set'}: give --shard i/n`);
  return { index, count };
}

/** Whether there are others beside this worker: one of one does all, and puts it together. */
export function isShare(shard: Shard | undefined): shard is Shard {
  return shard !== undefined && shard.count > 1;
}

/**
 * The units that fall to one shard: the heaviest first, each to the shard that has least so far, so that none has more
 * than the lightest and one unit. The same for every worker that sees the same units.
 *
 * @param weightOf bytes, say
 * @returns in the order given
 * @see Graham 1969, SIAM J. Appl. Math. 17(2) 416–429, "longest processing time first"
 */
export function shardOf<Unit>(
  units: readonly Unit[],
  { index, count }: Shard,
  weightOf: (unit: Unit) => number,
): Unit[] {
  const loads = Array.from({ length: count }, () => 0);
  const mine = new Set<number>();
  const heaviest = units.map((unit, at) => ({ at, weight: weightOf(unit) })).sort((a, b) => b.weight - a.weight || a.at - b.at); // prettier-ignore
  for (const { at, weight } of heaviest) {
    const lightest = loads.indexOf(Math.min(...loads));
    loads[lightest] += Math.max(weight, 1);
    if (lightest === index) mine.add(at);
  }
  return units.filter((_, at) => mine.has(at));
}
