import type { Executor, Resources } from '../../contracts/executor.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { StepDefinition } from '../definition.ts';
import type { Definitions } from '../definitions.ts';
import { column, equals } from '../execution-records.ts';
import type { ExecutorsHere } from '../executors/executors-here.ts';
import { type StepState, stepFromRecord } from '../step-execution.ts';
import {
  amountsOf,
  askedResources,
  asksForRoom,
  bytesText,
  isSelected,
  type NeverFits,
  neverFits,
  processesOf,
} from './asked-resources.ts';
import { deviceHoldId, type Pool, type Pools, usedColumns } from './pools.ts';
import {
  type Amounts,
  orderQueue,
  type Place,
  type PoolState,
  shortage,
  type Waiting,
} from './queue-order.ts';

/** A change that the commit of a step's start makes, and that the commit of its running's end undoes. */
export type Held =
  | {
      readonly op: 'adjust';
      readonly kind: string;
      readonly id: string;
      readonly column: string;
      /** Undone by the opposite. */
      readonly by: number;
    }
  /** Undone by the removal, at revision 1. */
  | { readonly op: 'create'; readonly kind: string; readonly id: string };

/** What a step was given to run with. */
export interface Allocated extends Resources {
  readonly pool?: string;
  readonly devices?: readonly string[];
}

/** Whether a step may start now. */
export type Admission =
  | {
      readonly verdict: 'admitted';
      /** In bounds, so that a commit which would exceed a capacity is CONFLICT. */
      readonly changes: readonly Change[];
      readonly held: readonly Held[];
      readonly allocated?: Allocated;
    }
  /** Tried again when something of the pool ends. */
  | { readonly verdict: 'queued'; readonly reason: string; readonly pool: string }
  /** It fails at once: nothing there is could ever hold it. */
  | ({ readonly verdict: 'never' } & NeverFits);

/** A step that may start, as far as its place in the queue goes. */
export interface DueStep {
  readonly id: string;
  readonly state: StepState;
}

/** A step that waits, and why. */
export interface QueuedStep {
  /** 1 for the one that comes first. */
  readonly position: number;
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  readonly item?: number;
  readonly priority: number;
  readonly submittedBy?: string;
  /** Since when it could have started; its execution's beginning where that is not known. */
  readonly since: number;
  readonly reason: string;
}

/** Bounds for what each user's steps may have at once. */
export interface UserLimits {
  readonly cpuCores?: number;
  readonly memoryBytes?: number;
}

/** Decides which steps may start, with what. */
export interface Admissions {
  /** Whether the step may start now. */
  admit(
    step: StepDefinition,
    defaults: Resources | undefined,
    state: StepState,
  ): Promise<Admission>;
  /** Of steps that are due, those that this process should try to start now, the first first. */
  order(due: readonly DueStep[]): Promise<readonly DueStep[]>;
  /** Why a step can never run, as far as the machines are known. */
  never(
    step: StepDefinition,
    defaults: Resources | undefined,
    runsOn: string,
  ): Promise<NeverFits | undefined>;
  /** What waits, in its order. */
  queue(executionId?: string): Promise<readonly QueuedStep[]>;
}

/** What admission needs. */
export interface AdmissionParts {
  readonly executors: ExecutorsHere;
  readonly pools: Pools;
  readonly definitions: Pick<Definitions, 'get'>;
  readonly perUser?: UserLimits;
  /** When somebody has waited so long for room, those behind are held back; 60,000 when left out. */
  readonly holdBackMs?: number;
}

const queueLength = 1000;

/** Admission to the machines that the executors of the scope's workspace run on. */
export function createAdmissions(scope: Scope, parts: AdmissionParts): Admissions {
  const { metadata, workspace } = scope;
  const { executors, pools, definitions, perUser } = parts;

  /** Steps of functions take room on the machine that their process is on. */
  function executorOf(runsOn: string): Executor | undefined {
    const name = runsOn.startsWith('executor:') ? runsOn.slice('executor:'.length) : 'process';
    return executors.find(name === 'inline' ? 'process' : name);
  }

  async function poolOf(runsOn: string): Promise<Pool | undefined> {
    const executor = executorOf(runsOn);
    if (executor !== undefined) return pools.of(executor);
    const name = runsOn.slice('executor:'.length);
    return (await pools.list()).find((pool) => pool.executors.includes(name));
  }

  async function freeDevices(pool: Pool, resources: Resources): Promise<readonly string[]> {
    const { records } = await metadata.query(workspace, 'device_hold', {
      where: equals('pool', pool.pool),
      limit: 1000,
    });
    const taken = new Set(records.map(({ columns }) => columns['device']));
    return pool.machines
      .filter((machine) => isSelected(machine, resources))
      .flatMap(({ devices }) => devices)
      .filter(({ type }) => (resources.gpuType ?? type) === type)
      .map(({ id }) => id)
      .filter((id) => !taken.has(id));
  }

  async function admit(
    step: StepDefinition,
    defaults: Resources | undefined,
    state: StepState,
  ): Promise<Admission> {
    const resources = askedResources(step, defaults);
    const pool = asksForRoom(resources) ? await poolOf(state.runsOn) : undefined;
    if (pool === undefined) {
      return { verdict: 'admitted', changes: [], held: [], allocated: resources };
    }
    const never = neverFits(step, resources, pool.pool, pool.machines);
    if (never !== undefined) return { verdict: 'never', ...never };
    const { devices: deviceCount = 0, ...amounts } = amountsOf(resources, processesOf(step));
    const short = shortage(amounts, freeOf(pool));
    if (short !== undefined) {
      return { verdict: 'queued', pool: pool.pool, reason: shortText(short, pool.pool) };
    }
    const free = deviceCount === 0 ? [] : await freeDevices(pool, resources);
    if (free.length < deviceCount) {
      const lack = { resource: 'devices', asks: deviceCount, free: free.length };
      return { verdict: 'queued', pool: pool.pool, reason: shortText(lack, pool.pool) };
    }
    const devices = free.slice(0, deviceCount);
    const taken = [...adjustments(pool, amounts), ...(await userAdjustments(state, amounts))];
    return {
      verdict: 'admitted',
      changes: [
        ...taken.map(({ held, max }): Change => ({ ...held, max })),
        ...devices.map((device) => holdDevice(pool.pool, device, state.id)),
      ],
      held: [
        ...taken.map(({ held }) => held),
        ...devices.map((device) => {
          return {
            op: 'create',
            kind: 'device_hold',
            id: deviceHoldId(pool.pool, device),
          } as const;
        }),
      ],
      allocated: { ...resources, pool: pool.pool, ...(devices.length === 0 ? {} : { devices }) },
    };
  }

  async function userAdjustments(state: StepState, amounts: Amounts) {
    if (perUser === undefined || state.submittedBy === undefined) return [];
    const total = {
      cpuMilli: Math.floor((perUser.cpuCores ?? 1e9) * 1000),
      memoryBytes: perUser.memoryBytes ?? Number.MAX_SAFE_INTEGER,
      storageBytes: Number.MAX_SAFE_INTEGER,
      devices: 0,
    };
    const pool = await pools.limit(`user:${state.submittedBy}`, total);
    return adjustments({ ...pool, total }, amounts);
  }

  async function waitingOf(states: readonly StepState[]) {
    const waiting: Waiting[] = [];
    const states_ = new Map<string, PoolState>();
    const byRunsOn = new Map<string, Pool | undefined>();
    for (const state of states) {
      const { definition, steps } = await definitions.get(state.definition);
      const step = steps.get(state.step);
      if (step === undefined) continue;
      if (!byRunsOn.has(state.runsOn)) byRunsOn.set(state.runsOn, await poolOf(state.runsOn));
      const pool = byRunsOn.get(state.runsOn);
      const resources = askedResources(step, definition.resourceDefaults);
      waiting.push({
        id: state.id,
        priority: state.priority,
        user: state.submittedBy ?? '',
        since: state.since,
        asks: amountsOf(resources, processesOf(step)),
        pool: pool?.pool ?? '',
      });
      if (pool !== undefined && !states_.has(pool.pool)) {
        const held = await metadata.count(workspace, 'device_hold', equals('pool', pool.pool), {
          exact: true,
        });
        const devices = (pool.total['devices'] ?? 0) - held.count;
        states_.set(pool.pool, {
          free: { ...freeOf(pool), devices },
          shares: await sharesOf(pool),
        });
      }
    }
    return { waiting, pools: states_ };
  }

  /** What of a pool each user's running steps have. */
  async function sharesOf(pool: Pool): Promise<ReadonlyMap<string, number>> {
    const { records } = await metadata.query(workspace, 'step_execution', {
      where: equals('status', 'RUNNING'),
      limit: queueLength,
    });
    const shares = new Map<string, number>();
    for (const state of records.map(stepFromRecord)) {
      const allocated = state.allocated as Allocated | undefined;
      if (allocated?.pool !== pool.pool || state.held.length === 0) continue;
      const parts = state.held.map((held) => {
        if (held.op !== 'adjust' || held.id !== pool.id) return 0;
        const name = Object.keys(usedColumns).find((key) => usedColumns[key] === held.column);
        const total = name === undefined ? 0 : (pool.total[name] ?? 0);
        return total > 0 ? held.by / total : 0;
      });
      const user = state.submittedBy ?? '';
      shares.set(user, (shares.get(user) ?? 0) + Math.max(0, ...parts));
    }
    return shares;
  }

  function rules() {
    return { now: scope.clock.now(), holdBackMs: parts.holdBackMs ?? 60_000 };
  }

  return {
    admit,

    async order(due) {
      // What runs only lacks somebody who watches it.
      const running = due.filter(({ state }) => state.status === 'RUNNING');
      const pending = due.filter(({ state }) => state.status !== 'RUNNING');
      if (pending.length === 0) return running;
      const { waiting, pools: free } = await waitingOf(pending.map(({ state }) => state));
      const byId = new Map(pending.map((each) => [each.id, each]));
      const starting = orderQueue(waiting, free, rules()).filter(({ starts }) => starts);
      return [...running, ...starting.map(({ id }) => byId.get(id)).filter(isThere)];
    },

    async never(step, defaults, runsOn) {
      const resources = askedResources(step, defaults);
      const pool = asksForRoom(resources) ? await poolOf(runsOn) : undefined;
      return pool && neverFits(step, resources, pool.pool, pool.machines);
    },

    async queue(executionId) {
      const { records } = await metadata.query(workspace, 'step_execution', {
        where: {
          op: 'and',
          of: [
            equals('pendingDeps', 0),
            equals('status', 'PENDING'),
            { op: 'compare', left: column('readyAt'), cmp: '<=', value: scope.clock.now() },
          ],
        },
        limit: queueLength,
      });
      const states = records.map(stepFromRecord);
      const { waiting, pools: free } = await waitingOf(states);
      const byId = new Map(states.map((state) => [state.id, state]));
      const queued = orderQueue(waiting, free, rules()).map((place, i) =>
        queuedStep(place, byId, waiting, i + 1),
      );
      return executionId === undefined
        ? queued
        : queued.filter((each) => each.executionId === executionId);
    },
  };
}

function queuedStep(
  place: Place,
  byId: ReadonlyMap<string, StepState>,
  waiting: readonly Waiting[],
  position: number,
): QueuedStep {
  const state = byId.get(place.id) as StepState;
  const { pool = '', since = 0 } = waiting.find(({ id }) => id === place.id) ?? {};
  const { executionId, pipeline, step, mapKey, priority, submittedBy } = state;
  return {
    position,
    ...{ executionId, pipeline, step, priority, since },
    ...(mapKey === '' ? {} : { item: Number(mapKey) }),
    ...(submittedBy === undefined ? {} : { submittedBy }),
    reason: reasonOf(place, byId, pool, state),
  };
}

function reasonOf(
  place: Place,
  byId: ReadonlyMap<string, StepState>,
  pool: string,
  state: StepState,
): string {
  if (place.short !== undefined) return shortText(place.short, pool);
  if (place.heldBackFor !== undefined) {
    const other = byId.get(place.heldBackFor);
    return `step ${other?.step ?? ''} of execution ${other?.executionId ?? ''} has waited long for room on ${pool} and comes first`;
  }
  if (pool === '' && state.runsOn.startsWith('executor:')) {
    return `waits for a process that has the executor ${state.runsOn.slice('executor:'.length)}`;
  }
  return state.runsOn.startsWith('function:')
    ? `may start: waits for a process that has registered ${state.pipeline} (pipelines.add) to take it`
    : 'may start: waits for a process to take it';
}

function adjustments(pool: Pick<Pool, 'id' | 'total'>, amounts: Amounts) {
  return Object.entries(amounts)
    .filter(([, by]) => by > 0)
    .map(([name, by]) => ({
      held: {
        ...({ op: 'adjust', kind: 'resource_pool', id: pool.id } as const),
        ...{ column: usedColumns[name] ?? name, by },
      },
      max: pool.total[name] ?? 0,
    }));
}

function holdDevice(pool: string, device: string, stepExecution: string): Change {
  return {
    ...{ op: 'create', kind: 'device_hold', id: deviceHoldId(pool, device) },
    columns: { pool, device, stepExecution },
  };
}

function freeOf({ total, used }: Pool): Amounts {
  const names = Object.keys(usedColumns);
  return Object.fromEntries(names.map((name) => [name, (total[name] ?? 0) - (used[name] ?? 0)]));
}

function shortText(short: NonNullable<Place['short']>, pool: string): string {
  const { resource, asks, free } = short;
  const show = (amount: number): string => {
    if (resource === 'cpuMilli') return `${amount / 1000} cores`;
    return resource === 'devices' ? `${amount} GPUs` : `${bytesText(amount)} (${resource})`;
  };
  return `needs ${show(asks)} of ${pool}, where ${show(Math.max(0, free))} are free`;
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}
