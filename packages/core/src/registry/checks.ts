import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, storableText } from '../json.ts';
import { openReviewsOf } from '../operations/incidents/open-reviews.ts';
import { directionByName } from '../tracking/metric-direction.ts';
import { checkCard } from './cards/card-check.ts';
import { problemOf } from './damage.ts';
import type { ModelLineage, ModelVersion } from './model-version.ts';
import { signatureBreaks } from './signature-breaks.ts';
import { isGood, type TrustScope, verifiedSignatures, whyNone } from './signing/trust.ts';
import type { LineagePart, PolicyCheck } from './stage-policy.ts';
import { checkValidated } from './validation/validated-check.ts';

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

/** The checks that processes bring, by name. */
export type OwnChecks = ReadonlyMap<string, OwnCheck>;

type CheckScope = TrustScope & Pick<Scope, 'artifacts'>;

/** Runs the policy's checks on a version, each against the one now in production, and those of the request. */
export async function runChecks(
  scope: CheckScope,
  version: ModelVersion,
  production: ModelVersion | undefined,
  checks: readonly PolicyCheck[],
  own: {
    readonly brought: OwnChecks;
    readonly asked: Readonly<Record<string, OwnCheck>>;
  },
): Promise<readonly CheckOutcome[]> {
  const outcomes: CheckOutcome[] = [];
  for (const check of checks) {
    outcomes.push(await runCheck(scope, check, version, production, own.brought));
  }
  for (const [name, run] of Object.entries(own.asked)) {
    outcomes.push(await runOwn(name, run, version, production));
  }
  return outcomes;
}

/** Those whose outcome may change while a request waits for approvals, and that cost no reading of content. */
export function checksOfApproval(checks: readonly PolicyCheck[]): readonly PolicyCheck[] {
  const changing = new Set([
    'signature',
    'no-worse',
    'comparison',
    'no-open-review',
    'card',
    'validated',
  ]);
  return checks.filter(({ check }) => changing.has(check));
}

async function runCheck(
  scope: CheckScope,
  check: PolicyCheck,
  version: ModelVersion,
  production: ModelVersion | undefined,
  brought: OwnChecks,
): Promise<CheckOutcome> {
  switch (check.check) {
    case 'integrity':
      return checkIntegrity(scope, version);
    case 'no-open-review':
      return checkReviews(scope, version.model);
    case 'signed':
      return checkSigned(scope, version, check.keys);
    case 'lineage':
      return checkLineage(scope, version, check.of ?? ['run', 'data']);
    case 'card':
      return checkCard(scope, version, check);
    case 'validated':
      return checkValidated(scope, version, check);
    case 'own':
      return runOwn(check.name, brought.get(check.name), version, production);
    default:
      return decideCheck(check, version, production);
  }
}

async function runOwn(
  name: string,
  run: OwnCheck | undefined,
  version: ModelVersion,
  production: ModelVersion | undefined,
): Promise<CheckOutcome> {
  if (run === undefined) {
    const detail = 'this process does not bring it; registry.addCheck() does, before the request';
    return { name, passed: false, detail };
  }
  try {
    const said: unknown = await run(version, production);
    return { name, passed: true, detail: storableText(typeof said === 'string' ? said : '', 2000) };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { name, passed: false, detail: storableText(detail, 2000) };
  }
}

async function checkLineage(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  { lineage }: ModelVersion,
  parts: readonly LineagePart[],
): Promise<CheckOutcome> {
  const name = 'lineage';
  const missing: LineagePart[] = [];
  for (const part of parts) {
    if (!(await knows(scope, lineage, part))) missing.push(part);
  }
  if (missing.length === 0) return { name, passed: true, detail: `knows its ${parts.join(', ')}` };
  return { name, passed: false, detail: `it is not known which ${missing.join(', ')} it is from` };
}

async function knows(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  lineage: ModelLineage,
  part: LineagePart,
): Promise<boolean> {
  const { sourceRunId, environment } = lineage;
  switch (part) {
    case 'run':
      return sourceRunId !== undefined;
    case 'code':
      return lineage.codeCommit !== undefined;
    case 'execution':
      return lineage.pipelineExecutionId !== undefined;
    case 'environment':
      return environment?.lockHash !== undefined || environment?.image !== undefined;
    case 'data': {
      if ((lineage.datasets ?? []).length > 0) return true;
      if (sourceRunId === undefined) return false;
      const around = { direction: 'backward', depth: 1, limit: 1000 } as const;
      const { nodes } = await metadata.reach(workspace, [sourceRunId], around);
      const ids = nodes.map(({ id }) => id);
      return (await metadata.findMany(workspace, 'dataset', ids)).length > 0;
    }
  }
}

/** Whether incidents of the model wait for their review. */
async function checkReviews(
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

async function checkSigned(
  scope: TrustScope,
  version: ModelVersion,
  keys: readonly string[] | undefined,
): Promise<CheckOutcome> {
  const name = 'signed';
  const found = await verifiedSignatures(scope, version, keys);
  const good = found.filter(isGood);
  if (good.length === 0) return { name, passed: false, detail: whyNone(found) };
  return { name, passed: true, detail: `by ${good.map(({ keyId }) => keyId).join(', ')}` };
}

async function checkIntegrity(scope: CheckScope, version: ModelVersion): Promise<CheckOutcome> {
  const name = 'integrity';
  for (const file of version.files) {
    const found = await problemOf(scope, file);
    if (found === undefined) continue;
    return { name, passed: false, detail: `${found.path}: ${found.problem}` };
  }
  return { name, passed: true, detail: matched(version.files.length) };
}

function allowed({ min, max }: { readonly min?: number; readonly max?: number }): string {
  if (max === undefined) return `at least ${min} is asked`;
  return min === undefined ? `at most ${max} is asked` : `${min} to ${max} is asked`;
}

function matched(files: number): string {
  return files === 1 ? '1 file matches its SHA-256' : `${files} files match their SHA-256`;
}

/** The checks that need no content, as a pure function. */
function decideCheck(
  check: Extract<
    PolicyCheck,
    { readonly check: 'signature' | 'metric' | 'no-worse' | 'comparison' }
  >,
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
        detail: `${value}, ${allowed(check)}`,
      };
    }
    case 'no-worse':
      return checkNoWorse(check, version, production);
    case 'comparison':
      return checkComparison(check.tolerance, version, production);
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

function checkComparison(
  tolerance: number,
  version: ModelVersion,
  production: ModelVersion | undefined,
): CheckOutcome {
  const name = 'comparison';
  if (production === undefined) {
    return { name, passed: true, detail: 'nothing in production to compare with' };
  }
  const compared: string[] = [];
  const worse: string[] = [];
  for (const [metric, before] of Object.entries(production.metrics)) {
    const after = version.metrics[metric];
    const better = directionByName(metric);
    if (after === undefined || better === undefined) continue;
    compared.push(metric);
    const loss = better === 'higher' ? before - after : after - before;
    // Written so that NaN fails.
    if (!(after === before || loss <= tolerance * Math.abs(before))) {
      worse.push(`${metric} ${after} against ${before}`);
    }
  }
  const against = `version ${production.version}, tolerance ${tolerance * 100} %`;
  if (worse.length > 0) {
    return { name, passed: false, detail: `worse than ${against}: ${worse.join(', ')}` };
  }
  if (compared.length === 0) {
    const detail = `no metric that ${production.version} has too says by its name which way it is better`;
    return { name, passed: true, detail };
  }
  return { name, passed: true, detail: `${compared.join(', ')} no worse than ${against}` };
}

/** Refuses, as INVALID, what is no check; answers its name. */
export function assertCheck(name: string, check: OwnCheck): string {
  assertText(name, 'The name of a check', 255);
  if (name !== '' && typeof check === 'function') return name;
  throw new KeelsonError('INVALID', 'addCheck takes a name and a function.');
}
