import { LRUCache } from 'lru-cache';

/** Something on a shelf that somebody uses just now. */
export interface Held<Value> {
  value: Value;
  /** How many use it. */
  users: number;
  /** No longer on the shelf: the last who gives it back ends it. */
  gone: boolean;
}

export interface ShelfOptions<Value> {
  /** What all things on the shelf together may come to, in the unit of `sizeOf`; those in use may pass it. */
  most: number;
  sizeOf: (value: Value) => number;
  /** Ends a thing that is neither on the shelf nor in use: closes a file, takes back its memory. */
  end: (value: Value) => void;
}

/**
 * Keeps what was made or opened, the least lately used goes first; what is in use is never ended.
 *
 * Who asks for a thing that another is making waits for that one.
 */
export class Shelf<Value extends object> {
  readonly #kept: LRUCache<string, Held<Value>>;
  readonly #made = new Map<string, { promise: Promise<Held<Value>>; waiting: number }>();
  readonly #end: (value: Value) => void;

  constructor({ most, sizeOf, end }: ShelfOptions<Value>) {
    this.#end = end;
    this.#kept = new LRUCache({
      maxSize: most,
      maxEntrySize: most,
      sizeCalculation: ({ value }) => Math.max(1, sizeOf(value)),
      dispose: (held) => {
        held.gone = true;
        if (held.users === 0) end(held.value);
      },
    });
  }

  /** What is kept, in the unit of `sizeOf`. */
  get size(): number {
    return this.#kept.calculatedSize;
  }

  /** Takes a thing, making it where it is not here. Give it back. */
  take(key: string, make: () => Promise<Value>): Promise<Held<Value>> {
    const kept = this.#kept.get(key);
    if (kept) {
      kept.users++;
      return Promise.resolve(kept);
    }
    const making = this.#made.get(key) ?? this.#make(key, make);
    making.waiting++;
    return making.promise;
  }

  give(held: Held<Value>): void {
    held.users--;
    if (held.gone && held.users === 0) this.#end(held.value);
  }

  /** Ends all; what is in use, once it is given back. */
  clear(): void {
    this.#kept.clear();
  }

  #make(key: string, make: () => Promise<Value>): { promise: Promise<Held<Value>>; waiting: number } {
    const making = { waiting: 0, promise: this.#shelve(key, make) };
    this.#made.set(key, making);
    return making;
  }

  async #shelve(key: string, make: () => Promise<Value>): Promise<Held<Value>> {
    try {
      const value = await make();
      const held = { value, users: this.#made.get(key)?.waiting ?? 0, gone: false };
      this.#kept.set(key, held);
      if (this.#kept.peek(key) !== held) held.gone = true; // larger than the whole shelf
      return held;
    } finally {
      this.#made.delete(key);
    }
  }
}
