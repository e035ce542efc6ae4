import type { Permission } from './permissions.ts';

/** What somebody has: a role on a resource, or permissions of another for a time. */
export interface HeldGrant {
  readonly id: string;
  readonly role?: string;
  readonly permissions: ReadonlySet<Permission>;
  readonly resource: string;
  /** Epoch ms. */
  readonly expiresAt?: number;
  /** It counts only for model versions in one of these stages. */
  readonly stages?: readonly string[];
  readonly delegatedBy?: string;
}

/** What is asked, and where the resource lies. */
export interface Question {
  readonly action: string;
  /** From the resource outwards. */
  readonly line: readonly string[];
  readonly stage?: string;
  readonly now: number;
}

/** What can be done to a version in ARCHIVED by nobody. */
const frozen: ReadonlySet<string> = new Set<Permission>(['model.update', 'model.deploy']);

/** Whether the stage of the version forbids it to everybody. */
export function isFrozen({ action, stage }: Pick<Question, 'action' | 'stage'>): boolean {
  return stage === 'ARCHIVED' && frozen.has(action);
}

/** Whether the stage of a version may matter for the action. */
export function dependsOnStage(action: string): boolean {
  return frozen.has(action);
}

/** The first of the grants by which it is allowed, those nearest to the resource first. */
export function findGrant(
  grants: readonly HeldGrant[],
  { action, line, stage, now }: Question,
): HeldGrant | undefined {
  for (const resource of line) {
    for (const grant of grants) {
      if (!grant.permissions.has(action as Permission)) continue;
      if (counts(grant, { line: [resource], now, stage })) return grant;
    }
  }
  return undefined;
}

/** Whether the grant is on something of the line, has not expired, and is good for the stage. */
export function counts(
  grant: HeldGrant,
  {
    line,
    now,
    stage,
  }: Omit<Question, 'action' | 'stage'> & { readonly stage?: string | undefined },
): boolean {
  if (!line.includes(grant.resource)) return false;
  if (grant.expiresAt !== undefined && grant.expiresAt <= now) return false;
  return grant.stages === undefined || grant.stages.includes(stage ?? '');
}
