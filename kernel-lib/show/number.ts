/** Digits after the point at which a column of numbers whose largest is `largest` shows three figures. */
export function decimalsFor(largest: number): number {
  if (!Number.isFinite(largest) || largest === 0) return 0;
  return Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(largest)))));
}

/**
 * A number to read, not to compute with.
 *
 * Thousands are set apart from 10,000 on, so that years and zones stay as they are. What would round to nothing is
 * written as a power of ten.
 *
 * @param decimals digits after the point. Default: none for a whole number, else three figures
 */
export function numberText(value: number, decimals: number = Number.isInteger(value) ? 0 : decimalsFor(value)): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '–' : value > 0 ? '∞' : '−∞';
  const text = Math.abs(value).toLocaleString('en-US', {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
    useGrouping: Math.abs(value) >= 10_000,
  });
  if (value !== 0 && Number(text.replaceAll(',', '')) === 0)
    return value.toExponential(1).replace('-', '−').replace('e-', 'e−');
  return value < 0 ? `−${text}` : text;
}

/** Three figures at most, and no noughts at the end: `2.35`, `0.5`, `12`. */
export function figuresText(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3, useGrouping: value >= 10_000 });
}

/** Bytes in powers of 1000, as disks are sold: `12.3 MB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${figuresText(bytes / 1000 ** power)} ${['bytes', 'kB', 'MB', 'GB', 'TB'][power]}`;
}

/** A span of time: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function durationText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (count: number): string => String(count).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** A figure of 0–1: three digits; a dash where there is none. */
export function shareText(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3).replace('-', '−') : '–';
}
