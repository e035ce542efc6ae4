import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { columnIs } from '../operations/every-record.ts';
import { currentRun } from '../tracking/active-run.ts';
import type { Run } from '../tracking/run.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { lineagePrefixes, type StepsBehind } from './lineage-edges.ts';
import type { ModelFile } from './model-version.ts';

/** The tags by which a run of tracking says which step of which execution it is an attempt of. */
export const stepTags = {
  execution: 'keelson.execution',
  stepExecution: 'keelson.step_execution',
} as const;

/** What pipelines have to do with a version that is about to be. */
export interface StepOrigins extends StepsBehind {
  /** The execution whose step registers it. */
  readonly executionId?: string;
}

/** A run may lie so deep below that of its step. */
const deepest = 20;
/** So many files, the largest first, are looked up among what steps have put out. */
const lookedUp = 20;

/**
 * Which step makes a version: the one that `run` (or, without one, the code that registers) is an attempt of, or
 * lies below; and which of its files, the 20 largest, are what steps have put out.
 */
export async function stepOrigins(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  tracking: Pick<Tracking, 'getRun'>,
  run: Run | undefined,
  files: readonly ModelFile[],
): Promise<StepOrigins> {
  return { ...(await attemptOf(tracking, run)), contents: await putOut(scope, files) };
}

async function attemptOf(
  tracking: Pick<Tracking, 'getRun'>,
  given: Run | undefined,
): Promise<Omit<StepOrigins, 'contents'>> {
  let run = given ?? (await runHere(tracking));
  for (let depth = 0; run !== undefined && depth < deepest; depth += 1) {
    const executionId = run.tags[stepTags.execution];
    const stepExecutionId = run.tags[stepTags.stepExecution];
    if (executionId !== undefined && stepExecutionId !== undefined) {
      return { executionId: executionId.slice(0, 255), stepExecutionId };
    }
    run = run.parentRunId === undefined ? undefined : await find(tracking, run.parentRunId);
  }
  return {};
}

async function runHere(tracking: Pick<Tracking, 'getRun'>): Promise<Run | undefined> {
  const here = currentRun();
  return here === undefined ? undefined : await find(tracking, here.id);
}

async function find(tracking: Pick<Tracking, 'getRun'>, id: string): Promise<Run | undefined> {
  try {
    return await tracking.getRun(id);
  } catch (error) {
    // Of another workspace, or removed: then nothing is known of it here.
    if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

async function putOut(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  files: readonly ModelFile[],
): Promise<readonly string[]> {
  const largest = files
    .filter(({ sizeBytes }) => sizeBytes > 0)
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
    .slice(0, lookedUp);
  const digests = [...new Set(largest.map(({ sha256 }) => sha256))];
  const found = await Promise.all(
    digests.map((sha256) =>
      metadata.query(workspace, 'step_output', { where: columnIs('sha256', sha256), limit: 1 }),
    ),
  );
  return digests
    .filter((_, i) => (found[i]?.records.length ?? 0) > 0)
    .map((sha256) => `${lineagePrefixes.artifact}${sha256}`);
}
