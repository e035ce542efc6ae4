import semver from 'semver';
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
