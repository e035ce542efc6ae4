import type { PredictionRow, PredictionSink, Route } from '@keelson/core';
import { type Finding, namesOfRow } from '../checks/finding.ts';
import type { CheckedInputs } from '../protocol/signature-check.ts';
import type { JobAnswer } from '../replicas/job.ts';
import { noSink } from '../serving-source.ts';
import type { ReadCaller } from './caller-facts.ts';
import type { InferCall } from './infer-call.ts';
import type { LoadedVersion } from './loaded-version.ts';

/** Hands the rows of a deployment's requests to monitoring, without waiting. */
export class PredictionLog {
  readonly #sink: PredictionSink;
  readonly #sticky: () => Route['sticky'];
  readonly #caller: ReadCaller;

  /** `sticky` says by which header callers are told apart now. */
  constructor(sink: PredictionSink, sticky: () => Route['sticky'], caller: ReadCaller) {
    this.#sink = sink;
    this.#sticky = sticky;
    this.#caller = caller;
  }

  /** A row for each row of a request, answered or failed. */
  record(
    version: LoadedVersion,
    call: InferCall,
    checked: CheckedInputs,
    result: Pick<PredictionRow, 'deploymentId' | 'role' | 'latencyMs'> & {
      readonly answer?: JobAnswer;
      readonly error?: unknown;
      readonly findings?: readonly Finding[] | undefined;
    },
  ): void {
    if (this.#sink === noSink) return;
    const { answer, error, findings, ...facts } = result;
    const sticky = this.#sticky();
    const key = sticky === undefined ? undefined : call.header(sticky.header.toLowerCase());
    const rows = version.rows.rows(
      {
        ...facts,
        ...this.#caller(call),
        versionId: version.model.versionId,
        requestId: call.requestId,
        at: call.at,
        ...(key === undefined ? {} : { key }),
        ...(answer === undefined
          ? { error: error instanceof Error ? error.message : String(error) }
          : { queueMs: answer.queueMs, inferenceMs: answer.inferenceMs, replica: answer.replica }),
        ...(call.correlationId === undefined ? {} : { correlationId: call.correlationId }),
      },
      checked.inputs,
      checked.rowCount,
      answer?.outputs,
    );
    const sink = this.#sink;
    if (findings === undefined) for (const row of rows) sink.record(row);
    else for (const [i, row] of rows.entries()) sink.record(flagged(row, namesOfRow(findings, i)));
  }
}

function flagged(row: PredictionRow, flags: readonly string[]): PredictionRow {
  return flags.length === 0 ? row : { ...row, flags };
}
