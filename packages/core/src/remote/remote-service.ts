import { KeelsonError } from '../errors.ts';
import type { Json } from '../json.ts';
import type { Link } from './link.ts';
import { type RemoteReach, remoteMethods } from './remote-methods.ts';

type Args = readonly unknown[];

/** What becomes of an answer where JSON has no form for it. */
const revived: Readonly<Record<string, (answer: Json | undefined) => unknown>> = {
  getMetricHistory: (answer) => {
    const { steps, timestamps, values } = answer as unknown as Record<string, number[]>;
    const column = (of: number[] | undefined): Float64Array => Float64Array.from(of ?? []);
    return { steps: column(steps), timestamps: column(timestamps), values: column(values) };
  },
  getMetricSummariesOf: (answer) => new Map(Object.entries(answer as object)),
  listDatasetsOf: (answer) => new Map(Object.entries(answer as object)),
};

/**
 * A service elsewhere: what goes over the wire as it is, goes; what is for the process that holds the stores throws
 * UNSUPPORTED, with the remedy; the others are for the caller to add.
 */
export function createRemoteService<S extends object>(
  link: Link,
  service: keyof typeof remoteMethods,
): S {
  const members = Object.entries(remoteMethods[service]) as readonly [string, RemoteReach][];
  const made = members
    .filter(([, reach]) => reach !== 'own')
    .map(([name, reach]) => [
      name,
      reach === 'here'
        ? () => refuse(`${service}.${name}`, link.server.url)
        : (...args: Args) => callMethod(link, { service, name, reach }, args),
    ]);
  return Object.fromEntries(made) as S;
}

async function callMethod(
  link: Link,
  of: { readonly service: string; readonly name: string; readonly reach: RemoteReach },
  args: Args,
): Promise<unknown> {
  const { signal, sent } = onTheWire(args);
  const answer = await link.call({
    method: 'POST',
    path: '/remote/calls',
    json: { service: of.service, method: of.name, args: sent },
    once: of.reach === 'write',
    signal,
  });
  const { result, holes = [] } = (answer ?? {}) as {
    readonly result?: Json;
    readonly holes?: readonly (readonly (string | number)[])[];
  };
  for (const hole of holes) dig(result, hole);
  const revive = revived[of.name];
  return revive === undefined ? result : revive(result);
}

/** Puts undefined where a list had it. */
function dig(value: unknown, hole: readonly (string | number)[]): void {
  let at = value as Record<string | number, unknown>;
  for (const key of hole.slice(0, -1)) at = at[key] as typeof at;
  at[hole.at(-1) as number] = undefined;
}

/** Arguments without what stays here: signals, what tells of progress, times as objects. */
function onTheWire(args: Args): {
  readonly signal: AbortSignal | undefined;
  readonly sent: readonly unknown[];
} {
  let signal: AbortSignal | undefined;
  const sent = args.map((arg) => {
    if (arg === undefined) return null;
    if (arg instanceof Date) return arg.getTime();
    if (typeof arg !== 'object' || arg === null || !('signal' in arg || 'onProgress' in arg)) {
      return arg;
    }
    const { signal: given, onProgress: _, ...rest } = arg as Record<string, unknown>;
    if (given instanceof AbortSignal) signal = given;
    return rest;
  });
  while (sent.length > 0 && sent.at(-1) === null) sent.pop();
  return { signal, sent };
}

/** What is not there over a wire. */
export function refuse(what: string, url: string): never {
  throw new KeelsonError(
    'UNSUPPORTED',
    `${what} is for the process that holds the stores, and this platform is at ${url}. Call it there, or open the platform by its stores: openPlatform({ dir }) or openPlatform({ metadata, series, artifacts }).`,
    { details: { url } },
  );
}
