import semver from 'semver';
import type { ModelSignature, TensorSpec } from '../contracts/model-runtime.ts';
import { KeelsonError } from '../errors.ts';

/** Which part of a version rises; `auto` looks at what changed. */
export type Bump = 'major' | 'minor' | 'patch' | 'auto';

/** A version as a semver text, or INVALID. */
export function assertVersion(version: string): string {
  const valid = semver.valid(version);
  if (valid !== null && valid === version) return version;
  throw new KeelsonError(
    'INVALID',
    `Version ${JSON.stringify(version)} is no semantic version; write it like 1.4.0.`,
  );
}

/**
 * The version after `greatest` (the greatest ever used, deleted ones included): 1.0.0 for the first.
 * `auto`: major when the signature changed incompatibly, minor when content changed, patch otherwise.
 */
export function nextVersion(
  greatest: string | undefined,
  bump: Bump,
  change: { readonly signatureBroken: boolean; readonly contentChanged: boolean },
): string {
  if (greatest === undefined) return '1.0.0';
  const automatic = change.signatureBroken ? 'major' : change.contentChanged ? 'minor' : 'patch';
  const next = semver.inc(greatest, bump === 'auto' ? automatic : bump);
  if (next === null) throw new KeelsonError('INTERNAL', `Version ${greatest} has no successor.`);
  return next;
}

/** The greater of two versions by semver's order. */
export function greaterVersion(a: string | undefined, b: string): string {
  return a === undefined || semver.gt(b, a) ? b : a;
}

/**
 * Why callers written for `former` would fail with `next`: an input that they do not send, or one that
 * changed its type or shape; an output that they read and that is gone or changed. Empty when none.
 */
export function signatureBreaks(former: ModelSignature, next: ModelSignature): readonly string[] {
  const breaks: string[] = [];
  for (const input of next.inputs) {
    const before = former.inputs.find((each) => each.name === input.name);
    if (before === undefined) breaks.push(`input ${input.name} is new`);
    else if (!accepts(input, before)) breaks.push(`input ${input.name} changed`);
  }
  for (const input of former.inputs) {
    if (!next.inputs.some((each) => each.name === input.name))
      breaks.push(`input ${input.name} is gone`);
  }
  for (const output of former.outputs) {
    const after = next.outputs.find((each) => each.name === output.name);
    if (after === undefined) breaks.push(`output ${output.name} is gone`);
    else if (!accepts(output, after)) breaks.push(`output ${output.name} changed`);
  }
  return breaks;
}

// Whether whatever fits `given` fits `wanted` too.
function accepts(wanted: TensorSpec, given: TensorSpec): boolean {
  if (wanted.datatype !== given.datatype || wanted.shape.length !== given.shape.length)
    return false;
  if (!wanted.shape.every((size, i) => size === -1 || size === given.shape[i])) return false;
  if (wanted.columns === undefined || given.columns === undefined) return true;
  return JSON.stringify(wanted.columns) === JSON.stringify(given.columns);
}
