import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertAllowed } from './decide-and-commit.ts';
import type { Permission } from './permissions.ts';

type Asking = Pick<Scope, 'authorizer' | 'workspace' | 'principal'>;
type Args = readonly unknown[];

/** What a call needs: a permission on a resource, the workspace when left out. */
export interface Need {
  readonly action: Permission;
  readonly resource?: string;
}

/** What is asked before a method is called. */
export interface Rule {
  /** What the call of these arguments needs; hostile arguments are the method's to refuse. */
  needs(args: Args): readonly Need[];
  /** `stream`: the method answers an async iterable, which asks when it is read. */
  readonly stream?: boolean;
  /** For lists: what an item is, for those who may not see all of them. */
  readonly items?: {
    readonly of: (answer: never) => readonly unknown[];
    readonly with: (answer: never, kept: readonly unknown[]) => unknown;
    readonly resource: (item: never) => string;
  };
  /** Leaves out of the answer what the principal may not see. */
  readonly redact?: (answer: never, may: (action: Permission) => Promise<boolean>) => unknown;
}

/**
 * How a member of a service is guarded: by a rule; `local`, touching nothing but the handle or the process;
 * `hidden`, being for the platform's own loops.
 */
export type Guarding = Rule | 'local' | 'hidden';

/** A rule for every member of a service, and for those of the parts that it has. */
export type AccessRules<S> = {
  readonly [K in keyof S]-?: NonNullable<S[K]> extends
    | ((...args: never) => unknown)
    | readonly unknown[]
    | string
    ? Guarding
    : AccessRules<NonNullable<S[K]>> | 'local';
};

/** Asks one permission, on the resource that `target` finds in the arguments. */
export function asks(
  action: Permission,
  target: (args: Args) => string | readonly string[] | undefined = () => undefined,
): Rule {
  return {
    needs(args) {
      const found = target(args);
      if (found === undefined) return [{ action }];
      return [found].flat().map((resource) => ({ action, resource }));
    },
  };
}

/** Asks all of the rules. */
export function asksAll(...rules: readonly Rule[]): Rule {
  return { needs: (args) => rules.flatMap((rule) => rule.needs(args)) };
}

/** The same, of a method that answers an async iterable. */
export function streams(rule: Rule): Rule {
  return { ...rule, stream: true };
}

/** The resource whose name the argument is. */
export function named(kind: string, index = 0): (args: Args) => string | undefined {
  return (args) => resourceOf(kind, args[index]);
}

/** The resource whose name a property of the first argument is. */
export function namedIn(
  kind: string,
  ...path: readonly string[]
): (args: Args) => string | undefined {
  return (args) => resourceOf(kind, at(args[0], path));
}

/** What lies under the path; undefined where there is nothing. */
export function at(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = (found as Readonly<Record<string, unknown>>)[key];
  }
  return found;
}

/** `run:0198…`; undefined, meaning the workspace, where there is no name. */
export function resourceOf(kind: string, name: unknown): string | undefined {
  return typeof name === 'string' && name !== '' ? `${kind}:${name}` : undefined;
}

/**
 * The service, asking the scope's authorizer before every call. What has no rule is refused. A method that
 * answered at once goes on answering at once only where it is `local`.
 */
export function guard<S extends object>(scope: Asking, service: S, rules: AccessRules<S>): S {
  const guarded: Record<string, unknown> = {};
  for (const name of membersOf(service)) {
    const member = (service as Record<string, unknown>)[name];
    const rule = (rules as Record<string, Guarding | AccessRules<object> | undefined>)[name];
    guarded[name] = guardMember(scope, { service, name, member }, rule);
  }
  return guarded as S;
}

function guardMember(
  scope: Asking,
  of: { readonly service: object; readonly name: string; readonly member: unknown },
  rule: Guarding | AccessRules<object> | undefined,
): unknown {
  const { service, name, member } = of;
  if (rule === 'hidden') return [];
  if (rule === 'local') {
    return typeof member === 'function' ? (...args: Args) => call(service, member, args) : member;
  }
  if (typeof member !== 'function') {
    const isPart = typeof member === 'object' && member !== null && rule !== undefined;
    return isPart ? guard(scope, member, rule as AccessRules<object>) : undefined;
  }
  if (rule === undefined || !('needs' in rule)) return async () => refuseUnlisted(name);
  const { needs, stream, items, redact } = rule as Rule;
  if (stream === true) {
    return (...args: Args) => {
      // What it is to tell of may begin with the call; none of it is handed out before the answer.
      const source = call(service, member, args) as AsyncIterable<unknown>;
      return afterAsking(scope, needs(args), source);
    };
  }
  if (items !== undefined)
    return listing(scope, needs, items, (args) => call(service, member, args));
  return async (...args: Args) => {
    await assertAll(scope, needs(args));
    const answer = await call(service, member, args);
    return redact === undefined
      ? answer
      : redact(answer as never, (action) => may(scope, action, needs(args)));
  };
}

function call(service: object, method: unknown, args: Args): unknown {
  return Reflect.apply(method as (...given: Args) => unknown, service, args);
}

async function assertAll(scope: Asking, needs: readonly Need[]): Promise<void> {
  for (const need of needs) await assertAllowed(scope, need.action, resourceIn(scope, need));
}

async function* afterAsking(
  scope: Asking,
  needs: readonly Need[],
  source: AsyncIterable<unknown>,
): AsyncGenerator<unknown> {
  await assertAll(scope, needs);
  yield* source;
}

/** A list is whole for who may see the workspace, and holds what they may see for others. */
function listing(
  scope: Asking,
  needs: Rule['needs'],
  items: NonNullable<Rule['items']>,
  list: (args: Args) => unknown,
): (...args: Args) => Promise<unknown> {
  return async (...args) => {
    const [need] = needs(args);
    if (need === undefined) return refuseUnlisted('list');
    const { principal, workspace, authorizer } = scope;
    const { action } = need;
    const some = await authorizer.allowsSome?.({ principal, workspace, action });
    // Without any right it is refused, and noted, as anything else.
    if (some !== true || (await mayQuietly(scope, action))) {
      await assertAll(scope, [need]);
      return list(args);
    }
    const answer = (await list(args)) as never;
    const kept: unknown[] = [];
    for (const item of items.of(answer)) {
      const resource = items.resource(item as never);
      if (await mayQuietly(scope, action, resource)) kept.push(item);
    }
    return items.with(answer, kept);
  };
}

async function may(scope: Asking, action: Permission, needs: readonly Need[]): Promise<boolean> {
  return mayQuietly(scope, action, needs[0] && resourceIn(scope, needs[0]));
}

/** Whether it is allowed, where a refusal only leaves something out. */
async function mayQuietly(
  scope: Asking,
  action: Permission,
  resource = `workspace:${scope.workspace}`,
): Promise<boolean> {
  const { principal, workspace, authorizer } = scope;
  const request = { principal, workspace, action, resource, quiet: true };
  return (await authorizer.authorize(request)).allowed;
}

function resourceIn(scope: Asking, { resource }: Need): string {
  return resource ?? `workspace:${scope.workspace}`;
}

function refuseUnlisted(name: string): never {
  throw new KeelsonError(
    'FORBIDDEN',
    `${name} has no rule that says who may call it, so nobody may; add one to the room's *-access.ts.`,
  );
}

/** What a service has, methods of its class included; what every object has is left out. */
export function membersOf(service: object): readonly string[] {
  const own = Object.keys(service);
  const inherited = Object.getOwnPropertyNames(Object.getPrototypeOf(service) as object);
  return [...new Set([...own, ...inherited])].filter(
    (name) => name !== 'constructor' && !Object.hasOwn(Object.prototype, name),
  );
}
