import type { Caretaker, Recovery } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { schedules } from './health/check-schedules.ts';
import { type Saga, sagaFromRecord } from './saga-state.ts';

const overdueMs = 600_000;
/** A drive of each takes a saga as far as it goes now. */
const maxRounds = 1000;

type CareScope = Pick<Scope, 'metadata' | 'workspace' | 'clock'>;

/** Looks after sagas: those that nobody drives, and those that only a person can end. */
export function sagaCaretaker(scope: CareScope, loops: readonly Loop[]): Caretaker {
  return {
    component: 'operations',
    checks: [
      {
        ...{ ...schedules.deep, failureThreshold: 1 },
        ...{ component: 'operations', critical: false, kind: 'deep', shared: true },
        name: 'stuck sagas',
        async run() {
          const { stuck, waiting } = await troubled(scope);
          const details = { stuck: stuck.length, waiting: waiting.length };
          const problems = [
            ...stuck.map(
              ({ id, name, error }) => `${name} ${id} can go neither on nor back${why(error)}`,
            ),
            ...waiting.map(({ id, name }) => `${name} ${id} has been due for ten minutes`),
          ];
          if (problems.length === 0) {
            return { status: 'HEALTHY', message: 'Every saga goes on.', details };
          }
          return { status: 'DEGRADED', message: `${problems.slice(0, 5).join('; ')}.`, details };
        },
      },
    ],
    recoveries: [driveSagas(scope, loops)],
  };
}

function driveSagas(scope: CareScope, loops: readonly Loop[]): Recovery {
  return {
    name: 'drive sagas',
    priority: 50,
    canHandle: ({ check }) => check === 'stuck sagas',
    async run(signal) {
      const [loop] = loops;
      for (let round = 0; round < maxRounds && loop !== undefined && !signal.aborted; round += 1) {
        if (!(await loop.runOnce(signal))) break;
      }
      const { stuck, waiting } = await troubled(scope);
      if (stuck.length === 0 && waiting.length === 0) {
        return { outcome: 'SUCCESS', message: 'Every saga goes on.' };
      }
      const left = [...stuck, ...waiting].slice(0, 10).map(({ id, name }) => `${name} ${id}`);
      return {
        outcome: 'MANUAL_REQUIRED',
        message: `${left.join(', ')} cannot be driven here.`,
        steps: [
          'See with operations.sagas.get(id) what the compensation failed with; mend that, then operations.sagas.retry(id).',
          'For those that wait: start a process that adds their definitions (operations.sagas.add) and calls platform.start().',
        ],
      };
    },
  };
}

async function troubled({ metadata, workspace, clock }: CareScope): Promise<{
  readonly stuck: readonly Saga[];
  readonly waiting: readonly Saga[];
}> {
  const inStatus = async (...values: readonly string[]): Promise<readonly Saga[]> => {
    const left = { from: 'column', name: 'status' } as const;
    const where = { op: 'in', left, values } as const;
    const { records } = await metadata.query(workspace, 'saga', { where, limit: 1000 });
    return records.map(sagaFromRecord);
  };
  const before = clock.now() - overdueMs;
  const open = await inStatus('RUNNING', 'COMPENSATING');
  return {
    stuck: await inStatus('MANUAL_REQUIRED'),
    waiting: open.filter(({ dueAt, updatedAt }) => dueAt < before && updatedAt < before),
  };
}

function why(error: string | undefined): string {
  return error === undefined ? '' : ` (it turned back because: ${error})`;
}
