/** Workers as an array job of AWS Batch, whose containers share the data folder: see environment/batch.yaml. */
import type { BatchClient, JobDetail, JobStatus, JobSummary, SubmitJobCommandInput } from '@aws-sdk/client-batch';
import { type ArrayJob, type ArrayState, type Engine, type ShardFault, quoted, wordsOf } from './array.ts';

/** Where {@link BatchEngine} submits to. */
export interface BatchPlace {
  /** Name of the job queue. Default: `imagesim`, as environment/batch.yaml calls it. */
  queue?: string | undefined;
  /** Name of the job definition. Default: `imagesim`. */
  definition?: string | undefined;
}

type Sdk = typeof import('@aws-sdk/client-batch');

/** So many jobs are described in one request. */
const DESCRIBED = 100;

/**
 * Runs workers as one array job; a single one, and each of several that are done again, as a job of its own, for an array
 * has two children at least and numbers them from 0.
 *
 * A worker whose spot machine is taken away, or whose process is killed, is started again by Batch. Region, credentials and
 * endpoint are those of environment and profile: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_BATCH.
 *
 * @see https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
 */
export class BatchEngine implements Engine {
  readonly name = 'batch';
  readonly #place: BatchPlace;
  #client: Promise<{ sdk: Sdk; client: BatchClient }> | undefined;

  constructor(place: BatchPlace = {}) {
    this.#place = place;
  }

  /** The requests, as JSON. */
  draft(job: ArrayJob): string {
    return this.#requests(job)
      .map((request) => JSON.stringify(request, null, 2))
      .join('\n');
  }

  #requests(job: ArrayJob): SubmitJobCommandInput[] {
    if (job.count > 1 && job.shards.length === job.count)
      return [{ ...this.#request(job, job.words), arrayProperties: { size: job.count } }];
    return job.shards.map((shard) => this.#request(job, wordsOf(job, shard)));
  }

  /** Of a worker in an array Batch says itself which it is: see `environmentShard`. */
  #request({ words, cpus, memoryMiB, retries, after }: ArrayJob, command: readonly string[]): SubmitJobCommandInput {
    const { queue = 'imagesim', definition = 'imagesim' } = this.#place;
    return {
      jobName: `imagesim-${words[0]}`,
      jobQueue: queue,
      jobDefinition: definition,
      containerOverrides: {
        command: [...command],
        resourceRequirements: [
          { type: 'VCPU', value: String(cpus) },
          { type: 'MEMORY', value: String(memoryMiB) },
        ],
      },
      retryStrategy: {
        attempts: Math.min(retries + 1, 10),
        evaluateOnExit: [
          { onStatusReason: 'Host EC2*', action: 'RETRY' }, // its machine was taken away
          { onExitCode: '137', action: 'RETRY' }, // killed
          { onReason: 'CannotPullContainer*', action: 'RETRY' },
          { onReason: '*', action: 'EXIT' }, // what it refuses once it refuses again
        ],
      },
      ...(after !== undefined && { dependsOn: after.split(',').map((jobId) => ({ jobId })) }),
    };
  }

  async submit(job: ArrayJob): Promise<string> {
    const ids: string[] = [];
    for (const request of this.#requests(job)) {
      const { jobId } = await this.#ask(({ sdk, client }) => client.send(new sdk.SubmitJobCommand(request)));
      ids.push(jobId!);
    }
    return ids.join(',');
  }

  async look(job: ArrayJob, id: string): Promise<ArrayState> {
    const jobs = await this.#describe(id.split(','));
    const counts = jobs.flatMap((one) => Object.entries(one.arrayProperties?.statusSummary ?? { [one.status!]: 1 }));
    const sum = (...statuses: JobStatus[]): number => counts.reduce((total, [status, count]) => total + ((statuses as string[]).includes(status) ? count : 0), 0); // prettier-ignore
    const [finished, failed, running] = [sum('SUCCEEDED'), sum('FAILED'), sum('RUNNING', 'STARTING')];
    const waiting = job.shards.length - finished - failed - running;
    const ended = waiting + running === 0;
    const note = jobs.find(({ status, statusReason }) => status === 'RUNNABLE' && statusReason)?.statusReason;
    const faults = ended && failed > 0 ? await this.#faults(job, jobs) : [];
    return { waiting, running, finished, failed, restarts: restartsOf(jobs), faults, ...(note && { note }) };
  }

  async #faults({ shards }: ArrayJob, jobs: readonly JobDetail[]): Promise<ShardFault[]> {
    if (!jobs[0].arrayProperties?.size)
      return jobs.flatMap((one, at) => (one.status === 'FAILED' ? [faultOf(one, shards[at])] : []));
    const failed = await this.#ask(async ({ sdk, client }) => {
      const found: JobSummary[] = [];
      const asked = { arrayJobId: jobs[0].jobId, jobStatus: 'FAILED' as const };
      for await (const page of sdk.paginateListJobs({ client }, asked)) found.push(...(page.jobSummaryList ?? []));
      return found;
    });
    const children = await this.#describe(failed.map(({ jobId }) => jobId!));
    return children.map((child) => faultOf(child, child.arrayProperties!.index!)).sort((a, b) => a.shard - b.shard);
  }

  /** @throws {Error} naming a job that Batch does not know */
  async #describe(ids: readonly string[]): Promise<JobDetail[]> {
    const found: JobDetail[] = [];
    for (let first = 0; first < ids.length; first += DESCRIBED) {
      const some = ids.slice(first, first + DESCRIBED);
      const answer = await this.#ask(({ sdk, client }) => client.send(new sdk.DescribeJobsCommand({ jobs: some })));
      found.push(...(answer.jobs ?? []));
    }
    const missing = ids.find((id) => !found.some(({ jobId }) => jobId === id));
    if (missing !== undefined)
      throw new Error(`AWS Batch knows no job ${missing}: it forgets a job seven days after its end`);
    return ids.map((id) => found.find(({ jobId }) => jobId === id)!);
  }

  async #ask<Answer>(question: (batch: { sdk: Sdk; client: BatchClient }) => Promise<Answer>): Promise<Answer> {
    try {
      return await question(await (this.#client ??= openClient()));
    } catch (error) {
      const { name, message } = error as Error;
      throw new Error(`AWS Batch: ${name}: ${message.split('\n')[0]}`, { cause: error });
    }
  }

  leave(id: string): Promise<string> {
    const [first] = id.split(',');
    return Promise.resolve(`job ${id} goes on: aws batch terminate-job --job-id ${quoted(first)} --reason stopped ends it`); // prettier-ignore
  }
}

/** Loaded when it is needed: no other engine does. Batch counts requests, so that its client slows down where it is told to. */
async function openClient(): Promise<{ sdk: Sdk; client: BatchClient }> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'; // five lines on every use with Node 20
  const sdk = await import('@aws-sdk/client-batch');
  return { sdk, client: new sdk.BatchClient({ retryMode: 'adaptive', maxAttempts: 8 }) };
}

/** Of single jobs alone: children of an array would have to be asked after one by one. */
function restartsOf(jobs: readonly JobDetail[]): number {
  return jobs.reduce((sum, { attempts = [] }) => sum + Math.max(0, attempts.length - 1), 0);
}

function faultOf({ status, statusReason, container, attempts = [] }: JobDetail, shard: number): ShardFault {
  const { exitCode, reason, logStreamName } = attempts.at(-1)?.container ?? container ?? {};
  const why = [exitCode === undefined ? status! : `exit code ${exitCode}`, reason ?? statusReason].filter(Boolean);
  return { shard, why: why.join(': '), log: logStreamName ? `CloudWatch, /aws/batch/job ${logStreamName}` : 'none' };
}
