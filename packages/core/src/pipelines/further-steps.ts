import { assertObject } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { Pipeline } from './define-pipeline.ts';

/** What a step returns in place of a value when further steps are to make it: see {@link continueWith}. */
export class FurtherSteps<out O = unknown> {
  readonly pipeline: Pipeline<never, O>;
  readonly parameters: JsonObject;

  constructor(pipeline: Pipeline<never, O>, parameters: JsonObject) {
    this.pipeline = pipeline;
    this.parameters = parameters;
  }
}

/**
 * For a step to return: the steps of `pipeline` run next, as an execution of its own with these parameters,
 * and what that puts out is the step's output. The step fails where the execution does; it ends with the
 * step. Functions of `pipeline` are registered in this process; others, and this one after a crash, go on
 * only where `pipelines.add(pipeline)` was called.
 */
export function continueWith<G, O>(
  pipeline: Pipeline<G, O>,
  ...rest: Record<never, never> extends G ? [parameters?: G] : [parameters: G]
): FurtherSteps<O> {
  const { definition } = assertObject(pipeline, 'continueWith of a pipeline');
  if (typeof definition !== 'object' || definition === null) {
    throw new KeelsonError(
      'INVALID',
      'continueWith takes a pipeline that definePipeline has made, and its parameters.',
    );
  }
  const parameters = assertObject((rest[0] ?? {}) as object, 'The parameters of further steps');
  return new FurtherSteps(pipeline as unknown as Pipeline<never, O>, parameters as JsonObject);
}
