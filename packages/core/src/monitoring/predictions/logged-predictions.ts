import { assertList, assertObject } from '../../check-options.ts';
import type { PredictionRow, PredictionSink } from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import { predictionStream } from './prediction-stream.ts';
import { predictionReader, type StoredPrediction } from './stored-predictions.ts';
import { usableRow } from './usable-row.ts';

/** A prediction that was made elsewhere: what serving would have handed over. */
export type LoggedPrediction = Omit<PredictionRow, 'deploymentId'>;

/** Which predictions are read. */
export interface ListPredictionsOptions {
  /** Epoch ms; from ≤ at < to. */
  readonly from: number;
  readonly to: number;
  /** The newest so many; 100 when left out, 10,000 at most. */
  readonly limit?: number;
}

/** Predictions told and read one by one. */
export interface LoggedPredictions {
  /**
   * Logs predictions of a deployment, made by whatever serves it; they are durable once it resolves. INVALID, naming the
   * first, for one that cannot be stored. Sampling and settings of the deployment hold for them too.
   */
  logPredictions(deploymentId: string, rows: readonly LoggedPrediction[]): Promise<void>;
  /** Those in the log, newest first, as they are kept. */
  listPredictions(
    deploymentId: string,
    options: ListPredictionsOptions,
  ): Promise<readonly StoredPrediction[]>;
}

const maxListed = 10_000;
/** The log takes no more at a time than it may hold back. */
const maxLogged = 10_000;

/** {@link LoggedPredictions} of a scope. */
export function createLoggedPredictions(
  scope: Pick<Scope, 'series' | 'workspace'>,
  sink: PredictionSink,
): LoggedPredictions {
  return {
    async logPredictions(deploymentId, rows) {
      assertText(deploymentId, 'A deployment id', 512);
      assertList(rows, 'The predictions');
      if (rows.length > maxLogged) {
        throw new KeelsonError(
          'INVALID',
          `${rows.length} predictions are more than the ${maxLogged} that are logged at a time; log them in parts.`,
        );
      }
      const full = sink.full?.();
      if (full !== undefined) throw full;
      const whole = rows.map((row) => ({ ...row, deploymentId }));
      const bad = whole.findIndex((row) => usableRow(row) === undefined);
      if (bad >= 0) {
        throw new KeelsonError(
          'INVALID',
          `Prediction ${bad} has no version id, request id or time.`,
          { details: { index: bad } },
        );
      }
      for (const row of whole) sink.record(row);
      await sink.flush();
    },

    async listPredictions(deploymentId, options) {
      assertText(deploymentId, 'A deployment id', 512);
      const { from, to, limit = 100 } = assertObject(options, 'monitoring.listPredictions');
      const isUsable = Number.isFinite(from) && Number.isFinite(to);
      if (!isUsable || !Number.isSafeInteger(limit) || limit < 1 || limit > maxListed) {
        throw new KeelsonError(
          'INVALID',
          `from and to must be times in epoch milliseconds, and limit 1 to ${maxListed}.`,
        );
      }
      await sink.flush();
      const newest: StoredPrediction[] = [];
      const stream = predictionStream(scope.workspace, deploymentId);
      for await (const batch of scope.series.rows(stream, { from, to })) {
        const read = predictionReader(batch);
        for (let i = 0; i < batch.at.length; i += 1) newest.push(read(i));
        // A busy day is read without being held.
        if (newest.length > 2 * limit + 1000) keepNewest(newest, limit);
      }
      keepNewest(newest, limit);
      return newest;
    },
  };
}

function keepNewest(rows: StoredPrediction[], limit: number): void {
  rows.sort((a, b) => b.at - a.at || (a.requestId < b.requestId ? -1 : 1));
  if (rows.length > limit) rows.length = limit;
}
