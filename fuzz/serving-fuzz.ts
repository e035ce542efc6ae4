import type { Datatype, ModelSignature } from '@keelson/core';
import { type HttpAnswer, type InferenceServer, serve } from '@keelson/serve';
import { ServingBed, weatherBody } from '../packages/serve/src/testing/serving-bed.ts';
import { MemoryWatch } from './memory-watch.ts';
import { Choices } from './random.ts';
import { talkRaw } from './raw-socket.ts';
import { type FuzzedRequest, fuzzedRequest, type Valid } from './requests.ts';

/** What a run of the fuzzer came to. */
export interface FuzzReport {
  readonly seed: number;
  readonly requests: number;
  readonly connections: number;
  /** How often each status was answered. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Connections on which the server waited for what never came. */
  readonly abandoned: number;
  /** What must not be, with the number of its round. */
  readonly faults: readonly string[];
  readonly memory: ReturnType<MemoryWatch['growth']>;
}

const datatypes: readonly Datatype[] = [
  'BOOL',
  'UINT8',
  'UINT64',
  'INT8',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
];

const mixed: ModelSignature = {
  inputs: datatypes.map((datatype, i) => ({
    name: datatype.toLowerCase(),
    datatype,
    shape: [[-1], [-1, 2], [-1, -1, 2]][i % 3] as number[],
  })),
  outputs: [
    { name: 'rows', datatype: 'INT64', shape: [-1] },
    { name: 'echo', datatype: 'BYTES', shape: [-1] },
  ],
};

const open: ModelSignature = {
  inputs: [{ name: 'any', datatype: 'FP32', shape: [], unranked: true }],
  outputs: [{ name: 'rows', datatype: 'INT64', shape: [-1] }],
};

const mixedModule = `export const load = () => ({
  predict: (inputs, { rowCount, rows }) => {
    rows();
    return { rows: new Array(rowCount).fill(rowCount), echo: new Array(rowCount).fill('x') };
  },
});`;
const openModule = `export const load = () => ({ predict: (_inputs, { rowCount }) => ({ rows: new Array(rowCount).fill(1) }) });`;

const slowestMs = 10_000;
const aliveEvery = 50;
const mostTalks = 16;
const sampleMs = 2_000;

/**
 * Asks a server of its own, by its function and over sockets, what mutations of right requests make, until
 * `durationMs` are over. A seed repeats the requests of a run. Nothing may be answered with 5xx, nothing may hang, every
 * refusal says why, and right requests are answered all along.
 */
export async function fuzzServing(options: {
  readonly seed: number;
  readonly durationMs: number;
  readonly tell?: (message: string) => void;
}): Promise<FuzzReport> {
  const { seed, durationMs, tell } = options;
  await using bed = await ServingBed.open();
  await bed.addModel('weather');
  await bed.addModel('mixed', { 'model.mjs': mixedModule }, mixed);
  await bed.addModel('open', { 'model.mjs': openModule }, open);
  const checks = { answers: { inputs: { wind: { min: -5, max: 5 } }, minimumConfidence: 0.7 } };
  bed.setRoute({ weather: 100 }, {}, 'weather', { serving: checks });
  bed.setRoute({ mixed: 100 }, {}, 'mixed');
  bed.setRoute({ open: 100 }, {}, 'open');
  await using server = await serve(bed.source, {
    deployments: ['weather', 'mixed', 'open'],
    isolation: 'none',
    maxBodyBytes: 1_000_000,
    slowClientMs: 2_000,
  });
  const run = new FuzzRun(server, await validRequests(server), new Choices(seed));
  const memory = new MemoryWatch();
  const until = performance.now() + durationMs;
  let sampleAt = 0;
  for (let round = 0; performance.now() < until; round += 1) {
    await run.round(round);
    // As bounded as a prediction log.
    bed.sink.rows.length = 0;
    if (performance.now() < sampleAt) continue;
    sampleAt = performance.now() + sampleMs;
    memory.sample();
    tell?.(`${run.requests} requests, ${run.faults.length} faults`);
  }
  await run.ended();
  const { requests, connections, statuses, abandoned, faults } = run;
  return { seed, requests, connections, statuses, abandoned, faults, memory: memory.growth() };
}

class FuzzRun {
  requests = 0;
  connections = 0;
  abandoned = 0;
  readonly statuses: Record<string, number> = {};
  readonly faults: string[] = [];
  readonly #server: InferenceServer;
  readonly #valid: readonly Valid[];
  readonly #choices: Choices;
  readonly #talks = new Set<Promise<void>>();

  constructor(server: InferenceServer, valid: readonly Valid[], choices: Choices) {
    this.#server = server;
    this.#valid = valid;
    this.#choices = choices;
  }

  async round(round: number): Promise<void> {
    const next = (): FuzzedRequest => fuzzedRequest(this.#valid, this.#choices);
    const asked = Array.from({ length: 40 }, next).map((request) => this.#ask(request, round));
    for (let i = 0; i < 4; i += 1) {
      const talk: Promise<void> = this.#talk(round, next).finally(() => this.#talks.delete(talk));
      this.#talks.add(talk);
    }
    await Promise.all(asked);
    // Callers that wait for nothing do not hold up the others.
    while (this.#talks.size > mostTalks) await Promise.race(this.#talks);
    if (round % aliveEvery === 0) await this.#assertAlive(round);
  }

  /** Resolves when no connection is open any more. */
  async ended(): Promise<void> {
    await Promise.all(this.#talks);
  }

  async #ask(request: FuzzedRequest, round: number): Promise<void> {
    this.requests += 1;
    const startedAt = performance.now();
    const answer = await this.#server.handle(request);
    this.#note(
      answer.status,
      round,
      () => `${describe(request)} → ${String(answer.body).slice(0, 300)}`,
    );
    const fault = faultOf(answer);
    const tookMs = performance.now() - startedAt;
    if (fault !== undefined) this.#fault(round, `${fault}: ${describe(request)}`);
    if (tookMs > slowestMs) this.#fault(round, `${tookMs} ms: ${describe(request)}`);
  }

  async #talk(round: number, next: () => FuzzedRequest): Promise<void> {
    const requests = Array.from({ length: this.#choices.chance(0.3) ? 3 : 1 }, next);
    this.requests += requests.length;
    this.connections += 1;
    const { statuses, abandoned } = await talkRaw(this.#server.port, requests, this.#choices);
    for (const status of statuses)
      this.#note(status, round, () => requests.map(describe).join(' | '));
    if (abandoned) this.abandoned += 1;
  }

  #note(status: number, round: number, what: () => string): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    if (status < 500) return;
    const said = what();
    // A mutation may be in a great hurry: its own deadline is kept.
    const isHasty = status === 504 && /timeout/.test(said);
    if (!isHasty) this.#fault(round, `${status}: ${said}`);
  }

  #fault(round: number, what: string): void {
    if (this.faults.length < 50) this.faults.push(`round ${round}: ${what}`);
  }

  async #assertAlive(round: number): Promise<void> {
    const answer = await fetch(`${this.#server.url}/v2/models/weather/infer`, {
      method: 'POST',
      body: weatherBody([[1, 1]]),
    });
    await answer.arrayBuffer();
    if (answer.status !== 200)
      this.#fault(round, `a right request was answered with ${answer.status}`);
  }
}

/** What is wrong with an answer, whatever was asked. */
function faultOf({ status, headers, body }: HttpAnswer): string | undefined {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  if (headers['content-length'] !== String(length))
    return `content-length ${headers['content-length']} for ${length} bytes`;
  if (Object.values(headers).some((value) => /[^\t\x20-\x7e]/.test(value)))
    return 'a header that cannot be sent';
  if (status < 400 || headers['content-encoding'] !== undefined) return undefined;
  try {
    const { error } = JSON.parse(String(body)) as { error?: unknown };
    if (typeof error === 'string' && error !== '' && error.length < 2_000) return undefined;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  return `${status} that does not say why`;
}

function describe({ method, url, headers, bytes }: FuzzedRequest): string {
  const body = bytes.subarray(0, 400).toString('latin1');
  return `${method} ${url.slice(0, 100)} ${JSON.stringify(headers).slice(0, 300)} ${JSON.stringify(body)}`;
}

interface Described {
  readonly paths: Readonly<
    Record<
      string,
      {
        readonly post?: {
          readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
        };
      }
    >
  >;
}
interface Content {
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
  readonly 'x-example'?: {
    readonly base64: string;
    readonly 'inference-header-content-length': number;
  };
}

/** The examples of the server's own description. */
async function validRequests(server: InferenceServer): Promise<readonly Valid[]> {
  const answer = await fetch(`${server.url}/openapi.json`);
  const { paths } = (await answer.json()) as Described;
  const valid: Valid[] = [
    {
      path: '/v2/models/weather/infer',
      json: JSON.parse(
        weatherBody(
          [
            [1, 2],
            [3, 4],
          ],
          { id: 'i', parameters: { at: 5, timeout: 60_000_000 }, outputs: [{ name: 'label' }] },
        ),
      ),
    },
  ];
  for (const [path, { post }] of Object.entries(paths)) {
    for (const content of Object.values(post?.requestBody?.content ?? {})) {
      for (const { value } of Object.values(content.examples ?? {}))
        valid.push({ path, json: value });
      const bytes = content['x-example'];
      if (bytes !== undefined)
        valid.push({
          path,
          binary: { base64: bytes.base64, headerLength: bytes['inference-header-content-length'] },
        });
    }
  }
  return valid;
}
