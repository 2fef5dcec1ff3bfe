import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import { SourceError } from '../ard/index.ts';
import { NotReadyError } from './ground.ts';
import { OverloadError } from './queue.ts';

/** A request that cannot be answered, for a reason of its own. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: 400 | 404;

  constructor(status: 400 | 404, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** What an error is to who asked. */
interface Answer {
  status: ContentfulStatusCode;
  reason: string;
  /** Seconds after which to ask again. */
  retryAfter?: number;
}

/** Errors and their answers, in one place. What is nobody's own fault is told as it is, its file named. */
export function answerTo(error: unknown): Answer {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof RequestError) return { status: error.status, reason };
  if (error instanceof z.ZodError) return { status: 400, reason: error.issues.map(({ path, message }) => [...path, message].join(': ')).join('; ') }; // prettier-ignore
  if (error instanceof OverloadError) return { status: 503, reason, retryAfter: 1 };
  if (error instanceof NotReadyError) return { status: 503, reason, retryAfter: 5 };
  if (error instanceof SourceError) return error.transient ? { status: 503, reason, retryAfter: 2 } : { status: 502, reason }; // prettier-ignore
  return { status: 500, reason };
}

/** An error as JSON: `{"error": "…"}`. */
export function refuse(context: Context, error: unknown): Response {
  const { status, reason, retryAfter } = answerTo(error);
  if (retryAfter !== undefined) context.header('Retry-After', String(retryAfter));
  context.header('Cache-Control', 'no-store');
  return context.json({ error: reason }, status);
}
