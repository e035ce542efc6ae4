import type { Predicate, Selector } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { type ExecutionState, executionFromRecord } from './execution.ts';
import type { StepStatus } from './execution-state.ts';
import { mapKeyOf, type StepState, stepExecutionId, stepFromRecord } from './step-execution.ts';

/** Reads executions and their steps. */
export interface ExecutionRecords {
  find(id: string): Promise<ExecutionState | undefined>;
  /** NOT_FOUND when there is none. */
  get(id: string): Promise<ExecutionState>;
  /**
   * As this process has read it last, within so many ms, whenever that was where they are left out: for who
   * commits only what is right while its revision is the same, and reads it where it is not.
   */
  remembered(id: string, withinMs?: number): ExecutionState | undefined;
  step(executionId: string, step: string, mapKey?: string): Promise<StepState | undefined>;
  stepById(id: string): Promise<StepState | undefined>;
  /** Those of the names, in their order; missing ones are left out. */
  stepsNamed(executionId: string, names: readonly string[]): Promise<readonly StepState[]>;
  /** The step that waits for an execution that it has asked for. */
  parentOf(execution: Pick<ExecutionState, 'id' | 'parentStep'>): Promise<StepState | undefined>;
  /** Of a fan-out, in their order; those that were not made are left out. */
  items(executionId: string, step: string, count: number): Promise<readonly StepState[]>;
  /** Of one execution, items included, in the statuses given, at most `limit`; all of them when left out. */
  steps(
    executionId: string,
    options?: { readonly statuses?: readonly StepStatus[]; readonly limit?: number },
  ): Promise<readonly StepState[]>;
}

/** Executions that are remembered as they were read last. */
const maxRemembered = 1000;

/** Reads of the scope's workspace. */
export function createExecutionRecords(scope: Scope): ExecutionRecords {
  const { metadata, workspace } = scope;
  const last = new Map<string, { readonly execution: ExecutionState; readonly at: number }>();

  async function find(id: string): Promise<ExecutionState | undefined> {
    const record = await metadata.find(workspace, 'execution', id, { facets: ['tags'] });
    if (record === undefined) return undefined;
    const execution = executionFromRecord(record);
    if (last.size >= maxRemembered) last.clear();
    last.set(id, { execution, at: performance.now() });
    return execution;
  }

  async function stepById(id: string): Promise<StepState | undefined> {
    const record = await metadata.find(workspace, 'step_execution', id);
    return record && stepFromRecord(record);
  }

  return {
    find,
    stepById,

    remembered(id, withinMs = Number.POSITIVE_INFINITY) {
      const known = last.get(id);
      return known !== undefined && performance.now() - known.at <= withinMs
        ? known.execution
        : undefined;
    },

    step: (executionId, step, mapKey = '') => stepById(stepExecutionId(executionId, step, mapKey)),

    async parentOf({ id, parentStep }) {
      const parent = parentStep === undefined ? undefined : await stepById(parentStep);
      const waits = parent?.status === 'RUNNING' && parent.childExecutionId === id;
      return waits && parent.pendingDeps > 0 ? parent : undefined;
    },

    async items(executionId, step, count) {
      const states: StepState[] = [];
      for (let at = 0; at < count; at += 1000) {
        const ids = Array.from({ length: Math.min(1000, count - at) }, (_, i) =>
          stepExecutionId(executionId, step, mapKeyOf(at + i)),
        );
        const records = await metadata.findMany(workspace, 'step_execution', ids);
        states.push(...records.map(stepFromRecord));
      }
      return states;
    },

    async get(id) {
      const execution = await find(id);
      if (execution !== undefined) return execution;
      throw new KeelsonError(
        'NOT_FOUND',
        `There is no execution ${id} in workspace ${workspace}.`,
        {
          details: { executionId: id },
        },
      );
    },

    async stepsNamed(executionId, names) {
      const states: StepState[] = [];
      for (let at = 0; at < names.length; at += 1000) {
        const ids = names.slice(at, at + 1000).map((name) => stepExecutionId(executionId, name));
        const records = await metadata.findMany(workspace, 'step_execution', ids);
        states.push(...records.map(stepFromRecord));
      }
      return states;
    },

    async steps(executionId, { statuses, limit = Number.POSITIVE_INFINITY } = {}) {
      const of: Predicate[] = [equals('executionId', executionId)];
      if (statuses !== undefined) {
        of.push({ op: 'in', left: column('status'), values: statuses });
      }
      const states: StepState[] = [];
      let cursor: string | undefined;
      do {
        const page = await metadata.query(workspace, 'step_execution', {
          where: { op: 'and', of },
          limit: Math.min(1000, limit - states.length),
          ...(cursor === undefined ? {} : { cursor }),
        });
        states.push(...page.records.map(stepFromRecord));
        cursor = page.cursor;
      } while (cursor !== undefined && states.length < limit);
      return states;
    },
  };
}

/** A declared column, for a query. */
export function column(name: string): Selector {
  return { from: 'column', name };
}

/** The column has this value. */
export function equals(name: string, value: string | number | boolean): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}
