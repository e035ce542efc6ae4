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
  const part = bump === 'auto' ? automatic : bump;
  const next = incremented(greatest, part);
  if (next !== undefined) return next;
  throw new KeelsonError(
    'CONFLICT',
    `Version ${greatest} has no ${part} version after it: its number is the greatest there may be. Say which version it is to be.`,
  );
}

function incremented(version: string, part: Exclude<Bump, 'auto'>): string | undefined {
  const next = semver.inc(version, part);
  // What is beyond the greatest safe integer is none.
  return next === null ? undefined : (semver.valid(next) ?? undefined);
}

/** The greater of two versions by semver's order. */
export function greaterVersion(a: string | undefined, b: string): string {
  return a === undefined || semver.gt(b, a) ? b : a;
}
