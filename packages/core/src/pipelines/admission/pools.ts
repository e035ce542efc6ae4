import { createHash } from 'node:crypto';
import type { Executor, ExecutorCapacity, MachineCapacity } from '../../contracts/executor.ts';
import type { Columns, StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { canonicalJson, type Json } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { totalOf } from './asked-resources.ts';
import type { Amounts } from './queue-order.ts';

/** A pool of machines, as its record has it. */
export interface Pool {
  readonly id: string;
  readonly pool: string;
  readonly revision: number;
  readonly seenAt: number;
  readonly total: Amounts;
  readonly used: Amounts;
  readonly machines: readonly MachineCapacity[];
  /** The executors that draw on it. */
  readonly executors: readonly string[];
}

/** The pools of a workspace. */
export interface Pools {
  /** The pool of an executor of this process, published; undefined where it has nothing to reserve. */
  of(executor: Executor): Promise<Pool | undefined>;
  /** One that bounds what somebody may have, made where it is not there. */
  limit(pool: string, total: Amounts): Promise<Pool>;
  list(): Promise<readonly Pool[]>;
}

const freshMs = 5000;
/** How often what is there is said again. */
const publishMs = 60_000;

/** The columns by which use is counted, by the amounts' names. */
export const usedColumns: Readonly<Record<string, string>> = {
  cpuMilli: 'usedCpuMilli',
  memoryBytes: 'usedMemoryBytes',
  storageBytes: 'usedStorageBytes',
};

/** The id of the record of a pool: the same whoever computes it. */
function poolId(pool: string): string {
  return `pool-${createHash('sha256').update(pool).digest('hex').slice(0, 32)}`;
}

/** The id of the record that holds a device. */
export function deviceHoldId(pool: string, device: string): string {
  const text = JSON.stringify([pool, device]);
  return `device-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

/** Pools of the scope's workspace. */
export function createPools(scope: Scope): Pools {
  const { metadata, workspace, clock } = scope;
  const capacities = new Map<
    string,
    { readonly at: number; readonly value: ExecutorCapacity | undefined }
  >();

  async function capacityOf(executor: Executor): Promise<ExecutorCapacity | undefined> {
    const known = capacities.get(executor.name);
    if (known !== undefined && clock.now() - known.at < freshMs) return known.value;
    const value = await executor.capacity();
    capacities.set(executor.name, { at: clock.now(), value });
    return value;
  }

  async function find(pool: string): Promise<Pool | undefined> {
    const record = await metadata.find(workspace, 'resource_pool', poolId(pool));
    return record && poolFromRecord(record);
  }

  async function publish(executor: Executor, capacity: ExecutorCapacity): Promise<Pool> {
    for (let tries = 1; ; tries += 1) {
      const there = await find(capacity.pool);
      if (there !== undefined && isCurrent(there, executor, capacity, clock.now())) return there;
      const total = totalOf(capacity.machines);
      const columns: Columns = {
        seenAt: clock.now(),
        cpuMilli: total['cpuMilli'] ?? 0,
        memoryBytes: total['memoryBytes'] ?? 0,
        storageBytes: total['storageBytes'] ?? 0,
        devices: total['devices'] ?? 0,
      };
      const executors = [...new Set([...(there?.executors ?? []), executor.name])].toSorted();
      const body = { machines: capacity.machines as unknown as Json, executors };
      try {
        await commitChanges(scope, [
          there === undefined
            ? {
                ...{ op: 'create', kind: 'resource_pool', id: poolId(capacity.pool), body },
                columns: {
                  ...{ ...columns, pool: capacity.pool },
                  ...{ usedCpuMilli: 0, usedMemoryBytes: 0, usedStorageBytes: 0 },
                },
              }
            : {
                ...{ op: 'replace', kind: 'resource_pool', id: there.id, columns, body },
                expect: there.revision,
              },
        ]);
      } catch (error) {
        // Another process says the same.
        if (!isKeelsonError(error, 'STALE', 'CONFLICT') || tries >= 10) throw error;
      }
    }
  }

  async function list(): Promise<readonly Pool[]> {
    const { records } = await metadata.query(workspace, 'resource_pool', { limit: 1000 });
    return records.map(poolFromRecord);
  }

  return {
    async limit(pool, total) {
      for (let tries = 1; ; tries += 1) {
        const there = await find(pool);
        if (there !== undefined) return there;
        const used = { usedCpuMilli: 0, usedMemoryBytes: 0, usedStorageBytes: 0 };
        const columns = { pool, seenAt: clock.now(), ...total, ...used };
        const body = { machines: [], executors: [] };
        try {
          await commitChanges(scope, [
            { op: 'create', kind: 'resource_pool', id: poolId(pool), columns, body },
          ]);
        } catch (error) {
          if (!isKeelsonError(error, 'CONFLICT') || tries >= 10) throw error;
        }
      }
    },

    async of(executor) {
      let capacity: ExecutorCapacity | undefined;
      try {
        capacity = await capacityOf(executor);
      } catch (error) {
        // What was last known of it counts; who asks something of it is told that it is away, or not for him.
        if (!isKeelsonError(error, 'UNAVAILABLE', 'FORBIDDEN', 'INVALID', 'UNSUPPORTED'))
          throw error;
        return (await list()).find((pool) => pool.executors.includes(executor.name));
      }
      return capacity && publish(executor, capacity);
    },

    list,
  };
}

function isCurrent(
  pool: Pool,
  executor: Executor,
  { machines }: ExecutorCapacity,
  now: number,
): boolean {
  return (
    now - pool.seenAt < publishMs &&
    pool.executors.includes(executor.name) &&
    // A store may give back the members of an object in another order.
    canonicalJson(pool.machines as unknown as Json) === canonicalJson(machines as unknown as Json)
  );
}

function poolFromRecord({ id, revision, columns: c, body }: StoredRecord): Pool {
  const number = (name: string): number => (c[name] as number | undefined) ?? 0;
  return {
    id,
    revision,
    pool: c['pool'] as string,
    seenAt: number('seenAt'),
    total: {
      cpuMilli: number('cpuMilli'),
      memoryBytes: number('memoryBytes'),
      storageBytes: number('storageBytes'),
      devices: number('devices'),
    },
    used: {
      cpuMilli: number('usedCpuMilli'),
      memoryBytes: number('usedMemoryBytes'),
      storageBytes: number('usedStorageBytes'),
    },
    machines: body['machines'] as unknown as readonly MachineCapacity[],
    executors: (body['executors'] ?? []) as unknown as readonly string[],
  };
}
