const CHUNK = 65_536;
const SHIFT = 16;

/** Numbers in the order of their coming, without a copy of what is there as they grow. */
export class Column {
  readonly #chunks: (Float64Array | Int32Array)[] = [];
  readonly #Chunk: typeof Float64Array | typeof Int32Array;
  length = 0;

  constructor(Chunk: typeof Float64Array | typeof Int32Array = Float64Array) {
    this.#Chunk = Chunk;
  }

  push(value: number): void {
    if (this.length % CHUNK === 0) this.#chunks.push(new this.#Chunk(CHUNK));
    this.#chunks[this.length >>> SHIFT][this.length++ & (CHUNK - 1)] = value;
  }

  at(index: number): number {
    return this.#chunks[index >>> SHIFT][index & (CHUNK - 1)];
  }

  /** Each number once, ascending. */
  distinct(): Float64Array {
    const all = new Float64Array(this.length);
    for (let index = 0; index < this.length; index++) all[index] = this.at(index);
    all.sort();
    let kept = 0;
    for (const value of all) if (kept === 0 || value !== all[kept - 1]) all[kept++] = value;
    return all.slice(0, kept);
  }
}

/** In which tile each node lies: one entry, 12 bytes, for each run of ascending ids in one tile. */
export class Tiles {
  readonly #first: Column = new Column();
  readonly #tile: Column = new Column(Int32Array);
  #last = NaN;
  #found = 0;

  /** Ids come ascending. */
  add(id: number, tile: number): void {
    if (tile === this.#last) return;
    this.#last = tile;
    this.#first.push(id);
    this.#tile.push(tile);
  }

  /** Tile of a node; any tile where the file lacks the node. */
  of(id: number): number {
    if (!this.#holds(this.#found, id)) this.#found = this.#search(id);
    return this.#tile.at(this.#found);
  }

  get runs(): number {
    return this.#first.length;
  }

  #holds(run: number, id: number): boolean {
    return this.#first.at(run) <= id && (run + 1 === this.#first.length || id < this.#first.at(run + 1));
  }

  #search(id: number): number {
    let [low, high] = [0, this.#first.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#first.at(middle) <= id) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The places of chosen nodes: 24 bytes each. */
export class Places {
  readonly #ids: Float64Array;
  readonly #lons: Float64Array;
  readonly #lats: Float64Array;

  /** @param ids each once, ascending */
  constructor(ids: Float64Array) {
    this.#ids = ids;
    this.#lons = new Float64Array(ids.length).fill(NaN);
    this.#lats = new Float64Array(ids.length);
  }

  /** Whether any of the chosen has an id from `first` to `last`. */
  anyFrom(first: number, last: number): boolean {
    return this.#ids[this.#from(first)] <= last;
  }

  /** Keeps the place, if the node is one of the chosen. */
  set(id: number, lon: number, lat: number): void {
    const index = this.#from(id);
    if (this.#ids[index] !== id) return;
    this.#lons[index] = lon;
    this.#lats[index] = lat;
  }

  /** The place; `undefined` where the file lacks the node. */
  of(id: number): { lat: number; lon: number } | undefined {
    const index = this.#from(id);
    if (this.#ids[index] !== id || Number.isNaN(this.#lons[index])) return undefined;
    return { lat: this.#lats[index], lon: this.#lons[index] };
  }

  /** Index of the first chosen id that is no less. */
  #from(id: number): number {
    let [low, high] = [0, this.#ids.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ids[middle] < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
