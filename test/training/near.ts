import assert from 'node:assert/strict';

/** Values that come from elsewhere: each within a part of its size, or of `least` where it is smaller. */
export function near(found: ArrayLike<number>, expected: readonly number[], relative: number, least = 1e-3): void {
  assert.equal(found.length, expected.length);
  for (const [i, value] of expected.entries()) {
    const room = relative * Math.max(least, Math.abs(value));
    assert.ok(Math.abs(found[i] - value) <= room, `value ${i}: ${found[i]}, expected ${value}`);
  }
}

/** `sin(frequency · i)`: numbers that NumPy gives as well, `np.sin(frequency * np.arange(n))`. */
export function wave(n: number, frequency: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => Math.sin(frequency * i));
}
