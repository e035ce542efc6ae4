import { setTimeout as pause } from 'node:timers/promises';
import type {
  ExecutorCapabilities,
  ExecutorCapacity,
  MachineCapacity,
  TaskObservation,
  TaskUsage,
} from '@keelson/core';
import { KeelsonError } from '@keelson/core';
import { masterPort } from './container-body.ts';
import { type EngineApi, isFault } from './engine-api.ts';
import { type LogPiece, type LogPlace, readLogFrames } from './log-frames.ts';
import { registryHeader } from './registry-auth.ts';
import type { RunnerOptions } from './runner-options.ts';
import { serviceBody } from './service-body.ts';
import { observeTask, type SwarmTask, taskOfJob } from './swarm-task.ts';
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

interface Service {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly Spec: {
    readonly Name: string;
    readonly Labels: Readonly<Record<string, string>> | null;
    readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } };
    readonly Mode: { readonly ReplicatedJob?: { readonly TotalCompletions?: number } };
  };
}

interface SwarmNode {
  readonly ID: string;
  readonly Spec: {
    readonly Labels: Readonly<Record<string, string>> | null;
    readonly Availability: string;
  };
  readonly Status: { readonly State: string };
  readonly Description: {
    readonly Hostname: string;
    readonly Resources: {
      readonly NanoCPUs: number;
      readonly MemoryBytes: number;
      readonly GenericResources?: readonly {
        readonly NamedResourceSpec?: { readonly Kind: string; readonly Value: string };
      }[];
    };
  };
}

const verdictLabel = 'keelson.verdict';

/**
 * The processes of tasks as jobs of a swarm: a service each, of one container that is not begun again. Names are
 * unique in a swarm, and making a service begins it: so it begins once. What is to end gets no completions to come,
 * and the reason as a label, in one update: the service stays as the record of that. (Removing a service leaves
 * the container of a job running, and its task in the managers' store.)
 */
export class ServiceUnits implements TaskUnits {
  readonly capabilities: ExecutorCapabilities = {
    entries: ['image'],
    isolation: 'container',
    survivesOrchestrator: true,
    gang: 'native',
    limits: { cpu: 'enforced', memory: 'enforced', gpu: 'reserved' },
    logs: { follow: true, afterExit: true },
    usage: 'final',
    // A manager takes a node for dead after some missed heartbeats of five seconds.
    lostAfterMs: 20_000,
  };
  readonly #api: EngineApi;
  readonly #options: RunnerOptions;

  constructor(api: EngineApi, options: RunnerOptions) {
    this.#api = api;
    this.#options = options;
  }

  async capacity(): Promise<ExecutorCapacity> {
    const [swarm, nodes] = await Promise.all([
      this.#api.json<{ readonly ID: string }>('GET', '/swarm', { once: true }),
      this.#api.json<readonly SwarmNode[]>('GET', '/nodes', { once: true }),
    ]).catch((error: unknown) => {
      if (!isFault(error, 503, 406)) throw error;
      const message = `The engine at ${this.#api.name} is no manager of a swarm: ${error.message}`;
      throw new KeelsonError('UNSUPPORTED', message, { cause: error });
    });
    const able = nodes.filter(
      ({ Status, Spec }) => Status.State === 'ready' && Spec.Availability === 'active',
    );
    return { pool: `swarm:${swarm.ID}`, machines: able.map(machineOf) };
  }

  async prepare({ id, facts, spec }: UnitSpec): Promise<void> {
    const name = networkOf(id, facts, spec);
    if (name === undefined) return;
    const found = await this.#api.found(`/networks/${name}`, { query: { scope: 'swarm' } });
    if (found !== undefined) return;
    const body = {
      ...{ Name: name, Driver: 'overlay', Internal: !isOpen(spec) },
      Labels: name === isolated ? {} : labelsOf(id, 0, facts),
    };
    await this.#api.ensure('POST', '/networks/create', isTaken, { body });
  }

  async make(unit: UnitSpec): Promise<void> {
    const { id, facts, spec } = unit;
    const network = networkOf(id, facts, spec);
    const body = serviceBody(unit, this.#options, {
      ...(network === undefined ? {} : { network }),
      master: { address: unitName(id, 0), port: spec.gang?.masterPort ?? masterPort },
    });
    const auth =
      unit.spec.entry.type === 'image'
        ? registryHeader(unit.spec.entry.image, this.#options.registryAuth)
        : undefined;
    const headers = auth === undefined ? {} : { 'x-registry-auth': auth };
    try {
      await this.#api.json('POST', '/services/create', { body, headers });
    } catch (error) {
      // Somebody else has made it.
      if (isTaken(error)) return;
      if (isFault(error, 400)) {
        throw new KeelsonError(
          'INVALID',
          `The swarm refuses a service for step ${facts.key.stepId}: ${error.message}.`,
          { cause: error },
        );
      }
      throw error;
    }
  }

  /** A service has begun when it is made. */
  begin(): Promise<void> {
    return Promise.resolve();
  }

  async look(id: string, rank: number): Promise<UnitState | undefined> {
    const service = await this.#service(id, rank);
    const facts = service && readFacts(service.Spec.Labels ?? {});
    if (service === undefined || facts === undefined) return undefined;
    const task = await this.#task(service);
    // Ended before it had a task, or its task has been removed since.
    if (task === undefined && isStopped(service)) return { facts, seen: { state: 'cancelled' } };
    const node = await this.#node(task);
    const [, digest] = service.Spec.TaskTemplate.ContainerSpec.Image.split('@');
    const seen = observeTask(task, facts, {
      ...(node === undefined
        ? {}
        : { name: node.Description.Hostname, isDown: node.Status.State === 'down' }),
    });
    return { facts, seen: { ...seen, ...(digest === undefined ? {} : { image: digest }) } };
  }

  async changed(
    id: string,
    rank: number,
    seen: TaskObservation,
    signal: AbortSignal,
  ): Promise<void> {
    // Swarms tell nobody of their tasks: they have to be asked. What was seen may be over by now already.
    for (let restMs = 25; !signal.aborted; restMs = Math.min(500, restMs * 1.3)) {
      const unit = await this.look(id, rank);
      if (unit?.seen.state !== seen.state) return;
      await pause(restMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async *logs(
    id: string,
    rank: number,
    from: LogPlace,
    { follow, isOver, signal }: LogReading,
  ): AsyncGenerator<LogPiece, void, undefined> {
    const service = await this.#service(id, rank);
    const task = service && (await this.#task(service));
    if (task === undefined) return;
    const query = { stdout: true, stderr: true, timestamps: true, follow };
    const over = new AbortController();
    if (follow) void this.#untilOver(id, rank, signal).then(() => over.abort());
    const either = AbortSignal.any([signal, over.signal]);
    try {
      const path = `/tasks/${task.ID}/logs`;
      const body = await this.#api.stream('GET', path, { query, signal: either });
      yield* readLogFrames(body, from, isOver);
    } catch (error) {
      if (signal.aborted || !over.signal.aborted) throw error;
    }
  }

  /** Logs of tasks that are followed have no end, also when the task has one. */
  async #untilOver(id: string, rank: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { seen } = (await this.look(id, rank).catch(() => undefined)) ?? {};
      if (seen === undefined || !['queued', 'starting', 'running'].includes(seen.state)) return;
      await this.changed(id, rank, seen, signal).catch(() => undefined);
    }
  }

  usage(_id: string, _rank: number, seen: TaskObservation): Promise<TaskUsage> {
    const { startedAt = Date.now(), finishedAt = Date.now() } = seen;
    return Promise.resolve({ wallMs: Math.max(0, finishedAt - startedAt) });
  }

  /** With the grace time that it was made with. */
  async end(id: string, rank: number, _graceMs: number): Promise<'gone' | 'unconfirmed'> {
    const service = await this.#stop(unitName(id, rank), {});
    if (service === undefined) return 'gone';
    const { graceMs = 0 } = readFacts(service.Spec.Labels ?? {}) ?? {};
    const until = performance.now() + graceMs + 15_000;
    for (let restMs = 20; performance.now() < until; restMs = Math.min(250, restMs * 1.5)) {
      const tasks = await this.#tasks(service);
      if (tasks.every(hasStopped)) return 'gone';
      await pause(restMs);
    }
    return 'unconfirmed';
  }

  /** No task of it is to run any more; with these labels where it has none of them yet. */
  async #stop(
    name: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<Service | undefined> {
    for (let tries = 0; ; tries += 1) {
      const service = await this.#api.found<Service>(`/services/${name}`);
      if (service === undefined) return undefined;
      const has = Object.keys(labels).every((label) => label in (service.Spec.Labels ?? {}));
      if (isStopped(service) && has) return service;
      const body = {
        ...service.Spec,
        Labels: { ...labels, ...service.Spec.Labels },
        Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 0 } },
      };
      const query = { version: service.Version.Index };
      try {
        await this.#api.json('POST', `/services/${service.ID}/update`, { query, body });
        return { ...service, Spec: body };
      } catch (error) {
        // Somebody else has changed it since.
        if (!isFault(error, 404, 409, 500) || tries === 20) throw error;
      }
      await pause(20);
    }
  }

  async *list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncGenerator<ListedTask, void, undefined> {
    const filters = { label: labelFilter(query) };
    const seen = new Set<string>();
    const services = await this.#api.json<readonly Service[]>('GET', '/services', {
      query: { filters },
    });
    for (const { Spec } of services) {
      const facts = readFacts(Spec.Labels ?? {});
      const id = Spec.Labels?.[taskLabels.task];
      if (facts === undefined || id === undefined || seen.has(id)) continue;
      seen.add(id);
      yield { id, key: facts.key, facts };
    }
  }

  async judge(id: string, _facts: TaskFacts, verdict: Verdict): Promise<void> {
    const told = JSON.stringify({ verdict, at: Date.now() });
    await this.#stop(unitName(id, 0), { [verdictLabel]: told });
  }

  async verdict(
    id: string,
  ): Promise<
    { readonly verdict: Verdict; readonly facts: TaskFacts; readonly at: number } | undefined
  > {
    const { Labels } = (await this.#service(id, 0))?.Spec ?? {};
    const facts = readFacts(Labels ?? {});
    const told = Labels?.[verdictLabel];
    if (facts === undefined || told === undefined) return undefined;
    return { ...(JSON.parse(told) as { verdict: Verdict; at: number }), facts };
  }

  async forget(id: string): Promise<void> {
    const filters = { label: [`${taskLabels.task}=${id}`] };
    const services = await this.#api.json<readonly Service[]>('GET', '/services', {
      query: { filters },
    });
    for (const { ID, Spec } of services) {
      // Or its tasks would stay in the managers' store for ever.
      await this.#stop(Spec.Name, {});
      await this.#api.ensure('DELETE', `/services/${ID}`, isGone);
    }
    await this.#forgetNetworks(filters);
  }

  /** A network goes when its last task has gone, which takes a moment. */
  async #forgetNetworks(filters: object): Promise<void> {
    const networks = await this.#api.json<readonly { Id: string }[]>('GET', '/networks', {
      query: { filters },
    });
    for (const { Id } of networks) {
      for (let tries = 0; ; tries += 1) {
        try {
          await this.#api.ensure('DELETE', `/networks/${Id}`, isGone);
          break;
        } catch (error) {
          if (tries === 50 || !isFault(error, 400, 403, 409)) throw error;
        }
        await pause(200);
      }
    }
  }

  #service(id: string, rank: number): Promise<Service | undefined> {
    return this.#api.found<Service>(`/services/${unitName(id, rank)}`);
  }

  async #task(service: Service): Promise<SwarmTask | undefined> {
    return taskOfJob(await this.#tasks(service));
  }

  #tasks({ ID }: Service): Promise<readonly SwarmTask[]> {
    return this.#api.json('GET', '/tasks', { query: { filters: { service: [ID] } } });
  }

  #node(task: SwarmTask | undefined): Promise<SwarmNode | undefined> {
    const { NodeID } = task ?? {};
    if (NodeID === undefined || NodeID === '') return Promise.resolve(undefined);
    return this.#api.found<SwarmNode>(`/nodes/${NodeID}`);
  }
}

/** Where steps are that want no network: a swarm has none that is none, but one that leads nowhere. */
const isolated = 'keelson-isolated';

/** The network of a task; undefined for that of the nodes. */
function networkOf(id: string, facts: TaskFacts, spec: UnitSpec['spec']): string | undefined {
  if (facts.units > 1) return unitName(id, 0);
  return isOpen(spec) ? undefined : isolated;
}

/** Managers have several ways to say so, not all with the status for it. */
function isTaken(error: unknown): boolean {
  return isFault(error, 409) || (isFault(error, 500) && /name conflicts/.test(error.message));
}

function isGone(error: unknown): boolean {
  return isFault(error, 404) || (isFault(error, 500) && /not found/.test(error.message));
}

function isOpen({ entry }: UnitSpec['spec']): boolean {
  return entry.type === 'image' && entry.network === 'bridge';
}

function machineOf({ Spec, Description }: SwarmNode): MachineCapacity {
  const { NanoCPUs, MemoryBytes, GenericResources = [] } = Description.Resources;
  return {
    name: Description.Hostname,
    labels: Spec.Labels ?? {},
    cpuCores: NanoCPUs / 1e9,
    memoryBytes: MemoryBytes,
    devices: GenericResources.flatMap(({ NamedResourceSpec: named }) =>
      named === undefined ? [] : [{ id: named.Value, type: named.Kind }],
    ),
  };
}

function hasStopped({ Status }: SwarmTask): boolean {
  return ['complete', 'failed', 'shutdown', 'rejected', 'orphaned'].includes(Status.State);
}

function isStopped({ Spec }: Service): boolean {
  return Spec.Mode.ReplicatedJob?.TotalCompletions === 0;
}
