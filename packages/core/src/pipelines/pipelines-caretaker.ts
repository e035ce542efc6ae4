import type { Caretaker } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { danglingReferences, type Reference } from '../operations/reconcile/dangling.ts';
import { checkpointContents } from './checkpoints/step-checkpoints.ts';
import { pipelineChecks, pipelineRecoveries } from './pipeline-checks.ts';
import { createOutputReferences, outputContents } from './step-outputs.ts';

const references: readonly Reference[] = [
  { kind: 'step_execution', column: 'executionId', to: ['execution'], mend: 'remove' },
  { kind: 'step_output', column: 'executionId', to: ['execution'], mend: 'remove' },
  { kind: 'step_checkpoint', column: 'executionId', to: ['execution'], mend: 'remove' },
];

/** What pipelines hand to operations. */
export function pipelinesCaretaker(scope: Scope, loops: readonly Loop[]): Caretaker {
  return {
    component: 'pipelines',
    references: createOutputReferences(scope),
    contents: [outputContents, checkpointContents],
    checks: pipelineChecks(scope),
    recoveries: pipelineRecoveries(scope, loops),
    reconcile: (how) => danglingReferences(scope, 'pipelines', references, how),
  };
}
