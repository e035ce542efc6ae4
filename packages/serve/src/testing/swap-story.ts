import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type { ModelSignature } from '@keelson/core';
import { seededRandom } from '@keelson/core/testing';

/** What a model of the story takes and answers: a number, and the process that it was in. */
export const swapSignature: ModelSignature = {
  inputs: [{ name: 'n', datatype: 'FP64', shape: [-1] }],
  outputs: [
    { name: 'n', datatype: 'FP64', shape: [-1] },
    { name: 'pid', datatype: 'FP64', shape: [-1] },
  ],
};

/**
 * A model that writes the numbers that it begins with to the file `begun`, and takes a third of a millisecond. A number
 * below zero kills its process in the midst of the call, the first time that it comes.
 */
export function swapModule(version: string, begun: string): string {
  return `// ${version}
import { existsSync, openSync, writeFileSync, writeSync } from 'node:fs';
const path = ${JSON.stringify(begun)};
const begun = openSync(path, 'a');
const killOnce = (n) => {
  if (n >= 0 || existsSync(path + n)) return;
  writeFileSync(path + n, '');
  process.kill(process.pid, 'SIGKILL');
  for (;;);
};
export const load = () => ({
  predict({ n }, { rowCount }) {
    writeSync(begun, Array.from(n.data).join('\\n') + '\\n');
    n.data.forEach(killOnce);
    for (const until = performance.now() + 0.3; performance.now() < until; );
    return { n: n.data, pid: new Float64Array(rowCount).fill(process.pid) };
  },
});
`;
}

/** A served deployment `swapped`, its replicas being processes, whose versions are models of {@link swapModule}. */
export interface SwapStage {
  readonly port: number;
  /** Where its models write what they begin with. */
  readonly begun: string;
  /** The numbers of its versions. */
  readonly versions: readonly string[];
  /** All traffic to that version; resolves when that is decided, which is before it is so. */
  swap(version: string): Promise<unknown>;
  /** So many replicas of each version; resolves as `swap`. */
  resize(replicas: number): Promise<unknown>;
}

/** How much is done. */
export interface SwapPlan {
  readonly swaps: number;
  readonly kills: number;
  readonly connections: number;
  /** After so many swaps the number of replicas changes: 2, 3, 1 and again; 5. */
  readonly scaleEvery?: number;
  readonly seed: number;
  readonly tell?: (message: string) => void;
}

/** What came of it. */
export interface SwapReport {
  readonly answers: number;
  readonly swaps: number;
  readonly scaleDowns: number;
  readonly kills: number;
  /** Requests that a model began twice, having lost its first replica. */
  readonly begunTwice: number;
  /** How often the story did not hold, and in what. */
  readonly failures: Readonly<Record<string, number>>;
}

interface Answered {
  readonly version: string;
  readonly pid: number;
}

const seenWithinMs = 30_000;

/**
 * Swaps versions under load from so many connections, changes the number of replicas now and then, and kills
 * replicas by SIGKILL before, during and after swaps: in turns one that is in a call, and one at any moment. Every request
 * is answered rightly, by a version that there is, and begun at most twice: what was in flight on a killed replica is
 * retried once.
 */
export async function swapUnderLoad(stage: SwapStage, plan: SwapPlan): Promise<SwapReport> {
  const { scaleEvery = 5 } = plan;
  const random = seededRandom(plan.seed);
  const load = new StoryLoad(stage, plan.connections);
  let [kills, scaleDowns, replicas] = [0, 0, 2];
  let version = stage.versions[0] as string;
  const kill = async (): Promise<void> => {
    kills += 1;
    if (kills % 2 === 1) load.killNext();
    else process.kill(await load.processOf(version), 'SIGKILL');
  };
  try {
    for (let swap = 1; swap <= plan.swaps; swap += 1) {
      const others = stage.versions.filter((each) => each !== version);
      const next = others[Math.floor(random() * others.length)] as string;
      const isKilling = kills < Math.floor((swap * plan.kills) / plan.swaps);
      const moment = Math.floor(random() * 3);
      if (isKilling && moment === 0) await kill();
      const swapping = stage.swap(next);
      if (isKilling && moment === 1) await kill();
      await swapping;
      version = next;
      await load.seen(next);
      if (isKilling && moment === 2) await kill();
      if (swap % scaleEvery === 0) {
        const wanted = (replicas % 3) + 1;
        if (wanted < replicas) scaleDowns += 1;
        replicas = wanted;
        await stage.resize(wanted);
      }
      plan.tell?.(`${swap} of ${plan.swaps} swaps, ${kills} kills, ${load.answers} answers`);
    }
  } finally {
    await load.stop();
  }
  const begunTwice = load.judgeBegun();
  const { answers, failures } = load;
  return { answers, swaps: plan.swaps, scaleDowns, kills, begunTwice, failures };
}

/** Callers that ask again as soon as they are answered, each on its connection. */
class StoryLoad {
  readonly failures: Record<string, number> = {};
  readonly #stage: SwapStage;
  readonly #agent: Agent;
  readonly #callers: readonly Promise<void>[];
  /** By version: the process of its last answer. */
  readonly #processes = new Map<string, number>();
  #wake = Promise.withResolvers<void>();
  #sent = 0;
  #isKilling = false;
  #answers = 0;
  #stopped = false;

  constructor(stage: SwapStage, connections: number) {
    this.#stage = stage;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    this.#callers = Array.from({ length: connections }, () => this.#run());
  }

  get answers(): number {
    return this.#answers;
  }

  /** The next request kills the replica that is in it. */
  killNext(): void {
    this.#isKilling = true;
  }

  /** Resolves when a version has answered a request that was sent from now on. */
  async seen(version: string): Promise<void> {
    await this.processOf(version);
  }

  /** The process that answers a request for that version from now on. */
  async processOf(version: string): Promise<number> {
    this.#processes.clear();
    const deadline = Date.now() + seenWithinMs;
    for (;;) {
      const pid = this.#processes.get(version);
      if (pid !== undefined) return pid;
      if (Date.now() > deadline)
        throw new Error(`${version} has not answered in ${seenWithinMs} ms.`);
      await this.#wake.promise;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    this.#agent.destroy();
  }

  /** How many requests were begun twice. */
  judgeBegun(): number {
    const begun = new Map<number, number>();
    for (const line of readFileSync(this.#stage.begun, 'utf8').trim().split('\n')) {
      // Zeros are warm-ups.
      const n = Math.abs(Number(line));
      if (n !== 0) begun.set(n, (begun.get(n) ?? 0) + 1);
    }
    for (let n = 1; n <= this.#sent; n += 1) {
      const times = begun.get(n) ?? 0;
      if (times === 0) this.#fail('a request was answered and never begun');
      if (times > 2) this.#fail(`a request was begun ${times} times`);
    }
    return [...begun.values()].filter((times) => times === 2).length;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#sent += 1;
      const n = this.#isKilling ? -this.#sent : this.#sent;
      this.#isKilling = false;
      try {
        const { version, pid } = await this.#ask(n);
        if (!this.#stage.versions.includes(version)) this.#fail(`answered by version ${version}`);
        this.#processes.set(version, pid);
        this.#answers += 1;
      } catch (error) {
        this.#fail((error as Error).message);
        // What is refused at once must not keep others from their turn.
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { resolve } = this.#wake;
      this.#wake = Promise.withResolvers();
      resolve();
    }
  }

  #fail(what: string): void {
    this.failures[what] = (this.failures[what] ?? 0) + 1;
  }

  async #ask(n: number): Promise<Answered> {
    const body = `{"inputs":[{"name":"n","datatype":"FP64","shape":[1],"data":[${n}]}]}`;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const { port } = this.#stage;
    const path = '/v2/models/swapped/infer';
    const options = { port, host: '127.0.0.1', method: 'POST', path, agent: this.#agent };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${response.statusCode} ${text.replace(/#\d+/g, '#…')}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
    const answer = JSON.parse(await promise) as {
      readonly model_version: string;
      readonly outputs: readonly { readonly data: readonly number[] }[];
    };
    const [echo, pid] = answer.outputs.map(({ data }) => data[0]);
    if (echo !== n) throw new Error('the answer of another request');
    return { version: answer.model_version, pid: pid as number };
  }
}
