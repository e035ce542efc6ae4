import type { AttemptKey, TaskSpec } from '@keelson/core';

/** What an engine remembers of a task, in the labels of each of its units. */
export interface TaskFacts {
  readonly key: AttemptKey;
  /** How many processes it has. */
  readonly units: number;
  readonly deadlineMs?: number;
  readonly memoryBytes?: number;
  readonly graceMs: number;
}

/** The labels by which tasks are found. */
export const taskLabels = {
  task: 'keelson.task',
  rank: 'keelson.rank',
  facts: 'keelson.facts',
  workspace: 'keelson.workspace',
  execution: 'keelson.execution',
  step: 'keelson.step',
  attempt: 'keelson.attempt',
} as const;

/** The name of a unit of a task. */
export function unitName(id: string, rank: number): string {
  return rank === 0 ? `keelson-${id}` : `keelson-${id}-${rank}`;
}

/** What is remembered of a task. */
export function factsOf(spec: TaskSpec): TaskFacts {
  const { gang, resources, deadlineMs, key, graceMs } = spec;
  const limitMs = Math.min(deadlineMs ?? Infinity, resources.maxDurationMs ?? Infinity);
  return {
    key,
    units: gang === undefined ? 1 : gang.nodes * gang.processesPerNode,
    graceMs,
    ...(limitMs === Infinity ? {} : { deadlineMs: limitMs }),
    ...(resources.memoryBytes === undefined ? {} : { memoryBytes: resources.memoryBytes }),
  };
}

/** The labels of a unit. */
export function labelsOf(
  id: string,
  rank: number,
  facts: TaskFacts,
  more: TaskSpec['labels'] = {},
): Record<string, string> {
  const { workspace, executionId, stepId, attempt } = facts.key;
  return {
    ...more,
    [taskLabels.task]: id,
    [taskLabels.rank]: String(rank),
    [taskLabels.facts]: JSON.stringify(facts),
    [taskLabels.workspace]: workspace,
    [taskLabels.execution]: executionId,
    [taskLabels.step]: stepId,
    [taskLabels.attempt]: String(attempt),
  };
}

/** What the labels of a unit say; undefined for what is none of ours. */
export function readFacts(labels: Readonly<Record<string, string>>): TaskFacts | undefined {
  try {
    return JSON.parse(labels[taskLabels.facts] ?? '') as TaskFacts;
  } catch {
    return undefined;
  }
}

/** What a list of tasks is filtered by, as the engine's `label` filter. */
export function labelFilter(query: {
  readonly workspace: string;
  readonly executionId?: string;
}): readonly string[] {
  const { workspace, executionId } = query;
  return [
    `${taskLabels.workspace}=${workspace}`,
    ...(executionId === undefined ? [] : [`${taskLabels.execution}=${executionId}`]),
  ];
}
