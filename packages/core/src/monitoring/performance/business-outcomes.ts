import type { Scope } from '../../contracts/scope.ts';
import type { StreamKey } from '../../contracts/series-store.ts';
import { KeelsonError } from '../../errors.ts';
import { findRequests } from './label-requests.ts';
import type { LabelNumbers } from './labels.ts';

/** What came of a request, or of those of a key: what it earned, whether it was paid. */
export interface Outcome {
  /** Such as `revenue`. */
  readonly name: string;
  /** The request that it is of; left out where a key is given. */
  readonly requestId?: string;
  /** The key that requests were made with: of the last one up to `observedAt`. */
  readonly key?: string;
  /** Several of one request add up. */
  readonly value: number;
  /** When it became known. */
  readonly observedAt: number;
}

/** What became of outcomes. */
export interface OutcomeResult {
  readonly accepted: number;
  /** Outcomes of requests that no prediction is stored for. */
  readonly refused: readonly {
    readonly name: string;
    readonly requestId?: string;
    readonly key?: string;
    readonly code: 'NOT_FOUND';
    readonly message: string;
  }[];
}

/** All outcomes of one name of a request. */
export interface StoredOutcome {
  readonly value: number;
  readonly firstAt: number;
}

/** The stream of a deployment’s outcomes. */
function outcomeStream(workspace: string, deploymentId: string): StreamKey {
  return { workspace, stream: 'outcomes', owner: deploymentId };
}

/**
 * Stores outcomes of requests whose predictions are stored, and refuses the others by name. INVALID for one without a finite
 * value or time, or that names neither a request nor a key.
 */
export async function appendOutcomes(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  outcomes: readonly Outcome[],
  maxDelayMs: number,
  numbers: LabelNumbers,
): Promise<OutcomeResult> {
  for (const outcome of outcomes) assertOutcome(outcome);
  if (outcomes.length === 0) return { accepted: 0, refused: [] };
  const times = outcomes.map(({ observedAt }) => observedAt);
  const found = await findRequests(scope, deploymentId, {
    from: Math.min(...times) - maxDelayMs,
    to: Math.max(...times) + 1,
  });
  const rows: { requestId: string; outcome: Outcome }[] = [];
  const refused: OutcomeResult['refused'][number][] = [];
  for (const outcome of outcomes) {
    const { name, requestId, key } = outcome;
    const [request] = found.of({ ...outcome, value: null }, maxDelayMs);
    if (request !== undefined) rows.push({ requestId: request.requestId, outcome });
    else {
      const what = requestId === undefined ? `with the key ${key}` : `of request ${requestId}`;
      refused.push({
        name,
        ...(requestId === undefined ? {} : { requestId }),
        ...(key === undefined ? {} : { key }),
        code: 'NOT_FOUND',
        message: `No prediction ${what} is stored for this deployment in the ${Math.round(maxDelayMs / 86_400_000)} days before the outcome.`,
      });
    }
  }
  if (rows.length > 0) {
    await scope.series.appendRows({
      writer: numbers.writer,
      sequence: numbers.next(`outcomes ${deploymentId}`),
      stream: outcomeStream(scope.workspace, deploymentId),
      at: Float64Array.from(rows, ({ outcome }) => outcome.observedAt),
      columns: {
        requestId: { type: 'text', values: rows.map(({ requestId }) => requestId) },
        name: { type: 'text', values: rows.map(({ outcome }) => outcome.name) },
        value: { type: 'number', values: Float64Array.from(rows, ({ outcome }) => outcome.value) },
      },
    });
  }
  return { accepted: rows.length, refused };
}

function assertOutcome({ name, requestId, key, value, observedAt }: Outcome): void {
  const invalid = (message: string): KeelsonError => new KeelsonError('INVALID', message);
  if (typeof name !== 'string' || name === '') throw invalid('An outcome must have a name.');
  if (!Number.isFinite(value)) throw invalid(`The outcome ${name} must have a finite value.`);
  if (!Number.isFinite(observedAt)) throw invalid(`The outcome ${name} has no observedAt.`);
  const named = requestId ?? key;
  const isOne = requestId === undefined || key === undefined;
  if (typeof named !== 'string' || !isOne) {
    throw invalid(`The outcome ${name} must name either the requestId that it is of, or a key.`);
  }
}

/** The outcomes of each request by their name, of those observed with from ≤ observedAt < to. */
export async function readOutcomes(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
): Promise<ReadonlyMap<string, ReadonlyMap<string, StoredOutcome>>> {
  const byName = new Map<string, Map<string, StoredOutcome>>();
  const stream = outcomeStream(scope.workspace, deploymentId);
  for await (const { at, columns } of scope.series.rows(stream, range)) {
    const { requestId: ids, name: names, value: values } = columns;
    if (ids?.type !== 'text' || names?.type !== 'text' || values?.type !== 'number') continue;
    for (let i = 0; i < at.length; i += 1) {
      const [requestId, name] = [ids.values[i], names.values[i]];
      if (typeof requestId !== 'string' || typeof name !== 'string') continue;
      const known = byName.get(name) ?? new Map<string, StoredOutcome>();
      const before = known.get(requestId);
      known.set(requestId, {
        value: (before?.value ?? 0) + (values.values[i] as number),
        firstAt: Math.min(before?.firstAt ?? Infinity, at[i] as number),
      });
      byName.set(name, known);
    }
  }
  return byName;
}
