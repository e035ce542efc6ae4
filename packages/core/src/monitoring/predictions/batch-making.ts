import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import type { RowColumn } from '../../contracts/series-store.ts';
import { Anonymiser, type Treatment, treatFeatures } from './anonymising.ts';
import { predictionColumns, type RowToStore } from './prediction-columns.ts';
import type { PredictionSettings } from './prediction-settings.ts';
import { Sampler } from './sampling.ts';
import type { Unstorable } from './storable-value.ts';

/** Rows of one deployment on their way to the store: drawn and treated once, however often they are tried. */
export interface MadeBatch {
  /** Undefined where none of the rows is in the sample. */
  readonly stored:
    | { readonly at: Float64Array; readonly columns: Readonly<Record<string, RowColumn>> }
    | undefined;
  /** All rows, for what is counted of all, with features that may be shown to whoever sees counts. */
  readonly counted: readonly PredictionRow[];
}

/** The settings of a deployment, ready for use. */
export class BatchMaking {
  readonly sampler: Sampler;
  readonly #userId: 'hash' | 'drop';
  readonly #sessionId: 'hash' | 'drop';
  readonly #key: 'keep' | 'hash' | 'drop';
  readonly #userFeature: string | undefined;
  readonly #treatments: ReadonlyMap<string, Treatment>;
  readonly #keyFeatures: readonly string[] | undefined;

  constructor({ sampling, anonymising = {}, keyFeatures }: PredictionSettings) {
    const { features = {}, userId = 'hash', sessionId = 'hash', key = 'keep' } = anonymising;
    this.sampler = new Sampler(sampling);
    this.#treatments = new Map(Object.entries(features));
    this.#keyFeatures = keyFeatures;
    this.#userId = userId;
    this.#sessionId = sessionId;
    this.#key = key;
    this.#userFeature = anonymising.userFeature;
  }

  /** Whether keys for pseudonyms are needed for these rows. */
  needsKeys(rows: readonly PredictionRow[]): boolean {
    if (this.#treatments.size > 0) return true;
    if (this.#userFeature !== undefined) return true;
    const isKeyHashed = this.#key === 'hash';
    return rows.some(
      ({ userId, sessionId, key }) =>
        userId !== undefined || sessionId !== undefined || (isKeyHashed && key !== undefined),
    );
  }

  /** Draws the sample of rows that came within `ms`, and makes columns of it. */
  make(
    rows: readonly PredictionRow[],
    ms: number,
    anonymiser: Anonymiser,
    unstorable: Unstorable,
  ): MadeBatch {
    const { isKept, rates, reasons } = this.sampler.draw(rows, ms);
    const kept: RowToStore[] = [];
    const isTreated = this.#treatments.size > 0;
    const whole = this.#keyFeatures === undefined;
    const counted: PredictionRow[] = [];
    for (let i = 0; i < rows.length; i += 1) {
      const row = rows[i] as PredictionRow;
      let stored: Readonly<Record<string, unknown>> = row.features;
      if (isTreated) {
        const treated = treatFeatures(row.features, this.#treatments, anonymiser);
        counted.push({ ...row, features: treated.counted as PredictionRow['features'] });
        stored = treated.stored;
      }
      const isInSample = isKept[i] === 1;
      if (!isInSample && whole) continue;
      const rate = rates[i] as number;
      const reason = reasons[i] as RowToStore['reason'];
      const inSample = reason === 'critical' || reason === 'error' ? 1 : rate;
      kept.push({
        row,
        userId: this.#identity(row.userId ?? this.#userOf(row), this.#userId, anonymiser),
        sessionId: this.#identity(row.sessionId, this.#sessionId, anonymiser),
        key: this.#identity(row.key, this.#key, anonymiser),
        features: isInSample ? stored : this.#keysOf(stored),
        // Where the rest is stored too, only features are a matter of the draw.
        inclusionProbability: whole ? inSample : 1,
        rate: whole ? rate : 1,
        featureRate: rate,
        reason: isInSample ? reason : 'rest',
      });
    }
    const all = { counted: isTreated ? counted : rows };
    if (kept.length === 0) return { stored: undefined, ...all };
    const at = new Float64Array(kept.length);
    for (const [i, { row }] of kept.entries()) at[i] = row.at;
    return { stored: { at, columns: predictionColumns(kept, unstorable) }, ...all };
  }

  #keysOf(features: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const own = (this.#keyFeatures ?? []).filter((name) => Object.hasOwn(features, name));
    return Object.fromEntries(own.map((name) => [name, features[name]]));
  }

  #identity(
    id: string | undefined,
    how: 'keep' | 'hash' | 'drop',
    anonymiser: Anonymiser,
  ): string | undefined {
    if (typeof id !== 'string' || id === '' || how === 'drop') return undefined;
    return how === 'keep' ? id : anonymiser.identity(id);
  }

  #userOf({ features }: PredictionRow): string | undefined {
    const name = this.#userFeature;
    if (name === undefined || !Object.hasOwn(features, name)) return undefined;
    const value = features[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  }
}

/** For rows that need no keys. */
export const noAnonymiser: Anonymiser = new Anonymiser({ pseudonymise: new Uint8Array(32) });
