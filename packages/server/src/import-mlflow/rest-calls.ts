import { setTimeout as sleep } from 'node:timers/promises';
import { KeelsonError } from '@keelson/core';

/** Calls of an MLflow server. */
export interface RestCalls {
  /** The JSON of an answer; undefined for 404. */
  json(method: 'GET' | 'POST', path: string, fields: Fields): Promise<Answer | undefined>;
  /** The bytes of an answer; undefined for 404. */
  bytes(path: string, fields: Fields): Promise<ReadableStream<Uint8Array> | undefined>;
}

type Fields = Readonly<Record<string, string | number | boolean | readonly string[]>>;

// biome-ignore lint/suspicious/noExplicitAny: JSON of a foreign protocol; each reader says what it takes out of it
type Answer = any;

const attempts = 4;
const answerTimeoutMs = 120_000;
const longestAnswer = 256 * 2 ** 20;

/**
 * Calls below the address of a server; a name and password in it are sent as MLflow's client does. UNAVAILABLE, naming
 * the address without them, for one that does not answer, FORBIDDEN for one that refuses us.
 */
export function createRestCalls(
  address: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): RestCalls & { readonly label: string } {
  const url = new URL(address);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  const label = url.href.replace(/\/$/, '');
  const given = [decodeURIComponent(username), decodeURIComponent(password)].join(':');
  const basic =
    username === '' ? {} : { authorization: `Basic ${Buffer.from(given).toString('base64')}` };

  async function ask(
    method: 'GET' | 'POST',
    path: string,
    fields: Fields,
  ): Promise<Response | undefined> {
    const isQuery = method === 'GET';
    const at = `${label}${path}${isQuery ? queryOf(fields) : ''}`;
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      const answer = await send(at, {
        method,
        headers: {
          ...basic,
          ...headers,
          ...(isQuery ? {} : { 'content-type': 'application/json' }),
        },
        ...(isQuery ? {} : { body: JSON.stringify(fields) }),
      });
      if (!(answer instanceof Error) && answer.ok) return answer;
      if (!(answer instanceof Error) && answer.status === 404) {
        await answer.body?.cancel();
        return undefined;
      }
      const isWorth = answer instanceof Error || answer.status === 429 || answer.status >= 500;
      if (!isWorth || attempt === attempts) throw await refusal(path, answer);
      await sleep(100 * 4 ** attempt, undefined, { signal });
    }
  }

  async function send(at: string, init: RequestInit): Promise<Response | Error> {
    try {
      const within = AbortSignal.timeout(answerTimeoutMs);
      return await fetch(at, { ...init, signal: AbortSignal.any([signal, within]) });
    } catch (error) {
      signal.throwIfAborted();
      return error as Error;
    }
  }

  async function refusal(path: string, answer: Response | Error): Promise<KeelsonError> {
    if (answer instanceof Error) {
      const cause = answer.cause instanceof Error ? answer.cause : answer;
      const why = `MLflow's server at ${label} does not answer (${path}): ${cause.message}`;
      return new KeelsonError('UNAVAILABLE', `${why}. Look whether it runs, and import again.`, {
        cause: answer,
      });
    }
    const text = (await answer.text()).slice(0, 300);
    const isAccess = answer.status === 401 || answer.status === 403;
    const remedy = isAccess
      ? 'Give a name and password in its address, or MLFLOW_TRACKING_TOKEN.'
      : 'Import again once it answers.';
    return new KeelsonError(
      isAccess ? 'FORBIDDEN' : answer.status >= 500 ? 'UNAVAILABLE' : 'INVALID',
      `MLflow's server at ${label} answered ${answer.status} to ${path}: ${text} ${remedy}`,
    );
  }

  return {
    label,
    async json(method, path, fields) {
      const answer = await ask(method, path, fields);
      if (answer === undefined) return undefined;
      const text = await textOf(answer, path);
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new KeelsonError(
          'INVALID',
          `${label}${path} answered no JSON: ${JSON.stringify(text.slice(0, 80))}. Is that the address of an MLflow server?`,
          { cause: error },
        );
      }
    },
    async bytes(path, fields) {
      const answer = await ask('GET', path, fields);
      return answer?.body ?? (answer && new Blob([]).stream());
    },
  };
}

async function textOf(answer: Response, path: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    parts.push(part);
    size += part.byteLength;
    if (size <= longestAnswer) continue;
    throw new KeelsonError('INVALID', `The answer of MLflow's server to ${path} is over 256 MiB.`);
  }
  return Buffer.concat(parts).toString('utf8');
}

function queryOf(fields: Fields): string {
  const pairs = Object.entries(fields).flatMap(([key, value]) =>
    [value].flat().map((one): [string, string] => [key, String(one)]),
  );
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}
