import assert from 'node:assert/strict';

/** Equal but for rounding, relative to the value expected. */
export function near(found: number, expected: number, tolerance = 1e-9): void {
  if (Number.isNaN(expected)) return assert.ok(Number.isNaN(found), `${found} is not NaN`);
  assert.ok(Math.abs(found - expected) <= tolerance * Math.abs(expected) + 1e-300, `${found} is not ${expected}`);
}
