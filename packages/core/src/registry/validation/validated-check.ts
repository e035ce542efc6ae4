import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { is } from '../model-records.ts';
import type { ModelVersion } from '../model-version.ts';
import { findSuite } from './suites.ts';

/** What a policy may ask of validations. */
export interface ValidatedCheck {
  readonly check: 'validated';
  readonly suite: string;
  /** The report may be so old; any age when left out. */
  readonly maxAgeMs?: number;
}

interface Outcome {
  readonly name: string;
  readonly passed: boolean;
  readonly detail: string;
}

/** Whether the newest report of the suite on the version passed, and is of the suite as it is now. */
export async function checkValidated(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  version: Pick<ModelVersion, 'id' | 'modelId'>,
  check: ValidatedCheck,
): Promise<Outcome> {
  const { metadata, workspace } = scope;
  const where = { op: 'and', of: [is('versionId', version.id), is('suite', check.suite)] } as const;
  const [suite, reports, now] = await Promise.all([
    findSuite(scope, version.modelId, check.suite),
    metadata.query(workspace, 'validation_report', { where, orderBy: newestFirst, limit: 1 }),
    metadata.now(),
  ]);
  return decideValidated(check, suite, reports.records[0], now);
}

/** Ids rise with time, and settle what one millisecond holds. */
const newestFirst = [
  { by: { from: 'column', name: 'createdAt' }, direction: 'desc' },
  { by: { from: 'column', name: 'id' }, direction: 'desc' },
] as const;

/** The same, as a pure function. */
function decideValidated(
  { suite: name, maxAgeMs }: ValidatedCheck,
  suite: Pick<StoredRecord, 'id' | 'revision'> | undefined,
  report: Pick<StoredRecord, 'id' | 'createdAt' | 'columns' | 'body'> | undefined,
  now: number,
): Outcome {
  const answer = (passed: boolean, detail: string): Outcome => ({
    ...{ name: `validated ${name}`, passed, detail },
  });
  if (suite === undefined) return answer(false, 'the model has no such suite');
  if (report === undefined) return answer(false, 'the version was not validated by it');
  const { id, createdAt, columns, body } = report;
  if (body['suiteId'] !== suite.id || body['suiteRevision'] !== suite.revision) {
    return answer(false, `the suite has changed since report ${id}; validate anew`);
  }
  const ageMs = Math.max(0, now - createdAt);
  if (maxAgeMs !== undefined && ageMs > maxAgeMs) {
    return answer(false, `report ${id} is ${ageMs} ms old, allowed ${maxAgeMs}; validate anew`);
  }
  return columns['outcome'] === 'PASSED'
    ? answer(true, `report ${id}`)
    : answer(false, `report ${id} says ${String(columns['outcome'])}`);
}
