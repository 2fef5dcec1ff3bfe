import type { Context } from 'hono';
import { RequestError } from './fault.ts';

/**
 * The address that a request came to, without its path: as the browser has it, behind a tunnel or a proxy too.
 *
 * @returns `http://localhost:8080`, or with the prefix that a proxy states, `https://hub.example/user/me/proxy/8080`
 * @throws {RequestError} when a header holds what no address does
 */
export function baseOf({ req }: Context): string {
  const { protocol, host: own } = new URL(req.url);
  const scheme = first(req.header('x-forwarded-proto')) ?? protocol.slice(0, -1);
  const host = first(req.header('x-forwarded-host')) ?? req.header('host') ?? own;
  const prefix = first(req.header('x-forwarded-prefix')) ?? req.header('x-proxycontextpath') ?? req.header('x-forwarded-context') ?? ''; // prettier-ignore
  if (!/^https?$/.test(scheme)) throw new RequestError(400, `X-Forwarded-Proto is ${scheme}: expected http or https`);
  if (!/^[\w.:[\]-]+$/.test(host)) throw new RequestError(400, `the host is ${host}: expected a name and a port`);
  if (!/^(\/[\w.~%@:+-]+)*\/?$/.test(prefix)) throw new RequestError(400, `the proxy's prefix is ${prefix}: expected a path`); // prettier-ignore
  return `${scheme}://${host}${prefix.replace(/\/$/, '')}`;
}

/** Of what several proxies added, the outermost. */
function first(header: string | undefined): string | undefined {
  return header?.split(',')[0].trim();
}
