import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TcpProxy } from '../packages/core/src/testing/faults/tcp-proxy.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';
import type { PartWorked, ServiceArgument } from './service-child.ts';

/** In how many ms each part must work again; a tenth is aimed at. */
const goals: Readonly<Record<PartWorked['part'], number>> = {
  serving: 60_000,
  registry: 120_000,
  tracking: 300_000,
  monitoring: 300_000,
  pipelines: 600_000,
};
const parts = Object.keys(goals) as readonly PartWorked['part'][];

/** A process that uses all parts, and what it has said. */
class Service {
  readonly #child: ChildProcess;
  readonly #last = new Map<PartWorked['part'], number>();
  #errors = '';
  #wake: () => void = () => undefined;

  constructor(argument: ServiceArgument) {
    const program = fileURLToPath(new URL('./service-child.ts', import.meta.url));
    const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as const;
    this.#child = fork(program, [JSON.stringify(argument)], { stdio: [...stdio] });
    this.#child.stderr?.on('data', (data: Buffer) => {
      this.#errors = `${this.#errors}${data}`.slice(-5_000);
    });
    this.#child.on('message', (said: PartWorked) => {
      this.#last.set(said.part, said.at);
      this.#wake();
    });
    this.#child.once('exit', () => this.#wake());
  }

  /** In how many ms after `since` each part has worked, for the first time. */
  async worked(since: number): Promise<Readonly<Record<string, number>>> {
    const took: Record<string, number> = {};
    const deadline = Date.now() + Math.max(...Object.values(goals));
    while (Object.keys(took).length < parts.length) {
      const heard = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      for (const part of parts) {
        const at = this.#last.get(part) ?? 0;
        if (at > since) took[part] ??= at - since;
      }
      if (Object.keys(took).length === parts.length) break;
      if (this.#child.exitCode !== null) throw new Error(`The service ended.\n${this.#errors}`);
      if (Date.now() > deadline) throw new Error(`Only ${Object.keys(took)} work again.`);
      await heard;
    }
    return took;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

async function afterKill(argument: ServiceArgument): Promise<Readonly<Record<string, number>>> {
  const first = new Service(argument);
  try {
    await first.worked(0);
  } finally {
    await first.kill();
  }
  const killedAt = Date.now();
  const second = new Service(argument);
  try {
    return await second.worked(killedAt);
  } finally {
    await second.kill();
  }
}

async function afterAway(
  argument: ServiceArgument,
  proxy: TcpProxy,
  awayMs: number,
): Promise<Readonly<Record<string, number>>> {
  const service = new Service(argument);
  try {
    await service.worked(0);
    proxy.away();
    await new Promise((resolve) => setTimeout(resolve, awayMs));
    proxy.back();
    return await service.worked(Date.now());
  } finally {
    await service.kill();
  }
}

async function measure({ store, extent, tell }: FaultContext): Promise<FaultReport> {
  const parent = mkdtempSync(join(tmpdir(), 'keelson-levels-'));
  const dir = join(parent, '.keelson');
  const rounds = extent === 'long' ? 3 : 1;
  const worst: Record<string, number> = {};
  const note = (after: string, took: Readonly<Record<string, number>>): void => {
    for (const [part, ms] of Object.entries(took)) {
      const what = `ms until ${part} after ${after}`;
      worst[what] = Math.max(worst[what] ?? 0, ms);
      const goal = goals[part as PartWorked['part']];
      if (ms >= goal) throw new Error(`${part} took ${ms} ms after ${after}; the goal is ${goal}.`);
    }
  };
  try {
    for (let round = 0; round < rounds; round += 1) {
      tell(`round ${round + 1} of ${rounds}`);
      const schema = `levels_${process.pid}_${round}`;
      const own = join(dir, `${round}`);
      if (store.url === undefined) {
        note('SIGKILL', await afterKill({ dir: own }));
        continue;
      }
      await using proxy = await TcpProxy.open(store.url);
      const argument = { dir: own, url: proxy.url, schema };
      note('SIGKILL', await afterKill(argument));
      note('the database’s return', await afterAway(argument, proxy, 10_000));
    }
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
  return { faults: { rounds, ...worst }, invariants: Object.keys(worst).length };
}

/** How soon each part works again, against the goals of the specification; the worst of all rounds. */
export const serviceLevels: FaultScenario = {
  name: 'service-levels',
  sentence:
    'All processes are killed; the database is away for 10 s: until each part works again (goals 1 to 10 min).',
  run: measure,
};
