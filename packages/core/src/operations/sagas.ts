import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { currentCorrelation } from '../events/correlation.ts';
import type { Owners } from '../events/subscription.ts';
import { asJson, assertText, encodeJson, type Json } from '../json.ts';
import { type AnySaga, defineSaga, type SagaDefinition } from './saga.ts';
import { createSagaLoop, type SagaScope } from './saga-loop.ts';
import {
  hasEnded,
  newSaga,
  retried,
  type Saga,
  type SagaStatus,
  sagaFromRecord,
} from './saga-state.ts';

/** Which sagas to list. */
export interface SagaFilter {
  readonly name?: string;
  readonly status?: SagaStatus;
  /** 1 to 1,000; 100 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
}

/** Sagas of a workspace: changes of several steps that end wholly done or wholly undone. */
export interface Sagas {
  /**
   * Lets this process run sagas of a definition, until the platform is closed. The same one twice is fine;
   * CONFLICT for another one of its name.
   */
  add(definition: AnySaga): void;
  /**
   * Starts a saga, or answers the one that was started under the key. It runs in the loops of any process
   * that has its definition. CONFLICT for a key that was used with another input; NOT_FOUND for a name that
   * is not defined here; INVALID for an input that is no JSON.
   */
  start<I extends Json>(
    definition: SagaDefinition<I>,
    input: I,
    options?: { readonly idempotencyKey?: string },
  ): Promise<Saga>;
  /** NOT_FOUND for an id that is none. */
  get(id: string): Promise<Saga>;
  /** Newest first. */
  list(filter?: SagaFilter): Promise<{ readonly sagas: readonly Saga[]; readonly cursor?: string }>;
  /**
   * Drives sagas here until this one has ended: COMPLETED, COMPENSATED or MANUAL_REQUIRED. TIMEOUT after
   * `timeoutMs` (60,000 when left out), ABORTED by the signal; the saga goes on by itself.
   */
  wait(
    id: string,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<Saga>;
  /** Tries the compensation anew of one that is MANUAL_REQUIRED; CONFLICT for any other. */
  retry(id: string): Promise<Saga>;
  /** They share the sagas that are due: as many run at once in this process. */
  readonly loops: readonly Loop[];
}

const startShape = z.strictObject({ idempotencyKey: z.string().min(1).max(500).optional() });
const waitShape = z.strictObject({
  timeoutMs: z.number().min(0).optional(),
  signal: signalOption.optional(),
});
const filterShape = z.strictObject({
  name: z.string().optional(),
  status: z
    .enum(['RUNNING', 'COMPENSATING', 'COMPLETED', 'COMPENSATED', 'MANUAL_REQUIRED'])
    .optional(),
  limit: z.number().int().min(1).max(1000).optional(),
  cursor: z.string().optional(),
} satisfies Record<keyof SagaFilter, z.ZodType>);

/** Sagas, bound to a scope, with the definitions that this process can run. */
export function createSagas(
  scope: SagaScope,
  parts: {
    /** A map is shared: what is added to it can be run from then on. */
    readonly definitions: readonly AnySaga[] | Map<string, AnySaga>;
    /** Those of this scope alone, as they are at the moment. */
    bound?(): readonly AnySaga[];
    readonly owners: Owners;
    /** How long a process that is silent keeps its sagas; 15,000 when left out. */
    readonly leaseMs?: number;
    /** How many run at once in this process; 4 when left out. */
    readonly concurrency?: number;
  },
): Sagas {
  const { metadata, workspace, principal } = scope;
  const { leaseMs = 15_000, concurrency = 4, owners } = parts;
  const given = parts.definitions;
  const definitions =
    given instanceof Map ? given : new Map(given.map((each) => [each.name, each]));
  const loops = Array.from({ length: concurrency }, (_, i) =>
    createSagaLoop(scope, { name: `sagas-${i}`, definitions: runnable, owners, leaseMs }),
  );

  function runnable(): ReadonlyMap<string, AnySaga> {
    const bound = parts.bound?.() ?? [];
    if (bound.length === 0) return definitions;
    return new Map([...definitions, ...bound.map((each) => [each.name, each] as const)]);
  }

  async function getRecord(id: string): Promise<StoredRecord> {
    assertText(id, 'The id of a saga');
    const record = await metadata.find(workspace, 'saga', id);
    if (record !== undefined) return record;
    throw new KeelsonError('NOT_FOUND', `There is no saga ${id} in this workspace.`);
  }

  async function started(name: string, key: string, input: Json): Promise<Saga> {
    const { records } = await metadata.query(workspace, 'saga', {
      where: { op: 'and', of: [is('name', name), is('key', key)] },
      limit: 1,
    });
    const saga = records[0] === undefined ? undefined : sagaFromRecord(records[0]);
    if (saga !== undefined && encodeJson(saga.input) === encodeJson(input)) return saga;
    throw new KeelsonError(
      'CONFLICT',
      `A saga ${name} was started under the key ${key} with another input; use another key.`,
      { details: { name, key } },
    );
  }

  /** Drives a saga for so long at most; one that is broken off goes on later. */
  async function driven(ms: number, signal: AbortSignal): Promise<boolean> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(ms))]);
    try {
      return (await loops[0]?.runOnce(limit)) ?? false;
    } catch (error) {
      if (!limit.aborted) throw error;
      return true;
    }
  }

  async function get(id: string): Promise<Saga> {
    return sagaFromRecord(await getRecord(id));
  }

  return {
    get,
    loops,

    add(definition) {
      const name = nameOf(definition);
      const { steps, timeoutMs } = definition;
      defineSaga(name, steps, timeoutMs === undefined ? {} : { timeoutMs });
      const known = runnable().get(name);
      if (known === definition) return;
      if (known !== undefined) {
        throw new KeelsonError(
          'CONFLICT',
          `This process has another definition of the saga ${name}; give yours another name.`,
        );
      }
      definitions.set(name, definition);
    },

    async start(definition, given, options = {}) {
      checkOptions(startShape, options, 'start');
      const name = nameOf(definition);
      const known = runnable().get(name);
      if (known === undefined) {
        throw new KeelsonError(
          'NOT_FOUND',
          `This process has no definition of the saga ${name}; add it with operations.sagas.add().`,
        );
      }
      const input = asJson(given, `The input of the saga ${name}`);
      const { idempotencyKey } = options;
      const id = scope.ids.next();
      const correlationId = currentCorrelation()?.correlationId ?? id;
      const of = { id, correlationId, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
      const created = sagaStarted(known, input, of, await metadata.now());
      try {
        await metadata.commit({
          ...{ workspace, principal: principal.id, correlationId },
          changes: [created],
        });
      } catch (error) {
        if (idempotencyKey === undefined || !isKeelsonError(error, 'CONFLICT')) throw error;
        return await started(name, idempotencyKey, input);
      }
      return await get(id);
    },

    async list(filter = {}) {
      checkOptions(filterShape, filter, 'list');
      const { name, status, limit = 100, cursor } = filter;
      const of = [
        ...(name === undefined ? [] : [is('name', name)]),
        ...(status === undefined ? [] : [is('status', status)]),
      ];
      const page = await metadata.query(workspace, 'saga', {
        limit,
        orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'desc' }],
        ...(of.length === 0 ? {} : { where: { op: 'and', of } }),
        ...(cursor === undefined ? {} : { cursor }),
      });
      const sagas = page.records.map(sagaFromRecord);
      return page.cursor === undefined ? { sagas } : { sagas, cursor: page.cursor };
    },

    async wait(id, options = {}) {
      checkOptions(waitShape, options, 'wait');
      const { timeoutMs = 60_000, signal = new AbortController().signal } = options;
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        if (signal.aborted) throw new KeelsonError('ABORTED', `Waiting for the saga ${id} ended.`);
        const seen = await metadata.latestEventCursor();
        const saga = await get(id);
        if (hasEnded(saga)) return saga;
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) {
          const at = `${saga.status} at ${saga.steps[saga.step] ?? 'its end'}`;
          throw new KeelsonError('TIMEOUT', `The saga ${id} is ${at} after ${timeoutMs} ms.`);
        }
        if (await driven(leftMs, signal)) continue;
        // The end of a saga is an event; what is due later is looked at again soon.
        await metadata.waitForEvents(seen, { timeoutMs: Math.min(leftMs, 250), signal });
      }
    },

    async retry(id) {
      const record = await getRecord(id);
      const saga = sagaFromRecord(record);
      if (saga.status !== 'MANUAL_REQUIRED') {
        const only = 'only one that is MANUAL_REQUIRED can be retried';
        throw new KeelsonError('CONFLICT', `The saga ${id} is ${saga.status}; ${only}.`);
      }
      await metadata.commit({
        ...{ workspace, principal: principal.id, correlationId: saga.correlationId },
        changes: [{ op: 'replace', kind: 'saga', id, expect: record.revision, ...retried(saga) }],
      });
      return await get(id);
    },
  };
}

/** The change that starts a saga, for a commit that makes more true at the same time. */
export function sagaStarted(
  { name, steps, timeoutMs }: AnySaga,
  input: Json,
  of: { readonly id: string; readonly correlationId: string; readonly idempotencyKey?: string },
  now: number,
): Change {
  const { id, ...facts } = of;
  const created = newSaga({
    ...{ ...facts, name, input, steps: steps.map((step) => step.name) },
    ...(timeoutMs === undefined ? {} : { deadlineAt: now + timeoutMs }),
  });
  return { op: 'create', kind: 'saga', id, ...created };
}

function is(name: string, value: string): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp: '=', value };
}

function nameOf(definition: unknown): string {
  const { name } = (definition ?? {}) as { readonly name?: unknown };
  return assertText(name, 'The name of a saga', 200);
}
