import type { Progress } from '../ard/index.ts';
import type { Kernel } from './kernel.ts';
import { escapeHtml, framed, hairline, palette } from './look.ts';
import { bytesText, durationText, figuresText, numberText } from './number.ts';

const css = `
.ims .ims-progress { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 10px; max-width: 760px; }
.ims .ims-progress b { font-weight: 600; }
.ims .ims-rail { flex: 1 1 160px; max-width: 240px; height: 6px; border-radius: 3px; background: ${hairline}; overflow: hidden; }
.ims .ims-rail i { display: block; height: 100%; background: ${palette[0]}; }
.ims .ims-progress .ims-note { margin: 0; flex-basis: 100%; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.ims .ims-done { color: ${palette[2]}; font-weight: 600; }`;

/** Where a phase of a step began: a phase ends when its unit changes or the count falls back. */
interface Phase {
  unit: string;
  done: number;
  bytes: number;
  at: number;
}

/**
 * A bar that is updated in place, at most every `everyMs`, and ends as one line with the time that it took.
 *
 * The rate counts from the first report on, so that units found done from an earlier run do not flatter it.
 *
 * @param now the clock, in milliseconds
 */
export function progressIn(
  kernel: Kernel,
  label: string,
  now: () => number,
  everyMs = 200,
): (progress: Progress) => void {
  const screen = kernel.newDisplay();
  const started = now();
  let phase: Phase | undefined;
  let drawn = -Infinity;
  let later: NodeJS.Timeout | undefined;
  const draw = (progress: Progress): void => {
    clearTimeout(later);
    later = undefined;
    drawn = now();
    screen.html(
      framed(
        progress.done >= progress.total
          ? finished(label, progress, drawn - started)
          : underWay(label, progress, phase!, drawn),
        css,
      ),
    );
  };
  return (progress) => {
    if (phase === undefined || phase.unit !== progress.unit || progress.done < phase.done) {
      phase = { unit: progress.unit, done: progress.done, bytes: progress.bytes ?? 0, at: now() };
    }
    const wait = drawn + everyMs - now();
    if (wait <= 0 || progress.done >= progress.total) return draw(progress);
    clearTimeout(later);
    later = setTimeout(draw, wait, progress).unref();
  };
}

function underWay(label: string, progress: Progress, phase: Phase, at: number): string {
  const { done, total, unit, note } = progress;
  const share = Math.floor((100 * done) / total);
  const pace = paceOf(progress, phase, at);
  const parts = [`${numberText(done)} of ${numberText(total)} ${unit}`, ...pace];
  const rail = `<span class="ims-rail" role="progressbar" aria-valuenow="${share}"><i style="width:${share}%"></i></span>`;
  const more = note === undefined ? '' : `<span class="ims-note">${escapeHtml(note)}</span>`;
  return `<div class="ims-progress"><b>${escapeHtml(label)}</b>${rail}<span>${escapeHtml(parts.join(' · '))}</span>${more}</div>`;
}

function paceOf({ done, total, unit, bytes }: Progress, phase: Phase, at: number): string[] {
  const seconds = (at - phase.at) / 1000;
  const rate = (done - phase.done) / seconds;
  if (!(rate > 0) || !Number.isFinite(rate)) return [];
  const moved = bytes === undefined ? [] : [`${bytesText(Math.max(0, bytes - phase.bytes) / seconds)}/s`];
  return [rateText(rate, unit), ...moved, `about ${durationText((total - done) / rate)} left`];
}

function finished(label: string, { done, unit, bytes }: Progress, elapsed: number): string {
  const moved = bytes === undefined || bytes === 0 ? [] : [bytesText(bytes)];
  const parts =
    done === 0 ? ['nothing to do'] : [`${numberText(done)} ${unit}`, ...moved, `in ${durationText(elapsed / 1000)}`];
  return `<div class="ims-progress"><span class="ims-done">✓</span><b>${escapeHtml(label)}</b><span>${escapeHtml(parts.join(' · '))}</span></div>`;
}

/** Fewer than one a second reads better by the minute. */
function rateText(rate: number, unit: string): string {
  return rate >= 1 ? `${figuresText(rate)} ${unit}/s` : `${figuresText(rate * 60)} ${unit}/min`;
}
