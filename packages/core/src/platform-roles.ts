import { KeelsonError } from './errors.ts';

/** What a process does in the background. */
export const platformRoles = ['api', 'worker', 'monitor'] as const;

/**
 * What a process does in the background: `worker` runs pipelines, rollouts, automations and housekeeping, `monitor`
 * analyses, alerts, responses and notifications. `api` does neither: it answers, and tells the subscribers that it has.
 */
export type PlatformRole = (typeof platformRoles)[number];

/** How the background work of a process begins. */
export interface BackgroundOptions {
  /** All when left out. */
  readonly roles?: readonly PlatformRole[];
}

/** The roles that are asked for; INVALID, naming it, for one that there is not, and for none. */
export function checkRoles(roles: readonly string[]): ReadonlySet<PlatformRole> {
  const unknown = roles.find((role) => !(platformRoles as readonly string[]).includes(role));
  if (unknown === undefined && roles.length > 0) return new Set(roles as readonly PlatformRole[]);
  throw new KeelsonError(
    'INVALID',
    `start() needs roles among ${platformRoles.join(', ')}, not ${unknown === undefined ? 'none' : JSON.stringify(unknown)}.`,
  );
}
