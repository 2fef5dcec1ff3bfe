import { type OverpassAnswer, answerSchema, firstFault } from './schema.ts';

/**
 * Why Overpass gave no answer that may be stored.
 *
 * `remark`: the query was too much (time or memory), ask for less. `rate` and `load`: too much is asked of the
 * server. `html`, `truncated`, `dropped`, `timeout`: the answer did not come whole. `unreachable`: no server there.
 * `syntax`, `user-agent`, `refused`, `form`: asking again does not help.
 */
export type OverpassFailure =
  | 'remark'
  | 'rate'
  | 'load'
  | 'html'
  | 'truncated'
  | 'dropped'
  | 'timeout'
  | 'unreachable'
  | 'syntax'
  | 'user-agent'
  | 'refused'
  | 'form';

/** A failed question to Overpass. {@link OverpassError.kind} says what to do about it. */
export class OverpassError extends Error {
  override readonly name: string = 'OverpassError';
  readonly kind: OverpassFailure;

  constructor(kind: OverpassFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

const STATUSES: Record<number, [kind: OverpassFailure, remedy: string]> = {
  400: ['syntax', 'it does not understand the query; this is a fault of the program or of the date asked for'],
  406: [
    'user-agent',
    'it wants a User-Agent that names the application: set the option userAgent, or IMAGESIM_CONTACT',
  ],
  429: ['rate', 'too many requests: wait, or use an endpoint of your own (IMAGESIM_OVERPASS)'],
};

/** The failure that an HTTP status other than 200 means, by the table of what Overpass sends. */
export function statusFailure(endpoint: string, status: number, body: string): OverpassError {
  const fallback: [OverpassFailure, string] =
    status >= 500
      ? ['load', 'it is overloaded: try again later, or another endpoint']
      : ['refused', 'check IMAGESIM_OVERPASS'];
  const [kind, remedy] = STATUSES[status] ?? fallback;
  return new OverpassError(kind, `${endpoint} answered ${status}${quoted(body)}: ${remedy}`);
}

/**
 * The answer in a body that came with status 200, which may still be none.
 *
 * @throws {OverpassError} `html`, `truncated`, `form`; `remark` (too much asked), `rate` or `load` when the server
 * says so in a remark
 */
export function parseAnswer(endpoint: string, body: string): OverpassAnswer {
  if (/^\s*</.test(body)) {
    throw new OverpassError(
      'html',
      `${endpoint} answered a page instead of JSON${quoted(body)}: is it an Overpass interpreter?`,
    );
  }
  const answer = answerSchema.safeParse(parseJson(endpoint, body));
  if (!answer.success) {
    throw new OverpassError(
      'form',
      `${endpoint} sent no Overpass answer (${firstFault(answer.error)}): is it an Overpass interpreter?`,
    );
  }
  const { remark } = answer.data;
  if (remark !== undefined && /error|timed? ?out|out of memory/i.test(remark)) {
    throw new OverpassError(
      remarkKind(remark),
      `${endpoint} broke off (${remark.trim()}): ask for a smaller area, or another endpoint`,
    );
  }
  return answer.data;
}

/** Runtime errors mean that too much was asked; the dispatcher's, and those of another kind, that the server is not well. */
function remarkKind(remark: string): OverpassFailure {
  if (/rate_limited/i.test(remark)) return 'rate';
  if (/too busy|dispatcher/i.test(remark)) return 'load';
  return /runtime|timed? ?out|memory/i.test(remark) ? 'remark' : 'load';
}

function parseJson(endpoint: string, body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    const found = `${body.length.toLocaleString('en')} characters that end in ${JSON.stringify(body.slice(-20))}`;
    throw new OverpassError('truncated', `${endpoint} sent JSON that breaks off (${found}): try again`, { cause });
  }
}

/** The server's words, without markup, from the word Error on where there is one. */
function quoted(body: string): string {
  const text = body
    .replace(/<(head|style|script)\b[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const start = Math.max(0, text.search(/error/i));
  return text === '' ? '' : ` ("${text.slice(start, start + 160)}")`;
}
