import type { Caretaker, Finding } from '../contracts/caretaker.ts';
import type { Columns, StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { versionKey } from '../language/version-order.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { danglingReferences, type Reference } from '../operations/reconcile/dangling.ts';
import { settle } from '../operations/reconcile/mending.ts';

const references: readonly Reference[] = [
  { kind: 'model_version', column: 'modelId', to: ['model'] },
  { kind: 'stage_transition', column: 'versionId', to: ['model_version'] },
  { kind: 'model_card', column: 'modelId', to: ['model'] },
  { kind: 'validation_suite', column: 'modelId', to: ['model'] },
  { kind: 'validation_report', column: 'versionId', to: ['model_version'] },
];

/** Models that disagree with their versions, and records that lead nowhere. */
export function reconcileRegistry(scope: Scope): NonNullable<Caretaker['reconcile']> {
  return async (how) => {
    const findings: Finding[] = [];
    for await (const record of everyRecord(scope, 'model', { signal: how.signal })) {
      const versions = await versionsOf(scope, record.id, how.signal);
      const faults = [{ record, ...faultsOfModel(record, versions) }, ...versions.map(lacksKey)];
      for (const { problem, ...fault } of faults) {
        if (problem === undefined) continue;
        const found = { component: 'registry', problem, ...fault };
        const finding = await settle(scope, found, how);
        if (finding !== undefined) findings.push(finding);
      }
    }
    return [...findings, ...(await danglingReferences(scope, 'registry', references, how))];
  };
}

/** One that was registered before there were keys: ranges and orders do not find it. */
function lacksKey(record: StoredRecord): {
  readonly record: StoredRecord;
  readonly problem?: string;
  readonly mend?: { readonly columns: Columns };
} {
  const { version, versionKey: has } = record.columns;
  const key = versionKey(version as string);
  if (has !== undefined || key === undefined) return { record };
  const problem = `Version ${version} is found by no range: it was made before versions had keys.`;
  return { record, problem, mend: { columns: { versionKey: key } } };
}

async function versionsOf(
  scope: Scope,
  modelId: string,
  signal: AbortSignal,
): Promise<readonly StoredRecord[]> {
  const where = columnIs('modelId', modelId);
  return await Array.fromAsync(everyRecord(scope, 'model_version', { where, signal }));
}

/** Where a model's record and those of its versions disagree, the versions are right: they are what was registered. */
function faultsOfModel(
  { columns, body }: StoredRecord,
  all: readonly StoredRecord[],
): { readonly problem: string; readonly mend?: { readonly columns: Columns } } | undefined {
  const problems: string[] = [];
  const right: Record<string, Columns[string]> = {};
  const number = Math.max(0, ...all.map(numberOf));
  if ((columns['lastNumber'] as number) < number) {
    problems.push(`Its last number is ${columns['lastNumber']}, and version ${number} is there`);
    right['lastNumber'] = number;
  }
  // A deleted version has its number, and nothing else of the model.
  const versions = all.filter((each) => each.columns['deletedAt'] === undefined);
  const newest = versions.toSorted((a, b) => numberOf(b) - numberOf(a))[0];
  const latest = columns['latestVersionId'];
  if (latest !== undefined && !versions.some(({ id }) => id === latest)) {
    problems.push(`Its latest version ${latest} is not there`);
    right['latestVersionId'] = newest?.id;
  }
  const inProduction = versions.filter((each) => each.columns['stage'] === 'PRODUCTION');
  const production = columns['productionVersionId'];
  const ids = inProduction.map(({ id }) => id);
  const policy = body['policy'] as { readonly singleProduction?: boolean } | undefined;
  if (ids.length > 1 && policy?.singleProduction === true) {
    problems.push(`${ids.join(' and ')} are in production at once: archive all but one`);
  } else if (production === undefined ? ids.length > 0 : !ids.includes(production as string)) {
    const there = ids.join(' and ') || 'none';
    problems.push(`It names ${production ?? 'none'} as in production, and ${there} is`);
    right['productionVersionId'] = ids[0];
  }
  for (const [alias, id] of Object.entries((body['aliases'] ?? {}) as Record<string, string>)) {
    if (versions.some((each) => each.id === id)) continue;
    problems.push(`Its alias ${alias} points to ${id}, which is not there: move or remove it`);
  }
  if (problems.length === 0) return undefined;
  const problem = `${problems.join('. ')}.`;
  return Object.keys(right).length === 0 ? { problem } : { problem, mend: { columns: right } };
}

function numberOf(version: StoredRecord): number {
  return version.columns['number'] as number;
}
