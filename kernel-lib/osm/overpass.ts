import seedrandom from 'seedrandom';
import { OverpassError, parseAnswer, statusFailure } from './answer.ts';
import type { OverpassAnswer } from './schema.ts';
import { SERVER_TIMEOUT_S } from './query.ts';
import { type Wait, backoffMs, inTurn, slotWaitMs, waitAloud } from './wait.ts';

/** How {@link fetchOverpass} asks. */
export interface OverpassOptions {
  /** Stops asking and waiting at once. */
  signal?: AbortSignal | undefined;
  /** For one try, from the request to the last byte. Default: 200,000, a little over what the server itself allows. */
  timeoutMs?: number | undefined;
  /** Tries after the first, for what may pass. Default: 6, about five minutes of waiting. */
  retries?: number | undefined;
  /** Called before every wait: why, and until when. Default: silence. */
  onWait?: ((wait: Wait) => void) | undefined;
  /** Least wait after 429, whatever slot the server names. Default: 30,000. */
  minRateWaitMs?: number | undefined;
  /** First wait under load; it doubles with every try. Default: 5,000. */
  baseWaitMs?: number | undefined;
  /** Seed of the waits' jitter. Default: the query itself, so that two workers wait differently. */
  seed?: string | undefined;
  /**
   * Names the application to the server, which refuses anonymous ones. Default: `imagesim/0.1 (…)`, with the mail or
   * web address in `IMAGESIM_CONTACT`, where it is set, for the server's keeper to write to.
   */
  userAgent?: string | undefined;
}

/** What an option's absence means. */
const USER_AGENT = 'imagesim/0.1 (OpenStreetMap labels for satellite imagery';
const CLIENT_TIMEOUT_MS = (SERVER_TIMEOUT_S + 20) * 1000;
const MAX_REDIRECTS = 5;

/** Failures that may pass by themselves, with the number of retries they are worth. */
const WORTH_RETRYING = new Map([
  ['rate', Infinity],
  ['load', Infinity],
  ['html', Infinity],
  ['truncated', Infinity],
  ['dropped', Infinity],
  ['timeout', 2],
  ['unreachable', 2],
]);

/** The last question in turn at each endpoint: Overpass wants one at a time. */
const turns = new Map<string, Promise<void>>();

/**
 * Asks an Overpass server, waits and asks again where that helps, and returns only a whole answer.
 *
 * One question at a time goes to an endpoint, waits included; further ones queue, those of other processes of this
 * machine too. Redirects are followed with the question kept.
 *
 * @param endpoint address of an interpreter, `https://…/api/interpreter`
 * @param query Overpass QL, JSON output
 * @throws {RangeError} when the endpoint is no web address, or the User-Agent cannot be sent
 * @throws {OverpassError} with the kind of the last failure, when the retries are spent or asking again does not help
 * @see https://dev.overpass-api.de/overpass-doc/en/preface/commons.html
 */
export async function fetchOverpass(
  endpoint: string,
  query: string,
  options: OverpassOptions = {},
): Promise<OverpassAnswer> {
  if (!isWebAddress(endpoint))
    throw new RangeError(`no address of an Overpass server: "${endpoint}"; set IMAGESIM_OVERPASS`);
  const { username, password, host } = new URL(endpoint);
  if (username !== '' || password !== '')
    throw new RangeError(`the address of the Overpass server at ${host} has a password in it, which would be printed: leave it out`); // prettier-ignore
  const told = { ...options, userAgent: options.userAgent ?? userAgentOf(process.env['IMAGESIM_CONTACT']) };
  if (!/^[\x20-\x7e]+$/.test(told.userAgent))
    throw new RangeError(`no User-Agent: "${told.userAgent}"; set IMAGESIM_CONTACT to a mail or web address`);
  const before = turns.get(endpoint) ?? Promise.resolve();
  const mine = before.then(() => inTurn(endpoint, () => askUntilAnswered(endpoint, query, told), told));
  turns.set(endpoint, mine.then(nothing, nothing)); // a failure is its asker's, not the next one's
  return mine;
}

function nothing(): void {}

function isWebAddress(address: string, base?: string): boolean {
  return URL.canParse(address, base) && /^https?:$/.test(new URL(address, base).protocol);
}

function userAgentOf(contact = ''): string {
  return contact.trim() === '' ? `${USER_AGENT})` : `${USER_AGENT}; ${contact.trim()})`;
}

/** Options whose User-Agent is settled. */
type Told = OverpassOptions & { userAgent: string };

async function askUntilAnswered(endpoint: string, query: string, options: Told): Promise<OverpassAnswer> {
  const { retries = 6, seed = query } = options;
  const random = seedrandom(seed);
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await ask(endpoint, query, options);
    } catch (error) {
      if (!(error instanceof OverpassError)) throw error;
      if (attempt > Math.min(retries, WORTH_RETRYING.get(error.kind) ?? 0)) throw error;
      await waitAloud(error.message, await waitFor(error, attempt, endpoint, random, options), options);
    }
  }
}

/** Milliseconds to wait after a failure: for a slot after 429, else twice as long every time. */
async function waitFor(
  { kind }: OverpassError,
  attempt: number,
  endpoint: string,
  random: () => number,
  options: Told,
): Promise<number> {
  const { minRateWaitMs = 30_000, baseWaitMs = 5_000 } = options;
  if (kind !== 'rate') return backoffMs(attempt, { baseMs: baseWaitMs, random });
  return Math.max(minRateWaitMs, await fetchSlotWaitMs(endpoint, options));
}

/** What the server's status page says about the next slot; 0 where it has none, so that the least wait counts. */
async function fetchSlotWaitMs(endpoint: string, { signal, userAgent }: Told): Promise<number> {
  const page = new URL('status', endpoint);
  try {
    const answer = await fetch(page, { headers: { 'User-Agent': userAgent }, signal: within(10_000, signal) });
    return answer.ok ? slotWaitMs(await answer.text()) : 0;
  } catch {
    signal?.throwIfAborted(); // otherwise: a server too busy to say is waited for all the same
    return 0;
  }
}

async function ask(endpoint: string, query: string, options: Told): Promise<OverpassAnswer> {
  const { signal, timeoutMs = CLIENT_TIMEOUT_MS } = options;
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await post(endpoint, query, signal ? AbortSignal.any([signal, deadline]) : deadline, options);
    const body = await answer.text();
    if (answer.status !== 200) throw statusFailure(endpoint, answer.status, body);
    return parseAnswer(endpoint, body);
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof OverpassError
      ? error
      : networkFailure(endpoint, error, deadline.aborted ? timeoutMs : undefined);
  }
}

/**
 * Posts the question, and again to wherever the server moves it: fetch itself would turn it into a GET without a
 * question.
 */
async function post(endpoint: string, query: string, signal: AbortSignal, { userAgent }: Told): Promise<Response> {
  const headers = {
    'User-Agent': userAgent,
    'Accept-Encoding': 'gzip',
    Accept: 'application/json',
  };
  let address = new URL(endpoint);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const body = new URLSearchParams({ data: query });
    const answer = await fetch(address, { method: 'POST', body, headers, signal, redirect: 'manual' });
    const moved = answer.status >= 301 && answer.status <= 308 ? answer.headers.get('location') : null;
    if (moved === null) return answer;
    await answer.body?.cancel();
    if (!isWebAddress(moved, address.href))
      throw new OverpassError('refused', `${endpoint} moved the question to "${moved}": set IMAGESIM_OVERPASS`);
    address = new URL(moved, address);
  }
  const found = `${endpoint} moved the question ${MAX_REDIRECTS + 1} times, last to ${address.href}`;
  throw new OverpassError('refused', `${found}: set IMAGESIM_OVERPASS`);
}

function networkFailure(endpoint: string, cause: unknown, timeoutMs: number | undefined): OverpassError {
  if (timeoutMs !== undefined) {
    const message = `${endpoint} did not answer whole within ${timeoutMs / 1000} s: try again later, or another endpoint`;
    return new OverpassError('timeout', message, { cause });
  }
  const code = causeCode(cause);
  if (code === 'ERR_STRING_TOO_LONG')
    return new OverpassError('remark', `${endpoint} answered more than can be read: ask for a smaller area`, { cause });
  if (/ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|CERT|SIGNATURE|SSL|TLS|bad port/.test(code)) {
    const remedy = 'check the network, or set IMAGESIM_OVERPASS to a server that can be reached';
    return new OverpassError('unreachable', `cannot reach ${endpoint} (${code}): ${remedy}`, { cause });
  }
  return new OverpassError('dropped', `${endpoint} dropped the connection (${code}): try again`, { cause });
}

/** fetch wraps what happened: the innermost code or message says it. */
function causeCode(error: unknown): string {
  const { cause, code, message } = error as NodeJS.ErrnoException;
  return cause instanceof Error ? causeCode(cause) : (code ?? message);
}

function within(milliseconds: number, signal: AbortSignal | undefined): AbortSignal {
  const deadline = AbortSignal.timeout(milliseconds);
  return signal ? AbortSignal.any([signal, deadline]) : deadline;
}
