import type { Caretaker, Finding } from '../contracts/caretaker.ts';
import type { Columns, StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { everyRecord } from '../operations/every-record.ts';
import { danglingReferences, type Reference } from '../operations/reconcile/dangling.ts';
import { settle } from '../operations/reconcile/mending.ts';
import { faultsOfRun } from './run-faults.ts';

/** Whatever can have come from something. */
const descendants = [
  ...['run', 'model_version', 'deployment', 'rollout', 'execution', 'step_execution'],
];

const references: readonly Reference[] = [
  { kind: 'run', column: 'experimentId', to: ['experiment'] },
  { kind: 'run', column: 'parentRunId', to: ['run'] },
  { kind: 'artifact', column: 'runId', to: ['run'], mend: 'remove' },
  { kind: 'param_entry', column: 'runId', to: ['run'], mend: 'remove' },
  {
    ...{ kind: 'edge', column: 'to', to: descendants, mend: 'remove' },
    // Content is a node by its hash alone.
    except: (id) => id.startsWith('artifact:'),
  },
];

/** Runs whose times cannot be, and records that lead nowhere. */
export function reconcileTracking(scope: Scope): NonNullable<Caretaker['reconcile']> {
  return async (how) => {
    const findings: Finding[] = [];
    for await (const record of everyRecord(scope, 'run', { signal: how.signal })) {
      const faults = faultsOfRun(record, scope.clock.now());
      if (faults.length === 0) continue;
      const columns = timesOf(record);
      const problem = `${faults.map((fault) => `I${fault.slice(1)}`).join('. ')}.`;
      const fault = { component: 'tracking', record, problem };
      const finding = await settle(
        scope,
        columns === undefined ? fault : { ...fault, mend: { columns } },
        how,
      );
      if (finding !== undefined) findings.push(finding);
    }
    return [...findings, ...(await danglingReferences(scope, 'tracking', references, how))];
  };
}

/** Times that can be: of the record itself, or else of its last change. Undefined where only its start is wrong. */
function timesOf({ columns, updatedAt }: StoredRecord): Columns | undefined {
  const startedAt = columns['startedAt'] as number;
  const endedAt = columns['endedAt'] as number | undefined;
  if (columns['status'] === 'RUNNING') {
    return endedAt === undefined ? undefined : { endedAt: undefined, durationMs: undefined };
  }
  const end = [endedAt, updatedAt].find((at) => at !== undefined && at >= startedAt);
  if (end === undefined) return undefined;
  const durationMs = end - startedAt;
  if (end === endedAt && durationMs === columns['durationMs']) return undefined;
  return { endedAt: end, durationMs };
}
