import type { PredictionSink } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText, type Json } from '../../json.ts';
import type { CountsKeeper } from './counts-keeper.ts';
import {
  PredictionLog,
  type PredictionLogOptions,
  type PredictionLogParts,
} from './prediction-log.ts';
import {
  type PredictionSettings,
  PredictionSettingsKeeper,
  type StoredPredictionSettings,
} from './prediction-settings.ts';
import { PseudonymKeys } from './pseudonym-keys.ts';
import { SettingsInForce } from './settings-in-force.ts';

/** What is kept of predictions. */
export interface PredictionLogging {
  /** Where serving hands its predictions. */
  readonly predictions: PredictionSink;
  /**
   * Which predictions of a deployment are kept as rows, with which features, made how anonymous, and for how long; in place of
   * what was set before, and within about ten seconds in every process. What is counted of predictions is counted of all.
   */
  setPredictionSettings(
    deploymentId: string,
    settings: PredictionSettings,
  ): Promise<StoredPredictionSettings>;
  /** Those in force; revision 0, and everything is kept, where none were set. */
  predictionSettings(deploymentId: string): Promise<StoredPredictionSettings>;
  /** The value that a token of `tokenise` stands for. NOT_FOUND for what is no token of this workspace. */
  detokenise(token: string): Promise<Json>;
}

/** The room with what monitoring itself needs of it. */
export interface PredictionLoggingRoom {
  readonly service: PredictionLogging;
  readonly settings: PredictionSettingsKeeper;
  close(options: { readonly timeoutMs: number }): Promise<void>;
}

/** {@link PredictionLogging} of a scope. */
export function createPredictionLogging(
  scope: Scope,
  parts: Pick<PredictionLogParts, 'windows'> & {
    readonly options?: PredictionLogOptions | undefined;
    /** Keeps counts of what was accepted and stored; nobody when left out. */
    readonly counts?: CountsKeeper | undefined;
  },
): PredictionLoggingRoom {
  const { windows, options, counts } = parts;
  const settings = new PredictionSettingsKeeper(scope);
  const inForce = new SettingsInForce(settings);
  const keys = new PseudonymKeys(scope);
  const log = new PredictionLog(scope, options, { windows, settings: inForce, keys, counts });
  return {
    service: {
      predictions: log.sink(),

      async setPredictionSettings(deploymentId, given) {
        const stored = await settings.set(deploymentId, given);
        inForce.forget(deploymentId);
        return stored;
      },

      predictionSettings(deploymentId) {
        assertText(deploymentId, 'A deployment id', 512);
        return settings.get(deploymentId);
      },

      async detokenise(token) {
        assertText(token, 'A token', 1_000_000);
        for (const anonymiser of await keys.all()) {
          const value = anonymiser.valueOf(token);
          if (value !== undefined) return value;
        }
        throw new KeelsonError(
          'NOT_FOUND',
          'This is no token that was made with a key of this workspace.',
        );
      },
    },
    settings,
    close: (how) => log.close(how),
  };
}
