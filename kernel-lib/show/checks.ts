import { escapeHtml, framed, palette } from './look.ts';

/** A claim about what the notebook has made, whether it holds, and what was found. */
export type Fact = readonly [claim: string, holds: boolean, detail?: string];

const css = `
.ims ul.ims-checks { list-style: none; margin: 0; padding: 0; }
.ims ul.ims-checks li { margin: 0; padding: 1px 0 1px 22px; text-indent: -22px; }
.ims .ims-sign { display: inline-block; width: 22px; text-indent: 0; font-weight: 700; }
.ims .ims-detail { opacity: 0.68; }`;

/** The facts as lines, a tick or a cross before each. */
export function checksHtml(facts: readonly Fact[]): string {
  const lines = facts.map(([claim, holds, detail]) => {
    const sign = `<span class="ims-sign" style="color:${palette[holds ? 2 : 1]}">${holds ? '✓' : '✗'}</span>`;
    const found = detail === undefined ? '' : ` <span class="ims-detail">${escapeHtml(detail)}</span>`;
    return `<li>${sign}${escapeHtml(claim)}${found}</li>`;
  });
  return framed(`<ul class="ims-checks">${lines.join('')}</ul>`, css);
}

/**
 * Stops the notebook where a claim does not hold.
 *
 * @throws {RangeError} when there is no fact: a check that cannot fail checks nothing
 * @throws {Error} naming every claim that fails, with what was found
 */
export function demand(facts: readonly Fact[]): void {
  if (facts.length === 0) throw new RangeError('checks requires at least one fact, got none');
  const failing = facts.filter(([, holds]) => !holds);
  if (failing.length === 0) return;
  const claims = failing.map(([claim, , detail]) => (detail === undefined ? claim : `${claim} (${detail})`));
  throw new Error(
    `${failing.length} of ${facts.length} checks ${failing.length === 1 ? 'fails' : 'fail'}: ${claims.join('; ')}`,
  );
}
