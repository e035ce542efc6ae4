import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { PredictionSink } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText, type Json } from '../../json.ts';
import { attentiveSettings } from '../responses/attentive-settings.ts';
import type { CountsKeeper } from './counts-keeper.ts';
import { PredictionLog } from './prediction-log.ts';
import type { PredictionLogOptions, PredictionLogParts } from './prediction-log-parts.ts';
import {
  type PredictionSettings,
  PredictionSettingsKeeper,
  type StoredPredictionSettings,
} from './prediction-settings.ts';
import { PseudonymKeys } from './pseudonym-keys.ts';
import { SettingsInForce } from './settings-in-force.ts';
import { type UserErasure, UserErasures } from './user-erasure.ts';

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
  /**
   * Erases what is kept of a user's requests, in all deployments of the workspace: predictions, samples of them, labels, and notes of
   * which were counted; by the pseudonyms of `userId`, by sticky keys that are the user's id, and by the feature that
   * settings name. Then all rows are read again, to prove it. What other processes have not stored yet goes with
   * their next flush. Killed or failed, the same call goes on.
   */
  eraseUser(userId: string, options: { readonly reason: string }): Promise<UserErasure>;
  /** The value that a token of `tokenise` stands for. NOT_FOUND for what is no token of this workspace. */
  detokenise(token: string): Promise<Json>;
}

const eraseShape = z.strictObject({ reason: z.string().min(1).max(2000) });

/** The room with what monitoring itself needs of it. */
export interface PredictionLoggingRoom {
  readonly service: PredictionLogging;
  readonly settings: PredictionSettingsKeeper;
  readonly erasures: UserErasures;
  close(options: { readonly timeoutMs: number }): Promise<void>;
}

/** {@link PredictionLogging} of a scope. */
export function createPredictionLogging(
  scope: Scope,
  parts: Pick<PredictionLogParts, 'windows'> & {
    readonly options?: PredictionLogOptions | undefined;
    /** Keeps counts of what was accepted and stored; nobody when left out. */
    readonly counts?: CountsKeeper | undefined;
    /** Writes the embedded store anew, so that nothing of what was erased is left in its files. */
    readonly compact?: (() => Promise<boolean>) | undefined;
  },
): PredictionLoggingRoom {
  const { windows, options, counts } = parts;
  const settings = new PredictionSettingsKeeper(scope);
  const inForce = new SettingsInForce(attentiveSettings(scope, settings));
  const keys = new PseudonymKeys(scope);
  const erasures = new UserErasures(scope, {
    ...{ keys, settings, compact: parts.compact },
    flush: () => log.flush(),
  });
  const log = new PredictionLog(scope, options, {
    ...{ windows, settings: inForce, keys, counts, erasures },
  });
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

      async eraseUser(userId, given) {
        assertText(userId, 'The id of a user', 1000);
        if (userId === '') throw new KeelsonError('INVALID', 'The id of a user is empty.');
        const { reason } = checkOptions(eraseShape, given, 'monitoring.eraseUser');
        return erasures.erase(userId, reason);
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
    erasures,
    close: (how) => log.close(how),
  };
}
