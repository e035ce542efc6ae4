import type { Caretaker } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { pipelineChecks, pipelineRecoveries } from './pipeline-checks.ts';
import { createOutputReferences, outputContents } from './step-outputs.ts';

/** What pipelines hand to operations. */
export function pipelinesCaretaker(scope: Scope, loops: readonly Loop[]): Caretaker {
  return {
    component: 'pipelines',
    references: createOutputReferences(scope),
    contents: outputContents,
    checks: pipelineChecks(scope),
    recoveries: pipelineRecoveries(scope, loops),
  };
}
