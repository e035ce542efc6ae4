import { KeelsonError, type Logger, type PredictionRow } from '@keelson/core';
import type { RoutedRequest } from '../routing/in-process-router.ts';

/**
 * Whose request it was, and where it belongs, for the prediction log and nothing else: it is in no log and no metric. Ids of users
 * and sessions are stored as pseudonyms.
 */
export type CallerFacts = Pick<PredictionRow, 'userId' | 'sessionId' | 'segment' | 'region'>;

/** A request as {@link CallerOption} may look at it. */
export interface CallerRequest extends RoutedRequest {
  /** The name of the deployment that is asked. */
  readonly deployment: string;
}

/**
 * How {@link CallerFacts} are found out: the header that has each, such as `{ userId: 'x-user-id' }`, or a function, which must be
 * quick.
 */
export type CallerOption =
  | Readonly<Partial<Record<keyof CallerFacts, string>>>
  | ((request: CallerRequest) => CallerFacts | undefined);

/** What {@link compileCaller} makes. Never throws. */
export type ReadCaller = (request: RoutedRequest) => CallerFacts;

const names = ['userId', 'sessionId', 'segment', 'region'] as const;
/** Longer texts are no ids, and are left out. */
const maxLength = 512;
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** INVALID unless it is a function, or names of headers by what they have. */
export function assertCaller(option: unknown): asserts option is CallerOption {
  if (typeof option === 'function') return;
  const entries = typeof option === 'object' && option !== null ? Object.entries(option) : [['']];
  for (const [name, header] of entries as [string, unknown][]) {
    const isKnown = (names as readonly string[]).includes(name);
    if (isKnown && typeof header === 'string' && headerName.test(header)) continue;
    throw new KeelsonError(
      'INVALID',
      `Option "caller" must be a function, or name a header for ${names.join(', ')}, such as { userId: 'x-user-id' }.`,
    );
  }
}

/** The reader of a deployment's callers. What a function throws is told once, without what the request had. */
export function compileCaller(
  option: CallerOption | undefined,
  deployment: string,
  logger: Logger | undefined,
): ReadCaller {
  if (option === undefined) return () => ({});
  if (typeof option !== 'function') {
    const headers = names.flatMap((name) => {
      const header = option[name];
      return header === undefined ? [] : [[name, header.toLowerCase()] as const];
    });
    return (request) => textsOf(headers.map(([name, header]) => [name, request.header(header)]));
  }
  let isTold = false;
  return (request) => {
    try {
      const { requestId } = request;
      const found = option({
        ...{ deployment, requestId },
        header: (name) => request.header(name.toLowerCase()),
        attribute: (name) => request.attribute(name),
      });
      return textsOf(names.map((name) => [name, found?.[name]]));
    } catch {
      if (!isTold) {
        isTold = true;
        const message =
          'The option "caller" threw: such requests are in the prediction log without their caller.';
        logger?.warn({ component: 'serving', deployment }, message);
      }
      return {};
    }
  };
}

function textsOf(all: readonly (readonly [keyof CallerFacts, unknown])[]): CallerFacts {
  return Object.fromEntries(
    all.filter(
      ([, value]) => typeof value === 'string' && value !== '' && value.length <= maxLength,
    ),
  );
}
