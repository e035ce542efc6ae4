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
  readonly #settings: PredictionSettings;
  readonly #treatments: ReadonlyMap<string, Treatment>;
  readonly #keyFeatures: readonly string[] | undefined;

  constructor(settings: PredictionSettings) {
    this.#settings = settings;
    this.sampler = new Sampler(settings.sampling);
    this.#treatments = new Map(Object.entries(settings.anonymising?.features ?? {}));
    this.#keyFeatures = settings.keyFeatures;
  }

  /** Whether keys for pseudonyms are needed for these rows. */
  needsKeys(rows: readonly PredictionRow[]): boolean {
    if (this.#treatments.size > 0) return true;
    const { key = 'keep', userFeature } = this.#settings.anonymising ?? {};
    return rows.some(
      (row) =>
        row.userId !== undefined ||
        row.sessionId !== undefined ||
        userFeature !== undefined ||
        (key === 'hash' && row.key !== undefined),
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
    const counted: PredictionRow[] = this.#treatments.size === 0 ? [...rows] : [];
    for (let i = 0; i < rows.length; i += 1) {
      const row = rows[i] as PredictionRow;
      const treated = treatFeatures(row.features, this.#treatments, anonymiser);
      if (this.#treatments.size > 0) {
        counted.push({ ...row, features: treated.counted as PredictionRow['features'] });
      }
      const isInSample = isKept[i] === 1;
      if (!isInSample && this.#keyFeatures === undefined) continue;
      const rate = rates[i] as number;
      const reason = reasons[i] as RowToStore['reason'];
      const inSample = reason === 'critical' || reason === 'error' ? 1 : rate;
      const whole = this.#keyFeatures === undefined;
      kept.push({
        ...{ row, ...this.#identities(row, anonymiser) },
        features: isInSample ? treated.stored : this.#keysOf(treated.stored),
        // Where the rest is stored too, only features are a matter of the draw.
        inclusionProbability: whole ? inSample : 1,
        rate: whole ? rate : 1,
        featureRate: rate,
        reason: isInSample ? reason : 'rest',
      });
    }
    if (kept.length === 0) return { stored: undefined, counted };
    const at = Float64Array.from(kept, ({ row }) => row.at);
    return { stored: { at, columns: predictionColumns(kept, unstorable) }, counted };
  }

  #keysOf(features: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const own = (this.#keyFeatures ?? []).filter((name) => Object.hasOwn(features, name));
    return Object.fromEntries(own.map((name) => [name, features[name]]));
  }

  #identities(
    row: PredictionRow,
    anonymiser: Anonymiser,
  ): Pick<RowToStore, 'userId' | 'sessionId' | 'key'> {
    const { userId = 'hash', sessionId = 'hash', key = 'keep' } = this.#settings.anonymising ?? {};
    const made = (id: unknown, how: 'keep' | 'hash' | 'drop'): string | undefined => {
      if (typeof id !== 'string' || id === '' || how === 'drop') return undefined;
      return how === 'keep' ? id : anonymiser.identity(id);
    };
    return {
      userId: made(row.userId ?? this.#userOf(row), userId),
      sessionId: made(row.sessionId, sessionId),
      key: made(row.key, key),
    };
  }

  #userOf({ features }: PredictionRow): string | undefined {
    const name = this.#settings.anonymising?.userFeature;
    if (name === undefined || !Object.hasOwn(features, name)) return undefined;
    const value = features[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  }
}

/** For rows that need no keys. */
export const noAnonymiser: Anonymiser = new Anonymiser({ pseudonymise: new Uint8Array(32) });
