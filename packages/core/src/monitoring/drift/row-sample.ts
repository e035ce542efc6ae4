/** Hashes of rows by their content, a column after the other. */
export class RowHashes {
  readonly #hashes: Uint32Array;

  constructor(rows: number) {
    this.#hashes = new Uint32Array(rows).fill(0x9e3779b9);
  }

  /** Takes in a column's number of each row. */
  add(column: Float64Array): void {
    const hashes = this.#hashes;
    const words = new Uint32Array(column.buffer, column.byteOffset, column.length * 2);
    for (let i = 0; i < hashes.length; i += 1) {
      let hash = (hashes[i] as number) ^ (words[2 * i] as number);
      hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
      hash ^= words[2 * i + 1] as number;
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
      hashes[i] = (hash ^ (hash >>> 16)) >>> 0;
    }
  }

  /** The places of at least so many rows with the smallest hashes, all of equal ones, in no order. */
  smallest(wanted: number): readonly number[] {
    return candidates(this.#hashes, wanted);
  }

  /** Of two places, which comes first; 0 for equal hashes. */
  compare(a: number, b: number): number {
    return (this.#hashes[a] as number) - (this.#hashes[b] as number);
  }
}

/** The places of the smallest hashes: a few more than are wanted, so that only these need be sorted. */
function candidates(hashes: Uint32Array, wanted: number): number[] {
  if (hashes.length <= wanted) return Array.from(hashes, (_, place) => place);
  const limit = hashes.slice().sort()[wanted] as number;
  const places: number[] = [];
  for (let place = 0; place < hashes.length; place += 1) {
    if ((hashes[place] as number) <= limit) places.push(place);
  }
  return places;
}
