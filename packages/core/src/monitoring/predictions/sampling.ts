import type { PredictionRow } from '../../contracts/prediction-sink.ts';

/** By what the sample is stratified. */
export type StratumBy =
  | 'segment'
  | 'region'
  | 'experimentArm'
  | 'versionId'
  | { readonly feature: string };

/** Which predictions are kept as rows. What is counted of them (drift, metrics) is counted of all. */
export interface SamplingSettings {
  /** The share that is kept, 0 to 1; 1 when left out. */
  readonly rate?: number;
  /** Other shares for some values of a column; the rest has `rate`. */
  readonly strata?: {
    readonly by: StratumBy;
    readonly rates: Readonly<Record<string, number>>;
  };
  /** At most about so many rows a second from each process, beside those that are kept always. */
  readonly budget?: { readonly rowsPerSecond: number };
  /** Whether rows that failed are always kept; true when left out. */
  readonly errors?: boolean;
  /** Rows with one of these flags are always kept, as are those that say they are `critical`; any flag when left out. */
  readonly criticalFlags?: readonly string[];
}

/** Why a row is in the log. `rest` are those outside the sample, of which only key features are kept. */
export type InclusionReason = 'random' | 'stratum' | 'critical' | 'error' | 'rest';

/** What became of a batch of rows, one by one. */
export interface Draw {
  readonly isKept: Uint8Array;
  /** With which chance the draw by hash takes it; what is kept always has one too. */
  readonly rates: Float64Array;
  readonly reasons: readonly InclusionReason[];
}

/** A budget lowers rates at most so far: under any load something is seen of every stratum. */
const lowestScale = 1 / 1024;

/** Rates are lowered by steps, so that a request and the copy of it that a shadow answered fare alike. */
const steps = 4;

/** The law of a sample. Equal requests are equally in it or not, in every process. */
export class Sampler {
  readonly #rate: number;
  readonly #strata: ReadonlyMap<string, number> | undefined;
  readonly #by: StratumBy | undefined;
  readonly #budget: number | undefined;
  readonly #errors: boolean;
  readonly #flags: ReadonlySet<string> | undefined;

  constructor({ rate = 1, strata, budget, errors = true, criticalFlags }: SamplingSettings = {}) {
    this.#rate = rate;
    this.#by = strata?.by;
    this.#strata = strata && new Map(Object.entries(strata.rates));
    this.#budget = budget?.rowsPerSecond;
    this.#errors = errors;
    this.#flags = criticalFlags && new Set(criticalFlags);
  }

  /** Whether every row is kept, whatever comes. */
  get keepsAll(): boolean {
    if (this.#budget !== undefined) return false;
    return this.lowestRate === 1;
  }

  /** A request whose {@link sampleFraction} is below it is in the sample for certain. */
  get lowestRate(): number {
    const lowest = Math.min(this.#rate, ...(this.#strata?.values() ?? []));
    return this.#budget === undefined ? lowest : lowest * lowestScale;
  }

  /** Why a row is kept whatever the draw says; undefined where it is not. */
  always(row: PredictionRow): 'critical' | 'error' | undefined {
    if (row.critical === true) return 'critical';
    const { flags } = row;
    if (Array.isArray(flags) && flags.length > 0) {
      if (this.#flags === undefined || flags.some((flag) => this.#flags?.has(flag))) {
        return 'critical';
      }
    }
    return this.#errors && row.error !== undefined ? 'error' : undefined;
  }

  /** The name of the stratum that losses are counted under. */
  stratumOf(row: PredictionRow): string {
    const always = this.always(row);
    if (always !== undefined) return always;
    if (this.#by === undefined) return 'all';
    const by = typeof this.#by === 'string' ? this.#by : this.#by.feature;
    const value = stratumValue(this.#by, row);
    if (value === undefined || !this.#strata?.has(value)) return `${by}: others`;
    return `${by}=${value}`.slice(0, 100);
  }

  /** Decides about rows that came within `ms`. The rates depend on how many came, never on which. */
  draw(rows: readonly PredictionRow[], ms: number): Draw {
    const count = rows.length;
    const rates = new Float64Array(count);
    const isKept = new Uint8Array(count);
    const reasons = new Array<InclusionReason>(count).fill('random');
    let expected = 0;
    let always = 0;
    for (let i = 0; i < count; i += 1) {
      const row = rows[i] as PredictionRow;
      const own = this.#ownRate(row);
      rates[i] = own ?? this.#rate;
      const reason = this.always(row);
      reasons[i] = reason ?? (own === undefined ? 'random' : 'stratum');
      if (reason === undefined) expected += rates[i] as number;
      else always += 1;
    }
    const scale = this.#scale(expected, always, ms);
    for (let i = 0; i < count; i += 1) {
      const rate = (rates[i] as number) * scale;
      rates[i] = rate;
      const isAlways = reasons[i] === 'critical' || reasons[i] === 'error';
      const { requestId } = rows[i] as PredictionRow;
      isKept[i] = isAlways || rate >= 1 || sampleFraction(requestId) < rate ? 1 : 0;
    }
    return { isKept, rates, reasons };
  }

  #ownRate(row: PredictionRow): number | undefined {
    if (this.#by === undefined) return undefined;
    const value = stratumValue(this.#by, row);
    return value === undefined ? undefined : this.#strata?.get(value);
  }

  #scale(expected: number, always: number, ms: number): number {
    if (this.#budget === undefined || expected === 0) return 1;
    const room = Math.max(0, (this.#budget * ms) / 1000 - always);
    if (room >= expected) return 1;
    return Math.max(lowestScale, 2 ** (Math.floor(Math.log2(room / expected) * steps) / steps));
  }
}

function stratumValue(by: StratumBy, row: PredictionRow): string | undefined {
  if (typeof by === 'string') return row[by];
  const { features } = row;
  if (!Object.hasOwn(features, by.feature)) return undefined;
  const value = features[by.feature];
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/**
 * Where a request lies in [0, 1), by a hash of its id (MurmurHash3 over its UTF-16 units): it is in the sample where that is
 * below its rate. No other hash of this platform, such as the router's, is of this kind, so that a sample of
 * an arm is a sample of its requests.
 */
export function sampleFraction(requestId: string): number {
  let hash = 0x6b65656c;
  for (let i = 0; i < requestId.length; i += 1) {
    let unit = Math.imul(requestId.charCodeAt(i), 0xcc9e2d51);
    unit = (unit << 15) | (unit >>> 17);
    hash ^= Math.imul(unit, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= requestId.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
