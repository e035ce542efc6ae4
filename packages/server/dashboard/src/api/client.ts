import routes from 'virtual:routes';
import type { Client } from '../../../src/client/client.ts';
import { decode, encode } from './wire.ts';

/** What the platform has answered in place of what was asked. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  /** Where the input was wrong, such as `body.filter`. */
  readonly problems: readonly { readonly path: string; readonly message: string }[];
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: Partial<Pick<Refusal, 'problems' | 'details'>> = {},
  ) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
    this.problems = more.problems ?? [];
    this.details = more.details ?? {};
  }
}

/** Where the control plane is, from where this page lies (`…/ui/`). */
export const apiUrl: string = new URL('../api/v1', document.baseURI.replace(/#.*/, '')).href;

type Input = Readonly<Record<string, unknown>>;
interface How {
  readonly signal?: AbortSignal;
  readonly revision?: number;
  readonly idempotencyKey?: string;
}

const unreached =
  'The server does not answer. It may be restarting; this page goes on by itself when it is back.';

/** The control plane as functions, typed by the table of its routes. Rejects with a {@link Refusal}. */
export const api: Client = new Proxy({} as Client, {
  get: (_, resource: string) =>
    new Proxy(
      {},
      {
        get:
          (__, verb: string) =>
          (input: Input = {}, how: How = {}) =>
            call(`${resource}.${verb}`, input, how),
      },
    ),
});

/** The address of a row, for links to bytes. */
export function addressOf(name: string, input: Input): string {
  const [, path] = routes[name] ?? [];
  if (path === undefined) throw new Error(`There is no route ${name}.`);
  const left: Record<string, unknown> = { ...input };
  const filled = path.replace(/\{(\w+)(\+?)\}/g, (_, key: string, rest: string) => {
    const value = String(left[key] ?? '');
    delete left[key];
    return rest === '+'
      ? value.split('/').map(encodeURIComponent).join('/')
      : encodeURIComponent(value);
  });
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(left)) {
    for (const each of [value].flat()) if (each !== undefined) query.append(key, String(each));
  }
  return `${apiUrl}${filled}${query.size === 0 ? '' : `?${query}`}`;
}

/** What it takes to ask this, such as `run.write`. */
export function permissionOf(name: string): string | undefined {
  return routes[name]?.[3];
}

async function call(name: string, { body, ...fields }: Input, how: How): Promise<unknown> {
  const [method = 'GET', , as] = routes[name] ?? [];
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (how.revision !== undefined) headers['if-match'] = `W/"${how.revision}"`;
  if (how.idempotencyKey !== undefined) headers['idempotency-key'] = how.idempotencyKey;
  let response: Response;
  try {
    response = await fetch(addressOf(name, fields), {
      method,
      headers,
      body: body === undefined ? null : encode(body),
      signal: how.signal ?? null,
      credentials: 'same-origin',
    });
  } catch (error) {
    if (how.signal?.aborted === true) throw error;
    throw new Refusal(0, 'UNAVAILABLE', unreached);
  }
  if (!response.ok && !(as === 'json' && response.status === 503 && isPlain(response))) {
    throw await refusalOf(response);
  }
  if (as === 'nothing') return undefined;
  return as === 'bytes' ? response : decode(await response.text());
}

/** An outage that is an answer, such as that of a deployment's health. */
function isPlain(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('application/json') === true;
}

/** What a response refuses with. */
export async function refusalOf(response: Response): Promise<Refusal> {
  const text = await response.text();
  try {
    const { code, detail, errors, details } = JSON.parse(text) as {
      code?: string;
      detail?: string;
      errors?: Refusal['problems'];
      details?: Refusal['details'];
    };
    return new Refusal(response.status, code ?? 'UNKNOWN', detail ?? response.statusText, {
      problems: errors ?? [],
      details: details ?? {},
    });
  } catch {
    // Something between has answered in its own way.
    return new Refusal(response.status, 'UNKNOWN', `The server answered ${response.status}.`);
  }
}
