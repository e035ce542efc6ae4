import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { openReviewsOf } from '../operations/incidents/open-reviews.ts';
import { type CardCheck, checkCard } from './cards/card-check.ts';
import type { ModelVersion } from './model-version.ts';
import { signatureBreaks } from './signature-breaks.ts';
import type { PolicyCheck } from './stage-policy.ts';

/** What a check found. */
export interface CheckOutcome {
  readonly name: string;
  readonly passed: boolean;
  readonly detail: string;
}

/** A check of the user's own: what it throws fails the transition with its message. */
export type OwnCheck = (
  version: ModelVersion,
  production: ModelVersion | undefined,
) => Promise<string> | string;

/** Runs the policy's checks on a version, each against the one now in production. */
export async function runChecks(
  scope: Pick<Scope, 'artifacts' | 'metadata' | 'workspace'>,
  version: ModelVersion,
  production: ModelVersion | undefined,
  checks: readonly PolicyCheck[],
  own: Readonly<Record<string, OwnCheck>>,
): Promise<readonly CheckOutcome[]> {
  const outcomes: CheckOutcome[] = [];
  for (const check of checks) {
    outcomes.push(await runCheck(scope, check, version, production));
  }
  for (const [name, run] of Object.entries(own)) {
    try {
      outcomes.push({ name, passed: true, detail: await run(version, production) });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      outcomes.push({ name, passed: false, detail });
    }
  }
  return outcomes;
}

async function runCheck(
  scope: Pick<Scope, 'artifacts' | 'metadata' | 'workspace'>,
  check: PolicyCheck,
  version: ModelVersion,
  production: ModelVersion | undefined,
): Promise<CheckOutcome> {
  if (check.check === 'integrity') return checkIntegrity(scope, version);
  if (check.check === 'no-open-review') return checkReviews(scope, version.model);
  if (check.check === 'card') return checkCard(scope, version, check);
  return decideCheck(check, version, production);
}

/** Whether incidents of the model wait for their review. */
export async function checkReviews(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  model: string,
): Promise<CheckOutcome> {
  const name = 'no open review';
  const [first, ...more] = await openReviewsOf(scope, model);
  if (first === undefined)
    return { name, passed: true, detail: 'no incident waits for its review' };
  const others = more.length === 0 ? '' : `, and ${more.length} more`;
  const detail = `incident ${first.id} (${first.title}) waits for its review${others}`;
  return { name, passed: false, detail };
}

async function checkIntegrity(
  scope: Pick<Scope, 'artifacts'>,
  version: ModelVersion,
): Promise<CheckOutcome> {
  const name = 'integrity';
  for (const file of version.files) {
    try {
      await scope.artifacts.verify(file.sha256);
    } catch (error) {
      if (!isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) throw error;
      return { name, passed: false, detail: `${file.path}: ${error.message}` };
    }
  }
  return { name, passed: true, detail: `${version.files.length} files match their SHA-256` };
}

/** The checks that need no content, as a pure function. */
function decideCheck(
  check: Exclude<PolicyCheck, CardCheck | { readonly check: 'integrity' | 'no-open-review' }>,
  version: ModelVersion,
  production: ModelVersion | undefined,
): CheckOutcome {
  switch (check.check) {
    case 'signature':
      return checkSignature(version, production);
    case 'metric': {
      const value = version.metrics[check.metric];
      const name = `metric ${check.metric}`;
      if (value === undefined)
        return { name, passed: false, detail: 'the version has no such metric' };
      // Written so that NaN fails.
      const passed = value >= (check.min ?? -Infinity) && value <= (check.max ?? Infinity);
      return {
        name,
        passed,
        detail: `${value}, allowed ${check.min ?? '−∞'} to ${check.max ?? '∞'}`,
      };
    }
    case 'no-worse':
      return checkNoWorse(check, version, production);
  }
}

function checkSignature(version: ModelVersion, production: ModelVersion | undefined): CheckOutcome {
  const name = 'signature';
  if (version.signature === undefined) {
    return { name, passed: false, detail: 'the version has no signature' };
  }
  if (production?.signature === undefined) {
    return { name, passed: true, detail: 'present; nothing in production to compare with' };
  }
  const breaks = signatureBreaks(production.signature, version.signature);
  return breaks.length === 0
    ? { name, passed: true, detail: `fits version ${production.version}` }
    : {
        name,
        passed: false,
        detail: `breaks callers of ${production.version}: ${breaks.join(', ')}`,
      };
}

function checkNoWorse(
  check: Extract<PolicyCheck, { readonly check: 'no-worse' }>,
  version: ModelVersion,
  production: ModelVersion | undefined,
): CheckOutcome {
  const name = `${check.metric} no worse`;
  const before = production?.metrics[check.metric];
  const after = version.metrics[check.metric];
  if (after === undefined) return { name, passed: false, detail: 'the version has no such metric' };
  if (before === undefined)
    return { name, passed: true, detail: 'nothing in production to compare with' };
  const loss = check.better === 'higher' ? before - after : after - before;
  return {
    name,
    passed: loss <= check.tolerance,
    detail: `${after} against ${before} of ${production?.version}, tolerance ${check.tolerance}`,
  };
}
