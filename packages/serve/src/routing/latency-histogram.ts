/** Buckets per doubling: the middle of a bucket is within 1.1 % of what fell into it. */
const perOctave = 32;
const octaves = 32;
const bucketCount = octaves * perOctave + 1;

/**
 * Counts latencies in log-linear buckets from 1 µs to over an hour; smaller ones count as 1 µs. Recording costs
 * some nanoseconds, histograms add up.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(bucketCount);
  #count = 0;
  #maxMs = 0;
  #sumMs = 0;

  /** How many were recorded. */
  get count(): number {
    return this.#count;
  }

  /** The largest, exactly; 0 when there is none. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** Of all that were recorded. */
  get sumMs(): number {
    return this.#sumMs;
  }

  record(latencyMs: number): void {
    const index = bucketOf(latencyMs * 1000);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#count += 1;
    this.#sumMs += latencyMs;
    if (latencyMs > this.#maxMs) this.#maxMs = latencyMs;
  }

  /** Takes over all that `other` has counted. */
  add(other: LatencyHistogram): void {
    for (let i = 0; i < bucketCount; i += 1) {
      this.#counts[i] = (this.#counts[i] as number) + (other.#counts[i] as number);
    }
    this.#count += other.#count;
    this.#sumMs += other.#sumMs;
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs);
  }

  /** The q-quantile (0 to 1) in ms, to 1.1 %; 0 when nothing was recorded. */
  quantileMs(q: number): number {
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let i = 0; i < bucketCount; i += 1) {
      seen += this.#counts[i] as number;
      if (seen >= rank && seen > 0) return Math.min(middleOf(i) / 1000, this.#maxMs);
    }
    return 0;
  }

  /** How many were below each bound (ms, ascending); exact where a bound is one of a bucket's. */
  upTo(boundsMs: readonly number[]): number[] {
    let at = 0;
    let below = 0;
    return boundsMs.map((bound) => {
      for (const end = bucketOf(Math.round(bound * 1e6) / 1000); at < end; at += 1)
        below += this.#counts[at] as number;
      return below;
    });
  }

  clear(): void {
    if (this.#count > 0) this.#counts.fill(0);
    this.#count = 0;
    this.#maxMs = 0;
    this.#sumMs = 0;
  }
}

function bucketOf(micros: number): number {
  if (!(micros > 1)) return 0;
  const octave = Math.min(octaves - 1, 31 - Math.clz32(Math.min(micros, 0xffff_ffff)));
  const within = Math.floor((micros / 2 ** octave - 1) * perOctave);
  return Math.min(bucketCount - 1, octave * perOctave + within);
}

function middleOf(index: number): number {
  const octave = Math.floor(index / perOctave);
  return 2 ** octave * (1 + ((index % perOctave) + 0.5) / perOctave);
}
