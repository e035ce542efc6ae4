import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Authorizer, Clock, Principal } from '../contracts/ports.ts';
import { AccessCache } from './access-cache.ts';
import {
  counts,
  dependsOnStage,
  findGrant,
  type HeldGrant,
  isFrozen,
  type Question,
} from './access-decision.ts';
import { type KeyFacts, type RoleBook, readGrants, readKey, readRoles } from './access-facts.ts';
import {
  lineOf,
  lineWithoutStore,
  outerLine,
  platformWorkspace,
  type ResourceLine,
} from './access-resources.ts';
import { covers, type Permission } from './permissions.ts';
import { builtInRoles } from './roles.ts';

/** Under this very object loops of the platform work; no other with its id is it. */
export const platformPrincipal: Principal = Object.freeze({
  id: 'service:keelson',
  roles: Object.freeze([]),
});

/** Whether something is allowed, why, and by which grant. */
export interface AccessVerdict {
  readonly allowed: boolean;
  readonly reason: string;
  readonly grant?: HeldGrant;
  /** The resource that the grant is on, where it is not the one that was asked for. */
  readonly inheritedFrom?: string;
}

type Request = Parameters<Authorizer['authorize']>[0];

/** Told of what the audit wants to know. Returns at once. */
export interface AccessNotes {
  refused(request: Request, reason: string): void;
  delegationUsed(request: Request, grant: HeldGrant): void;
}

/** What an authorizer works with. */
export interface AuthorizerParts {
  readonly metadata: MetadataStore;
  readonly clock: Clock;
  /** The workspace in which roles without a place count. */
  readonly home: string;
  /** Ids of principals that may do everything. */
  readonly owners: readonly string[];
  readonly notes: AccessNotes;
  /** How long grants that another process may have changed are believed; 1,000 when left out. */
  readonly cacheMs?: number;
}

/** Decides by roles and grants; see docs/decisions/0042-access.md. */
export interface AccessAuthorizer extends Required<Authorizer> {
  /** The verdict, of which nobody is told. */
  judge(request: Request): Promise<AccessVerdict>;
  /** As {@link judge}, but by what the principal has by himself, without what others lend him. */
  judgeOwn(request: Request): Promise<AccessVerdict>;
  /** Forgets what is known of a principal, or of everybody. */
  forget(principal?: string): void;
}

const maxPrincipals = 10_000;
const maxRuns = 10_000;
const ownerGrant: HeldGrant = {
  id: 'owner of the platform',
  role: 'owner',
  permissions: builtInRoles.get('owner') ?? new Set(),
  resource: 'platform',
};

/** An authorizer over the grants of a store. */
export function createAuthorizer(parts: AuthorizerParts): AccessAuthorizer {
  const { metadata, clock, notes } = parts;
  const fresh = { maxAgeMs: parts.cacheMs ?? 1000, maxEntries: maxPrincipals };
  const owners = new Set(parts.owners);
  const grants = new AccessCache<readonly HeldGrant[]>(fresh);
  const keys = new AccessCache<KeyFacts | 'none'>(fresh);
  const books = new AccessCache<RoleBook>(fresh);
  // A run never leaves its experiment.
  const runs = new AccessCache<ResourceLine>({ maxAgeMs: Infinity, maxEntries: maxRuns });

  function recorded(workspace: string, id: string): Promise<readonly HeldGrant[]> {
    return grants.get(`${id}\0${workspace}`, () => readGrants(metadata, workspace, id));
  }

  /** What the roles that somebody carries give in the workspace. */
  async function carried(workspace: string, principal: Principal): Promise<readonly HeldGrant[]> {
    const held: HeldGrant[] = [];
    for (const text of principal.roles) {
      const { role, resource } = placeOfRole(text, parts.home);
      if (resource !== 'platform' && resource !== `workspace:${workspace}`) continue;
      const book = builtInRoles.has(role)
        ? builtInRoles
        : await books.get(workspace, () => readRoles(metadata, workspace));
      const permissions = book.get(role);
      if (permissions !== undefined) held.push({ id: `role ${text}`, role, permissions, resource });
    }
    return held;
  }

  async function heldBy(workspace: string, principal: Principal): Promise<readonly HeldGrant[]> {
    if (owners.has(principal.id)) return [ownerGrant];
    const written = await recorded(workspace, principal.id);
    if (principal.roles.length === 0) return written;
    return [...(await carried(workspace, principal)), ...written];
  }

  /** Why the credential is not good for it; undefined when it is. */
  async function barred({ principal, workspace, action }: Request): Promise<string | undefined> {
    const { scopes, credential } = principal;
    if (scopes !== undefined && !covers(scopes, action)) {
      return `the scopes of the key (${scopes.join(', ')}) leave it out; make a key that has it`;
    }
    if (credential === undefined) return undefined;
    const id = credential.replace(/^key:/, '');
    const key = await keys.get(
      `${id}\0${workspace}`,
      async () => (await readKey(metadata, workspace, id)) ?? 'none',
    );
    if (key === 'none') return 'the key is not one of this workspace';
    if (key.revokedAt !== undefined) return 'the key was revoked';
    if ((key.expiresAt ?? Infinity) <= clock.now()) return 'the key has expired';
    return undefined;
  }

  async function search(
    request: Request,
    place: ResourceLine,
    ownOnly: boolean,
  ): Promise<HeldGrant | undefined> {
    const { principal, workspace, action } = request;
    const question: Question = { action, now: clock.now(), ...place };
    const held = await heldBy(workspace, principal);
    const own = held.filter((grant) => grant.delegatedBy === undefined);
    const found = findGrant(own, question);
    if (found !== undefined || ownOnly) return found;
    for (const grant of held) {
      if (grant.delegatedBy === undefined || findGrant([grant], question) === undefined) continue;
      const delegator = { id: grant.delegatedBy, roles: [] };
      // Lent is no more than what the lender has now.
      if ((await search({ ...request, principal: delegator }, place, true)) !== undefined) {
        return grant;
      }
    }
    return undefined;
  }

  async function placeOf({ workspace, resource }: Request): Promise<ResourceLine> {
    if (!resource.startsWith('run:')) return lineOf(metadata, workspace, resource);
    const key = `${resource}\0${workspace}`;
    const known = runs.peek(key);
    if (known !== undefined) return known;
    const found = await lineOf(metadata, workspace, resource);
    // What is not there yet may come.
    return found.line[0] === resource ? runs.get(key, async () => found) : found;
  }

  async function verdict(request: Request, ownOnly: boolean): Promise<AccessVerdict> {
    const { principal, workspace, action, resource } = request;
    if (principal === platformPrincipal) return { allowed: true, reason: 'the platform itself' };
    if (workspace === platformWorkspace) return refusal(principal, action);
    const reason = await barred(request);
    if (reason !== undefined) return { allowed: false, reason };
    const known = lineWithoutStore(workspace, resource);
    if (known !== undefined || !dependsOnStage(action)) {
      // Most are allowed in the whole workspace: no need to look where the thing lies.
      const near = known ?? { line: outerLine(workspace) };
      const grant = await search(request, near, ownOnly);
      if (grant !== undefined) return allowance(grant, resource);
      if (known !== undefined) return refusal(principal, action);
    }
    const place = await placeOf(request);
    const grant = await search(request, place, ownOnly);
    if (grant === undefined) return refusal(principal, action);
    if (!isFrozen({ action, ...place })) return allowance(grant, resource);
    return { allowed: false, reason: 'it is ARCHIVED and read-only; use another version' };
  }

  return {
    async authorize(request) {
      const answer = await verdict(request, false);
      if (request.quiet === true) return answer;
      if (!answer.allowed) notes.refused(request, answer.reason);
      else if (answer.grant?.delegatedBy !== undefined) notes.delegationUsed(request, answer.grant);
      return answer;
    },

    async allowsSome({ principal, workspace, action }) {
      if (principal === platformPrincipal) return true;
      const request = { principal, workspace, action, resource: 'workspace' };
      if ((await barred(request)) !== undefined) return false;
      const now = clock.now();
      return (await heldBy(workspace, principal)).some(
        (grant) => findGrant([grant], { action, line: [grant.resource], now }) !== undefined,
      );
    },

    async roles({ principal, workspace, resource }) {
      const place = await lineOf(metadata, workspace, resource);
      const held = await heldBy(workspace, principal);
      const now = clock.now();
      const names = held.flatMap((grant) =>
        grant.role !== undefined && counts(grant, { ...place, now }) ? [grant.role] : [],
      );
      return [...new Set(names)];
    },

    judge: (request) => verdict(request, false),
    judgeOwn: (request) => verdict(request, true),

    forget(principal) {
      if (principal === undefined) {
        grants.drop();
        books.drop();
      } else {
        grants.dropWhere((key) => key.startsWith(`${principal}\0`));
      }
      keys.drop();
    },
  };
}

/** Where a carried role counts: `editor@workspace:a`, `admin@platform`, or at home. */
function placeOfRole(
  text: string,
  home: string,
): { readonly role: string; readonly resource: string } {
  const at = text.indexOf('@');
  if (at < 0) return { role: text, resource: `workspace:${home}` };
  return { role: text.slice(0, at), resource: text.slice(at + 1) };
}

function allowance(grant: HeldGrant, resource: string): AccessVerdict {
  const by = grant.role === undefined ? `what ${grant.delegatedBy} lent` : `role ${grant.role}`;
  const reason = `${by} on ${grant.resource} (${grant.id})`;
  const inherited = grant.resource !== resource ? { inheritedFrom: grant.resource } : {};
  return { allowed: true, reason, grant, ...inherited };
}

/** The same for what is there and what is not: who may not see must not learn either. */
function refusal({ id }: Principal, action: string): AccessVerdict {
  const roles = [...builtInRoles].filter(([, has]) => has.has(action as Permission));
  const names = roles.map(([name]) => name).join(', ');
  return {
    allowed: false,
    reason: `no role of ${id} there allows it; ask somebody with access.grant for one that does (${names})`,
  };
}
