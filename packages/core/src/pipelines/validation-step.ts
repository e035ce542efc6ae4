import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { Registry } from '../registry/registry.ts';
import type { ValidateOptions } from '../registry/validation/validate-options.ts';
import type { StepContext, StepFunction } from './step-types.ts';

/** What a validation comes to, for the steps behind it. */
export interface StepValidation {
  readonly versionId: string;
  readonly reportId: string;
  readonly outcome: 'PASSED' | 'FAILED';
  /** The names of the tests that failed. */
  readonly failed: readonly string[];
}

/** A step's input: which version. */
export interface ValidatedVersion {
  readonly version: { readonly id: string };
}

/**
 * A step that runs a validation suite on the version that an earlier step answered as `{ id }`:
 * `p.step('validate', { version: registered }, validationStep(registry, 'golden', { runtime }))`. It fails, naming
 * the tests, where the suite does; with `onFailure: 'report'` it answers the outcome instead. Options may be made
 * anew for each attempt.
 */
export function validationStep<P = JsonObject>(
  registry: Pick<Registry, 'validate'>,
  suite: string,
  options:
    | Omit<ValidateOptions, 'signal'>
    | ((context: StepContext<P, ValidatedVersion>) => Omit<ValidateOptions, 'signal'>),
  settings: { readonly onFailure?: 'fail' | 'report' } = {},
): StepFunction<P, ValidatedVersion, StepValidation> {
  return async (context) => {
    const made = typeof options === 'function' ? options(context) : options;
    const { id } = context.inputs.version;
    const report = await registry.validate(id, suite, { ...made, signal: context.signal });
    const failed = report.tests.filter(({ outcome }) => outcome === 'FAILED');
    if (failed.length > 0 && settings.onFailure !== 'report') {
      const details = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
      throw new KeelsonError(
        'FAILED',
        `Version ${report.version} of ${report.model} failed suite ${suite} (report ${report.id}): ${details}`,
        { details: { reportId: report.id } },
      );
    }
    return {
      versionId: id,
      reportId: report.id,
      outcome: report.outcome,
      failed: failed.map(({ name }) => name),
    };
  };
}
