/** One thing that the machine has or lacks. */
export interface Finding {
  what: string;
  found: string;
  /** `warning`: the work goes on, slower or without a part of it. `error`: it cannot. */
  verdict: 'ok' | 'warning' | 'error';
  /** What to do about it; empty where all is well. */
  remedy: string;
}

/** One look at something, which may fail, or take too long. */
export interface Probe {
  /** The row that stands for it where it has no answer. */
  what: string;
  /** What helps where it has no answer. */
  remedy: string;
  /** How long it may take. */
  timeoutMs: number;
  /** The rows it makes; where it throws, its message becomes a warning. */
  look(signal: AbortSignal): Promise<Finding[]>;
}

export function ok(what: string, found: string): Finding {
  return { what, found, verdict: 'ok', remedy: '' };
}

export function warning(what: string, found: string, remedy: string): Finding {
  return { what, found, verdict: 'warning', remedy };
}

export function fault(what: string, found: string, remedy: string): Finding {
  return { what, found, verdict: 'error', remedy };
}

/** What a probe finds; a warning where it throws, or has no answer in time. @throws the signal's reason once it is aborted */
export async function within(probe: Probe, signal?: AbortSignal): Promise<Finding[]> {
  const { what, remedy, timeoutMs } = probe;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
  const until = AbortSignal.any(signal ? [signal, late.signal] : [late.signal]);
  const over = new Promise<never>((_, reject) => until.addEventListener('abort', () => reject(until.reason as Error)));
  try {
    return await Promise.race([probe.look(until), over]);
  } catch (error) {
    signal?.throwIfAborted();
    return [warning(what, (error as Error).message.split('\n')[0], remedy)];
  } finally {
    clearTimeout(timer);
  }
}

const signs: Record<Finding['verdict'], string> = { ok: '✓', warning: '!', error: '✗' };

/** Findings as lines for a terminal: a sign before each, and what to do below it. */
export function findingLines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ what }) => what.length));
  const lines = findings.flatMap(({ what, found, verdict, remedy }) => [
    `${signs[verdict]} ${what.padEnd(width)}  ${found}`,
    ...(remedy ? [`${' '.repeat(width + 4)}→ ${remedy}`] : []),
  ]);
  return [...lines, '', countLine(findings)];
}

function countLine(findings: readonly Finding[]): string {
  const [warnings, errors] = ['warning', 'error'].map(
    (word) => findings.filter(({ verdict }) => verdict === word).length,
  );
  if (warnings + errors === 0) return `all ${findings.length} as they should be`;
  const counts = [
    `${findings.length - warnings - errors} of ${findings.length} ✓`,
    warnings ? `${warnings} ! that the work goes on without` : '',
    errors ? `${errors} ✗ that it cannot go on without` : '',
  ];
  return counts.filter(Boolean).join(', ');
}
