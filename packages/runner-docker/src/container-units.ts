import { setTimeout as pause } from 'node:timers/promises';
import type {
  ExecutorCapabilities,
  ExecutorCapacity,
  TaskObservation,
  TaskUsage,
} from '@keelson/core';
import { KeelsonError } from '@keelson/core';
import { containerBody, masterPort } from './container-body.ts';
import { type ContainerFacts, observationOf } from './container-state.ts';
import { type EngineApi, isFault } from './engine-api.ts';
import type { EngineImages } from './engine-images.ts';
import { type LogPiece, type LogPlace, readLogFrames } from './log-frames.ts';
import type { RunnerOptions } from './runner-options.ts';
import {
  labelFilter,
  labelsOf,
  readFacts,
  type TaskFacts,
  taskLabels,
  unitName,
} from './task-labels.ts';
import type {
  ListedTask,
  LogReading,
  TaskUnits,
  UnitSpec,
  UnitState,
  Verdict,
} from './task-units.ts';
import { UsageSampler } from './usage-sampler.ts';

interface EngineInfo {
  readonly ID: string;
  readonly Name: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly Labels: readonly string[] | null;
}

interface Labelled {
  readonly Labels: Readonly<Record<string, string>> | null;
}

const verdictLabel = 'keelson.verdict';
/** How long a container that has been made may wait for who made it; then that process counts as dead. */
const makerMs = 5000;

/**
 * The processes of tasks as containers of one engine. A name belongs to one container, which makes a task
 * exist once. A container that has ended could be started again, so only who made it starts it, by its id: one
 * that is found made and not begun for a while is removed and made anew, and whoever made the first finds it
 * gone. Why a task was ended is kept in the labels of an empty volume: the first to make it is right, and it
 * stays when orchestrators die.
 */
export class ContainerUnits implements TaskUnits {
  readonly capabilities: ExecutorCapabilities = {
    entries: ['image'],
    isolation: 'container',
    survivesOrchestrator: true,
    gang: 'native',
    limits: { cpu: 'enforced', memory: 'enforced', gpu: 'enforced' },
    logs: { follow: true, afterExit: true },
    usage: 'live',
    lostAfterMs: 0,
  };
  readonly #api: EngineApi;
  readonly #images: EngineImages;
  readonly #options: RunnerOptions;
  /** The containers that were made here and have not begun yet, by name. */
  readonly #made = new Map<string, string>();
  /** The digests of the images that tasks are made of, by the task's id, where these are not their names'. */
  readonly #chosen = new Map<string, string>();
  readonly #samplers = new Map<string, UsageSampler>();
  #info: EngineInfo | undefined;

  constructor(api: EngineApi, images: EngineImages, options: RunnerOptions) {
    this.#api = api;
    this.#images = images;
    this.#options = options;
  }

  async capacity(): Promise<ExecutorCapacity> {
    const info = await this.#engine();
    const {
      cpuCores = info.NCPU,
      memoryBytes = info.MemTotal,
      devices = [],
    } = this.#options.capacity ?? {};
    const labels = Object.fromEntries(
      (info.Labels ?? []).map((label) => {
        const at = label.indexOf('=');
        return at < 0 ? [label, ''] : [label.slice(0, at), label.slice(at + 1)];
      }),
    );
    const machine = { name: info.Name, labels, cpuCores, memoryBytes, devices };
    return { pool: `host:${info.Name}`, machines: [machine] };
  }

  async prepare(unit: UnitSpec): Promise<void> {
    await this.#chooseImage(unit);
    const { id, facts, spec } = unit;
    if (facts.units === 1 || (await this.#networks(id)).length > 0) return;
    const open = spec.entry.type === 'image' && spec.entry.network === 'bridge';
    await this.#api.json('POST', '/networks/create', {
      body: { Name: unitName(id, 0), Internal: !open, Labels: labelsOf(id, 0, facts) },
    });
  }

  /** Of a task that is there, the image is what its containers have. */
  async #chooseImage({ id, spec: { entry }, options = {} }: UnitSpec): Promise<void> {
    if (entry.type !== 'image' || this.#options.pull !== 'always') return;
    if ((await this.#inspect(id, 0)) !== undefined) return;
    this.#chosen.set(id, await this.#images.toRun(entry.image, options));
  }

  async make(unit: UnitSpec): Promise<void> {
    const { id, rank, facts, spec } = unit;
    const networks = facts.units === 1 ? [] : await this.#networks(id);
    const body = containerBody(unit, this.#options, {
      ...(networks[0] === undefined ? {} : { networkId: networks[0] }),
      master: { address: unitName(id, 0), port: spec.gang?.masterPort ?? masterPort },
    });
    const create = async (image = this.#chosen.get(id)): Promise<void> => {
      const made = await this.#api.json<{ Id: string }>('POST', '/containers/create', {
        query: { name: unitName(id, rank) },
        body: image === undefined ? body : { ...body, Image: image },
      });
      this.#made.set(unitName(id, rank), made.Id);
    };
    try {
      await create().catch(async (error: unknown) => {
        if (!isFault(error, 404) || spec.entry.type !== 'image') throw error;
        const { image } = spec.entry;
        await this.#images.pull(image, unit.options);
        await create(image);
      });
    } catch (error) {
      // Somebody else has made it.
      if (isFault(error, 409)) return;
      if (isFault(error, 400, 404)) {
        const where = /bind source path/.test(error.message)
          ? ` The engine at ${this.#api.name} must see the files of tasks under the same path: \`workRoot\` names a directory that it does.`
          : '';
        throw new KeelsonError(
          'INVALID',
          `The engine refuses a container for step ${facts.key.stepId}: ${error.message}.${where}`,
          { cause: error },
        );
      }
      throw error;
    }
  }

  async begin(unit: UnitSpec): Promise<void> {
    const { id, rank } = unit;
    let seen: { readonly Id: string; readonly at: number } | undefined;
    for (;;) {
      const made = this.#made.get(unitName(id, rank));
      this.#made.delete(unitName(id, rank));
      if (made !== undefined && (await this.#start(made))) return;
      const found = await this.#inspect(id, rank);
      if (found === undefined) {
        if ((await this.verdict(id)) !== undefined) return;
        await this.make(unit);
        continue;
      }
      if (found.State.Status !== 'created' || found.State.Error !== '') return;
      if (seen?.Id !== found.Id) seen = { Id: found.Id, at: performance.now() };
      if (performance.now() - seen.at > makerMs) await this.#remove(found.Id);
      else await pause(50);
    }
  }

  /** Whether that has been tried: what became of it is the container's to tell. */
  async #start(containerId: string): Promise<boolean> {
    try {
      // Never twice: a container that has ended meanwhile would run again.
      await this.#api.json('POST', `/containers/${containerId}/start`, { once: true });
      return true;
    } catch (error) {
      if (isFault(error, 404)) return false;
      if (isFault(error, 400, 409, 500)) return true;
      if (error instanceof KeelsonError && error.code === 'UNAVAILABLE') return false;
      throw error;
    }
  }

  async look(id: string, rank: number): Promise<UnitState | undefined> {
    const found = await this.#inspect(id, rank);
    const facts = found && readFacts(found.Config.Labels ?? {});
    if (found === undefined || facts === undefined) return undefined;
    const { Name: node } = await this.#engine();
    const seen = observationOf(found, facts, node);
    if (seen.exitCode === 255 && !(await this.#diedHere(found))) {
      const message =
        'The engine went down while it ran, and does not know how it ended (exit code 255).';
      return { facts, seen: { ...seen, state: 'lost', reason: 'engine', message } };
    }
    return { facts, seen };
  }

  async changed(
    id: string,
    rank: number,
    seen: TaskObservation,
    signal: AbortSignal,
  ): Promise<void> {
    if (seen.startedAt === undefined) {
      await pause(50, undefined, { signal }).catch(() => undefined);
      return;
    }
    const sampler = this.#sampler(id, rank);
    sampler.start();
    try {
      const path = `/containers/${unitName(id, rank)}/wait`;
      await this.#api.json('POST', path, { query: { condition: 'not-running' }, signal });
    } catch (error) {
      // Look again: it is gone, or the engine is.
      if (!signal.aborted && !isFault(error, 404)) throw error;
    } finally {
      sampler.stop();
    }
  }

  async *logs(
    id: string,
    rank: number,
    from: LogPlace,
    { follow, isOver, signal }: LogReading,
  ): AsyncGenerator<LogPiece, void, undefined> {
    const query = { stdout: true, stderr: true, timestamps: true, follow };
    const path = `/containers/${unitName(id, rank)}/logs`;
    const body = await this.#api.stream('GET', path, { query, signal });
    yield* readLogFrames(body, from, isOver);
  }

  async usage(id: string, rank: number, seen: TaskObservation): Promise<TaskUsage> {
    const sampler = this.#sampler(id, rank);
    if (seen.state === 'running') await sampler.sample();
    const { startedAt = Date.now(), finishedAt = Date.now() } = seen;
    return sampler.usage(Math.max(0, finishedAt - startedAt));
  }

  async end(id: string, rank: number, graceMs: number): Promise<'gone' | 'unconfirmed'> {
    for (let tries = 0; tries < 100; tries += 1) {
      const found = await this.#inspect(id, rank);
      if (found === undefined) return 'gone';
      if (found.State.Status === 'created') {
        if (found.State.Error !== '') return 'gone';
        await this.#remove(found.Id);
        continue;
      }
      if (!isRunning(found)) return 'gone';
      if (graceMs > 0) {
        await this.#kill(found.Id, found.Config.StopSignal ?? 'SIGTERM');
        if (await this.#endsWithin(found.Id, graceMs)) return 'gone';
      }
      await this.#kill(found.Id, 'SIGKILL');
      return (await this.#endsWithin(found.Id, 10_000)) ? 'gone' : 'unconfirmed';
    }
    return 'unconfirmed';
  }

  async *list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncGenerator<ListedTask, void, undefined> {
    const filters = { label: labelFilter(query) };
    const containers = await this.#api.json<readonly Labelled[]>('GET', '/containers/json', {
      query: { all: true, filters },
    });
    const { Volumes } = await this.#api.json<{ readonly Volumes: readonly Labelled[] | null }>(
      'GET',
      '/volumes',
      { query: { filters } },
    );
    const seen = new Set<string>();
    for (const { Labels } of [...containers, ...(Volumes ?? [])]) {
      const facts = readFacts(Labels ?? {});
      const id = Labels?.[taskLabels.task];
      if (facts === undefined || id === undefined || seen.has(id)) continue;
      seen.add(id);
      yield { id, key: facts.key, facts };
    }
  }

  async judge(id: string, facts: TaskFacts, verdict: Verdict): Promise<void> {
    const labels = labelsOf(id, 0, facts);
    const told = JSON.stringify({ verdict, at: Date.now() });
    await this.#api.json('POST', '/volumes/create', {
      body: { Name: verdictName(id), Labels: { ...labels, [verdictLabel]: told } },
    });
  }

  async verdict(
    id: string,
  ): Promise<
    { readonly verdict: Verdict; readonly facts: TaskFacts; readonly at: number } | undefined
  > {
    const volume = await this.#api.found<Labelled>(`/volumes/${verdictName(id)}`);
    const facts = volume && readFacts(volume.Labels ?? {});
    const told = volume?.Labels?.[verdictLabel];
    if (facts === undefined || told === undefined) return undefined;
    return { ...(JSON.parse(told) as { verdict: Verdict; at: number }), facts };
  }

  async forget(id: string, units: number): Promise<void> {
    this.#chosen.delete(id);
    for (let rank = 0; rank < units; rank += 1) {
      await this.#remove(unitName(id, rank));
      this.#samplers.delete(`${id}-${rank}`);
      this.#made.delete(unitName(id, rank));
    }
    if (units > 1) {
      for (const network of await this.#networks(id)) {
        await this.#api.ensure('DELETE', `/networks/${network}`, (error) => isFault(error, 404));
      }
    }
    await this.#api.ensure('DELETE', `/volumes/${verdictName(id)}`, (error) => isFault(error, 404));
  }

  /** Whether this engine has seen it end: one that went down has no such event. */
  async #diedHere({ Id, State }: ContainerFacts): Promise<boolean> {
    const endedAt = Date.parse(State.FinishedAt) / 1000;
    const query = {
      since: Math.floor(endedAt - 60),
      until: Math.ceil(endedAt + 60),
      filters: { container: [Id], event: ['die'] },
    };
    if (query.until > Date.now() / 1000) query.until = Math.floor(Date.now() / 1000) + 1;
    const events = await this.#api.stream('GET', '/events', { query });
    let text = '';
    for await (const piece of events) {
      text += String(piece);
      if (text.length > 0) events.destroy();
    }
    return text !== '';
  }

  async #networks(id: string): Promise<readonly string[]> {
    const filters = { label: [`${taskLabels.task}=${id}`] };
    const found = await this.#api.json<readonly { Id: string; Created: string }[]>(
      'GET',
      '/networks',
      { query: { filters } },
    );
    return found.toSorted((a, b) => (a.Created < b.Created ? -1 : 1)).map(({ Id }) => Id);
  }

  async #engine(): Promise<EngineInfo> {
    this.#info ??= await this.#api.json<EngineInfo>('GET', '/info');
    return this.#info;
  }

  #inspect(id: string, rank: number): Promise<ContainerFacts | undefined> {
    return this.#api.found<ContainerFacts>(`/containers/${unitName(id, rank)}/json`);
  }

  /** One that does not run; another is left. */
  #remove(containerId: string): Promise<void> {
    return this.#api.ensure('DELETE', `/containers/${containerId}?v=1`, (error) =>
      isFault(error, 404, 409),
    );
  }

  #kill(containerId: string, signal: string): Promise<void> {
    return this.#api.ensure('POST', `/containers/${containerId}/kill?signal=${signal}`, (error) =>
      isFault(error, 404, 409),
    );
  }

  async #endsWithin(containerId: string, ms: number): Promise<boolean> {
    const path = `/containers/${containerId}/wait`;
    const signal = AbortSignal.timeout(ms);
    try {
      await this.#api.json('POST', path, { query: { condition: 'not-running' }, signal });
      return true;
    } catch (error) {
      if (isFault(error, 404)) return true;
      if (signal.aborted) return false;
      throw error;
    }
  }

  #sampler(id: string, rank: number): UsageSampler {
    const key = `${id}-${rank}`;
    let sampler = this.#samplers.get(key);
    if (sampler === undefined) {
      sampler = new UsageSampler(this.#api, unitName(id, rank));
      this.#samplers.set(key, sampler);
    }
    return sampler;
  }
}

function isRunning({ State }: ContainerFacts): boolean {
  return ['running', 'paused', 'restarting'].includes(State.Status);
}

function verdictName(id: string): string {
  return `${unitName(id, 0)}-verdict`;
}
