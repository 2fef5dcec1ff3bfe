// What AWS Batch does with array jobs, on loopback: it takes them, runs their children as processes of this machine, starts again what is to be started again, and tells.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { JobDetail, SubmitJobCommandInput } from '@aws-sdk/client-batch';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));

/** A job of the server: one that was submitted, or a child of one. */
interface Job {
  detail: JobDetail;
  request: SubmitJobCommandInput;
  child?: ChildProcess;
  /** Taken away: the machine of the attempt is lost. */
  lost?: boolean;
}

/** A server that stands in for Batch. */
export interface StandInBatch {
  env: Record<string, string>;
  /** Every request to submit, as it came. */
  submitted: SubmitJobCommandInput[];
  /** Paths asked for, in order. */
  asked: string[];
  /** Takes away the machine of a job that runs. @returns whether one ran */
  loseMachine(): boolean;
  /** Refuses so many requests, as Batch does when there are too many. */
  refuse(requests: number): void;
  close(): Promise<void>;
}

/** @param dataPath what the job definition mounts */
export async function openBatch(dataPath: string): Promise<StandInBatch> {
  const jobs = new Map<string, Job>();
  const [submitted, asked]: [SubmitJobCommandInput[], string[]] = [[], []];
  let refused = 0;
  const answers: Record<string, (request: never) => object> = {
    '/v1/submitjob': (request: SubmitJobCommandInput) => {
      submitted.push(request);
      return submit(jobs, request, dataPath);
    },
    '/v1/describejobs': ({ jobs: ids }: { jobs: string[] }) => ({
      jobs: ids.flatMap((id) => (jobs.has(id) ? [described(jobs, id)] : [])),
    }),
    '/v1/listjobs': ({ arrayJobId, jobStatus, nextToken }: { arrayJobId: string; jobStatus: string; nextToken?: string }) => {
      const found = [...jobs.values()].map(({ detail }) => detail).filter(({ jobId, status }) => jobId!.startsWith(`${arrayJobId}:`) && status === jobStatus);
      const at = Number(nextToken ?? 0); // pages of two
      return { jobSummaryList: found.slice(at, at + 2), ...(at + 2 < found.length && { nextToken: String(at + 2) }) };
    },
  }; // prettier-ignore
  const server = createServer((request, response) => {
    const answer = async (): Promise<[status: number, body: object, fault?: string]> => {
      asked.push(request.url!);
      if (refused-- > 0) return [429, { message: 'Too Many Requests' }, 'TooManyRequestsException'];
      if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ')) return [403, { message: 'Missing Authentication Token' }]; // prettier-ignore
      const fault = answers[request.url!] ? undefined : `no ${request.url}`;
      if (fault !== undefined) return [404, { message: fault }];
      try {
        return [200, answers[request.url!]((await json(request)) as never)];
      } catch (error) {
        return [400, { message: (error as Error).message }, 'ClientException'];
      }
    };
    void answer().then(([status, body, fault]) => response.writeHead(status, { 'content-type': 'application/json', ...(fault && { 'x-amzn-errortype': fault }) }).end(JSON.stringify(body))); // prettier-ignore
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const running = (): Job[] => [...jobs.values()].filter(({ child }) => child?.exitCode === null);
  return {
    submitted,
    asked,
    env: {
      AWS_ENDPOINT_URL_BATCH: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_REGION: 'us-west-2',
      AWS_ACCESS_KEY_ID: 'loopback',
      AWS_SECRET_ACCESS_KEY: 'loopback',
    },
    loseMachine: () => {
      const [job] = running();
      if (!job) return false;
      job.lost = true;
      job.child!.kill('SIGKILL');
      return true;
    },
    refuse: (requests) => (refused = requests),
    close: async () => {
      for (const { child } of running()) child!.kill('SIGKILL');
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Takes a job as SubmitJob does: https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html */
function submit(jobs: Map<string, Job>, request: SubmitJobCommandInput, dataPath: string): object {
  const { jobName, jobQueue, jobDefinition, arrayProperties, containerOverrides = {}, retryStrategy, dependsOn = [] } = request;
  const refuse = (what: string): never => { throw new Error(what); };
  if (!/^[A-Za-z0-9][\w-]{0,127}$/.test(jobName ?? '')) refuse('Error executing request, Exception : jobName is not valid');
  if (jobQueue !== 'imagesim' && jobQueue !== 'other') refuse(`Error executing request, Exception : JobQueue ${jobQueue} not found.`);
  if (jobDefinition !== 'imagesim') refuse(`JobDefinition ${jobDefinition} not found.`);
  const size = arrayProperties?.size;
  if (size !== undefined && !(size >= 2 && size <= 10_000)) refuse('Array size must be between 2 and 10000');
  if (!((retryStrategy?.attempts ?? 1) >= 1 && retryStrategy!.attempts! <= 10)) refuse('attempts must be between 1 and 10');
  if ((retryStrategy?.evaluateOnExit ?? []).length > 5) refuse('evaluateOnExit takes five conditions');
  if (containerOverrides.environment?.some(({ name }) => name!.startsWith('AWS_BATCH'))) refuse('AWS_BATCH is reserved');
  for (const { jobId } of dependsOn) if (!jobs.has(jobId!)) refuse(`Job ${jobId} does not exist`);
  const jobId = crypto.randomUUID();
  const make = (id: string, index?: number): Job => {
    const own = index === undefined ? (size === undefined ? {} : { arrayProperties: { size } }) : { arrayProperties: { index, size: size! } };
    const job: Job = { detail: { jobId: id, jobName, jobQueue, jobDefinition, startedAt: 0, status: 'RUNNABLE', attempts: [], ...own }, request };
    jobs.set(id, job);
    return job;
  };
  const parent = make(jobId);
  const children = size === undefined ? [parent] : Array.from({ length: size }, (_, index) => make(`${jobId}:${index}`, index));
  void runAll(children, dataPath);
  return { jobId, jobName };
} // prettier-ignore

/** Two at once. */
async function runAll(jobs: Job[], dataPath: string): Promise<void> {
  const waiting = [...jobs];
  const lane = async (): Promise<void> => {
    for (let job; (job = waiting.shift());) await runJob(job, dataPath);
  };
  await Promise.all([lane(), lane()]);
}

async function runJob(job: Job, dataPath: string): Promise<void> {
  const { detail, request } = job;
  for (let again = true; again;) {
    detail.status = 'RUNNING';
    const { index, size } = detail.arrayProperties ?? {};
    const array = index === undefined ? {} : { AWS_BATCH_JOB_ARRAY_INDEX: String(index), AWS_BATCH_JOB_ARRAY_SIZE: String(size) }; // prettier-ignore
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('IMAGESIM_'));
    const child = spawn(process.execPath, [cli, ...request.containerOverrides!.command!], { env: { ...Object.fromEntries(own), IMAGESIM_DATA: dataPath, ...array } }); // prettier-ignore
    job.child = child;
    await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    const exitCode = child.exitCode ?? 137;
    const statusReason = job.lost
      ? 'Host EC2 (instance i-0123456789abcdef0) terminated.'
      : 'Essential container in task exited';
    const container = { ...(!job.lost && { exitCode }), logStreamName: `imagesim/default/${detail.attempts!.length}` };
    detail.attempts!.push({ container, statusReason });
    job.lost = false;
    again = exitCode !== 0 && detail.attempts!.length < (request.retryStrategy?.attempts ?? 1) && isRetried(request, { statusReason, exitCode }); // prettier-ignore
    Object.assign(detail, { statusReason, container, status: again ? 'RUNNABLE' : exitCode === 0 ? 'SUCCEEDED' : 'FAILED' }); // prettier-ignore
  }
}

/** The first condition that matches decides; where none does the job is tried again. */
function isRetried({ retryStrategy }: SubmitJobCommandInput, end: { statusReason: string; exitCode: number }): boolean {
  const fits = (pattern: string | undefined, value: string): boolean => pattern === undefined || (pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern); // prettier-ignore
  const rule = (retryStrategy?.evaluateOnExit ?? []).find(({ onStatusReason, onReason, onExitCode }) => fits(onStatusReason, end.statusReason) && fits(onReason, '') && fits(onExitCode, String(end.exitCode))); // prettier-ignore
  return rule?.action !== 'EXIT';
}

/** A job as DescribeJobs tells of it: of an array how many children stand how. */
function described(jobs: Map<string, Job>, id: string): JobDetail {
  const { detail } = jobs.get(id)!;
  const children = [...jobs.values()].filter(({ detail: { jobId } }) => jobId!.startsWith(`${id}:`));
  if (children.length === 0) return detail;
  const statusSummary: Record<string, number> = {};
  for (const { detail: child } of children) statusSummary[child.status!] = (statusSummary[child.status!] ?? 0) + 1;
  const ended = ['SUCCEEDED', 'FAILED'].reduce((sum, status) => sum + (statusSummary[status] ?? 0), 0) === children.length; // prettier-ignore
  const status = !ended ? 'PENDING' : statusSummary['FAILED'] ? 'FAILED' : 'SUCCEEDED';
  return { ...detail, status, arrayProperties: { ...detail.arrayProperties, statusSummary } };
}
