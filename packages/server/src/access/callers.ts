import type { Platform, Principal, Services, ServicesOptions } from '@keelson/core';
import { isKeelsonError, KeelsonError } from '@keelson/core';
import { headerOf, type ServerRequest } from '../http/exchange.ts';
import type { RateLimits } from './rate-limit.ts';
import { sessionOf } from './session-cookie.ts';

/** Who is behind a request: for those who embed the handler and know their users; null for nobody. */
export type Auth = (request: ServerRequest) => Principal | null | Promise<Principal | null>;

/** Finds who calls, and gives the services bound to that person. */
export interface Callers {
  /** FORBIDDEN with `details.httpStatus` 401 for who proves nothing; EXHAUSTED with 429 for who asks too much. */
  servicesFor(request: ServerRequest, options?: CallerOptions): Promise<Services>;
}

/** What a protocol asks of the services beside who calls. */
export type CallerOptions = Pick<ServicesOptions, 'tracking'>;

/** What no key and no token looks like. */
const none = '-';
const howToSay =
  'Send an API key or a token: `Authorization: Bearer …`, or as the password of basic authentication.';

/**
 * Callers of a platform. `auth`, where it is given, comes first. Else a bearer's key or token, or the password of basic
 * authentication (what MLflow's clients send), or the cookie that the dashboard was given for one (never from a page of
 * another site), is proved by the platform's access. A platform that was opened without
 * access takes everybody for its own principal.
 */
export function createCallers(
  platform: Platform,
  options: {
    readonly auth?: Auth;
    readonly workspace?: string;
    readonly limits?: RateLimits | undefined;
  },
): Callers {
  const { auth, limits } = options;
  const workspace = options.workspace ?? platform.workspace;

  async function principalOf(request: ServerRequest): Promise<Principal | undefined> {
    if (auth !== undefined) {
      const principal = await auth(request);
      if (principal === null)
        throw unknownCaller('This request carries nobody that is known here.');
      return principal;
    }
    const authorization = headerOf(request.headers, 'authorization');
    if (/^basic\s/i.test(authorization ?? '') && isCrossSite(request)) {
      throw unknownCaller(
        'A page of another site asks, with a password that the browser has added; send a bearer.',
      );
    }
    const session =
      authorization === undefined && !isCrossSite(request) ? sessionOf(request) : undefined;
    const bearer = bearerOf(authorization) ?? session;
    try {
      return await platform.authenticate({ bearer: bearer ?? none });
    } catch (error) {
      if (isKeelsonError(error, 'UNSUPPORTED')) return undefined;
      if (isKeelsonError(error, 'FORBIDDEN')) {
        throw unknownCaller(bearer === undefined ? howToSay : error.message);
      }
      throw error;
    }
  }

  /** Who asks, if he may ask now. Guesses at keys count as requests of the address that they come from. */
  async function limited(request: ServerRequest): Promise<Principal | undefined> {
    if (limits === undefined) return principalOf(request);
    let principal: Principal | undefined;
    try {
      principal = await principalOf(request);
    } catch (error) {
      limits.take(request, undefined);
      throw error;
    }
    limits.take(request, principal);
    return principal;
  }

  return {
    async servicesFor(request, { tracking } = {}) {
      const principal = await limited(request);
      const isOwn = principal === undefined && workspace === platform.workspace;
      if (isOwn && tracking === undefined) return platform;
      return platform.as({
        workspace,
        ...(principal === undefined ? {} : { principal }),
        ...(tracking === undefined ? {} : { tracking }),
      });
    },
  };
}

/** Credentials that a browser adds by itself prove nothing where a page of another site made it ask. */
function isCrossSite({ headers }: ServerRequest): boolean {
  const site = headerOf(headers, 'sec-fetch-site');
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const origin = headerOf(headers, 'origin');
  return origin !== undefined && origin.replace(/^https?:\/\//, '') !== headerOf(headers, 'host');
}

/** What an `Authorization` proves somebody by: the token of a bearer, the password of basic authentication. */
export function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined;
  const [scheme = '', ...rest] = authorization.split(' ');
  const value = rest.join(' ').trim();
  if (value === '') return undefined;
  if (/^bearer$/i.test(scheme)) return value;
  if (!/^basic$/i.test(scheme)) return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const at = pair.indexOf(':');
  return at < 0 || at === pair.length - 1 ? undefined : pair.slice(at + 1);
}

function unknownCaller(message: string): KeelsonError {
  return new KeelsonError('FORBIDDEN', message, { details: { httpStatus: 401 } });
}
