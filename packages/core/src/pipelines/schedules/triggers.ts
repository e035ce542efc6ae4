import { z } from 'zod';
import { assertObject } from '../../check-options.ts';
import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { correlated, withCorrelation } from '../../events/correlation.ts';
import { asJson, assertText, type Json, type JsonObject } from '../../json.ts';
import { compileExpression } from '../../language/conditions.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { undeclaredFaults } from '../declared-parameters.ts';
import type { PipelineDefinition, TriggerDefinition } from '../definition.ts';
import { type Execution, given } from '../execution.ts';
import { equals } from '../execution-records.ts';
import type { StartOptions } from '../start-execution.ts';
import { classifyFailure } from '../step-policy.ts';
import { createNamedRecords } from './named-records.ts';
import type { StartFailure } from './schedule.ts';

/** A trigger to be put. */
export interface NewTrigger {
  /** Unique in the workspace. */
  readonly name: string;
  readonly pipeline: string;
  /** The highest one when left out. */
  readonly version?: string;
  /** Event types (`drift.detected`, `step.*`); a webhook when left out: see `fire`. */
  readonly on?: string;
  /** A condition in CEL over `event`: its `type`, `subject`, `payload`, `correlationId`, `time`. */
  readonly when?: string;
  /** Parameter → an expression in CEL over `event`. */
  readonly parameters?: Readonly<Record<string, string>>;
}

/** A trigger as it stands. */
export interface Trigger extends NewTrigger {
  readonly id: string;
  readonly active: boolean;
  /** Why its last event started nothing. */
  readonly lastFailure?: StartFailure;
  readonly ofDefinition: boolean;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly revision: number;
}

/** Starts pipelines by events and webhooks. */
export interface Triggers {
  /**
   * Makes a trigger or changes it; it hears events from now on. INVALID for expressions that are none and
   * parameters that the pipeline does not declare; NOT_FOUND for a pipeline that is not stored.
   */
  put(trigger: NewTrigger): Promise<Trigger>;
  /** NOT_FOUND when there is none. */
  get(name: string): Promise<Trigger>;
  /** By name. */
  list(options?: { readonly pipeline?: string }): Promise<readonly Trigger[]>;
  /** Events that come meanwhile start nothing, also later. */
  pause(name: string): Promise<Trigger>;
  resume(name: string): Promise<Trigger>;
  remove(name: string): Promise<void>;
  /**
   * Starts a webhook's pipeline with what it was called with, as `event.payload`; undefined when its condition is
   * false. The same `id` starts once. Who called is for you to verify: see `verifyWebhook`.
   */
  fire(
    name: string,
    payload: JsonObject,
    options?: { readonly id?: string },
  ): Promise<Execution | undefined>;
}

/** Subscribes durably to events; that of events fits as it is. */
export type Subscribe = (
  name: string,
  options: { readonly types: readonly string[]; readonly from: 'now' },
  handler: (event: StoredEvent) => Promise<void>,
) => Promise<{ unsubscribe(): Promise<void> }>;

/** What triggers need. */
export interface TriggerParts {
  readonly start: (
    pipeline: string,
    parameters: JsonObject,
    options: StartOptions,
  ) => Promise<Execution>;
  readonly definition: (pipeline: string, version?: string) => Promise<PipelineDefinition>;
  readonly subscribe: Subscribe;
  readonly removeSubscription: (name: string) => Promise<void>;
}

const kind = 'pipeline_trigger';
/** Executions of one correlation that triggers may start: what goes in a circle comes to an end. */
const maxInChain = 25;

const shape = z.strictObject({
  name: z.string().min(1).max(200),
  pipeline: z.string().min(1).max(255),
  version: z.string().optional(),
  on: z.string().min(1).max(255).optional(),
  when: z.string().max(4096).optional(),
  parameters: z.record(z.string().max(255), z.string().max(4096)).optional(),
});

/** Triggers of the scope's workspace. */
export function createTriggers(
  scope: Scope,
  parts: TriggerParts,
): {
  readonly triggers: Triggers;
  readonly loop: Loop;
  /** Puts a stored definition's own triggers, and ends those that it has no longer. */
  follow(definition: PipelineDefinition): Promise<void>;
} {
  const { metadata, workspace, clock } = scope;
  /** Those that this process hears: name → how to stop. */
  const heard = new Map<string, { readonly on: string; unsubscribe(): Promise<void> }>();

  const named = createNamedRecords<Trigger>(scope, {
    ...{ kind, noun: 'trigger', maxName: 200 },
    fromRecord: triggerFromRecord,
  });

  async function put(trigger: NewTrigger, ofDefinition: boolean): Promise<Trigger> {
    for (const source of [trigger.when, ...Object.values(trigger.parameters ?? {})]) {
      if (source !== undefined) compileExpression(source, { names: ['event'] });
    }
    const { version, on, when, parameters } = trigger;
    const source = on === undefined ? 'webhook' : 'event';
    const body: JsonObject = {
      ofDefinition,
      ...given('version', version),
      ...given('on', on),
      ...given('when', when),
      ...given('parameters', parameters as JsonObject | undefined),
    };
    const made = await named.put(trigger, (there) => ({
      columns: { source, ...(there === undefined ? { active: true } : {}) },
      body,
    }));
    // From this moment on no event is missed, whichever process hears it.
    if (made.on !== undefined && made.active) await hear(made);
    return made;
  }

  async function hear(trigger: Trigger): Promise<void> {
    const { name, on = '' } = trigger;
    if (heard.get(name)?.on === on) return;
    await heard.get(name)?.unsubscribe();
    const subscription = await parts.subscribe(
      subscriptionName(name),
      { types: [on], from: 'now' },
      (event) => handle(name, event),
    );
    heard.set(name, { on, unsubscribe: () => subscription.unsubscribe() });
  }

  async function handle(name: string, event: StoredEvent): Promise<void> {
    const there = await named.find(name);
    const trigger = there && triggerFromRecord(there);
    if (trigger === undefined || !trigger.active) return;
    await startBy(
      trigger,
      eventJson(event),
      'EVENT',
      `event:${trigger.id}:${event.id}`,
      event.correlationId,
    );
  }

  /** Starts the pipeline where the condition holds; what cannot be started is noted, and not tried again. */
  async function startBy(
    trigger: Trigger,
    event: JsonObject,
    source: 'EVENT' | 'WEBHOOK',
    idempotencyKey: string | undefined,
    correlationId: string | undefined,
  ): Promise<Execution | undefined> {
    try {
      const { when, parameters = {} } = trigger;
      if (when !== undefined && !compileExpression(when).test({ event })) return undefined;
      if (correlationId !== undefined) await assertNoCircle(trigger, correlationId);
      const values = Object.entries(parameters).map(
        ([key, expression]) => [key, compileExpression(expression).value({ event })] as const,
      );
      const start = (): Promise<Execution> =>
        parts.start(trigger.pipeline, Object.fromEntries(values), {
          ...given('version', trigger.version),
          ...given('idempotencyKey', idempotencyKey),
          trigger: source,
          tags: { 'keelson.trigger': trigger.name },
        });
      return await (correlationId === undefined
        ? correlated(start)
        : withCorrelation({ correlationId }, start));
    } catch (error) {
      if (source === 'WEBHOOK' || classifyFailure(error) === 'transient') throw error;
      await noteFailure(trigger, error as Error);
      return undefined;
    }
  }

  async function assertNoCircle(trigger: Trigger, correlationId: string): Promise<void> {
    const { count } = await metadata.count(
      workspace,
      'execution',
      { op: 'and', of: [equals('correlationId', correlationId), equals('trigger', 'EVENT')] },
      { exact: true },
    );
    if (count < maxInChain) return;
    throw new KeelsonError(
      'EXHAUSTED',
      `${count} executions were started by triggers under correlation id ${correlationId}: ${trigger.name} seems to start itself in a circle.`,
    );
  }

  async function noteFailure(trigger: Trigger, error: Error): Promise<void> {
    const message = error.message.slice(0, 2000);
    const fields = { component: 'pipelines', trigger: trigger.name, error };
    scope.logger.warn(
      fields,
      `Trigger ${trigger.name} could not start ${trigger.pipeline}: ${message}`,
    );
    await decideAndCommit(scope, async () => {
      const there = await named.find(trigger.name);
      if (there === undefined) return { changes: [], result: undefined };
      const body = { ...there.body, lastFailure: { at: clock.now(), message } };
      return {
        changes: [{ op: 'replace', kind, id: there.id, expect: there.revision, body }],
        result: undefined,
      };
    });
  }

  async function setActive(name: string, active: boolean): Promise<Trigger> {
    const changed = await named.setActive(name, active);
    if (active && changed.on !== undefined) await hear(changed);
    return changed;
  }

  async function remove(name: string): Promise<void> {
    await named.remove(name);
    await heard.get(name)?.unsubscribe();
    heard.delete(name);
    await parts.removeSubscription(subscriptionName(name)).catch((error: unknown) => {
      if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    });
  }

  return {
    triggers: {
      async put(asked) {
        const trigger = checked(asked);
        const { parameters } = await parts.definition(trigger.pipeline, trigger.version);
        assertUsable(undeclaredFaults(parameters, trigger.parameters));
        return put(trigger, false);
      },
      get: named.get,
      list: async (options = {}) => named.list(assertObject(options, 'triggers.list').pipeline),
      pause: (name) => setActive(name, false),
      resume: (name) => setActive(name, true),
      remove,

      async fire(name, payload, options = {}) {
        const trigger = await named.get(name);
        const { id } = assertObject(options, 'triggers.fire');
        if (id !== undefined) assertText(id, 'The id of a call', 200);
        if (!trigger.active) {
          throw new KeelsonError('CONFLICT', `Trigger ${name} is paused.`);
        }
        const given_ = asJson(assertObject(payload, 'The payload of a webhook')) as JsonObject;
        const event = { type: 'webhook', subject: name, payload: given_, time: clock.now() };
        const key = id === undefined ? undefined : `webhook:${trigger.id}:${id}`;
        return startBy(trigger, event, 'WEBHOOK', key, undefined);
      },
    },

    loop: {
      name: 'pipeline triggers',
      idleMs: 1000,
      async runOnce() {
        const active = (await named.list()).filter(
          ({ on, active: isOn }) => on !== undefined && isOn,
        );
        for (const trigger of active) await hear(trigger);
        for (const [name, { unsubscribe }] of heard) {
          if (active.some((trigger) => trigger.name === name)) continue;
          heard.delete(name);
          await unsubscribe();
        }
        return false;
      },
    },

    async follow({ name: pipeline, triggers = [] }) {
      const own = (trigger: TriggerDefinition): NewTrigger => {
        return { ...trigger, name: `${pipeline}/${trigger.name}`, pipeline };
      };
      const wanted = triggers.map(own);
      for (const trigger of wanted) await put(trigger, true);
      for (const there of await named.list(pipeline)) {
        const stays = wanted.some(({ name }) => name === there.name);
        if (there.ofDefinition && !stays) await remove(there.name);
      }
    },
  };
}

function subscriptionName(trigger: string): string {
  return `pipeline-trigger:${trigger}`;
}

function triggerFromRecord({ id, columns: c, body, revision, createdAt }: StoredRecord): Trigger {
  return {
    id,
    name: c['name'] as string,
    pipeline: c['pipeline'] as string,
    ...given('version', body['version'] as string | undefined),
    ...given('on', body['on'] as string | undefined),
    ...given('when', body['when'] as string | undefined),
    ...given('parameters', body['parameters'] as Readonly<Record<string, string>> | undefined),
    ...given('lastFailure', body['lastFailure'] as unknown as StartFailure | undefined),
    active: c['active'] as boolean,
    ofDefinition: body['ofDefinition'] === true,
    createdBy: c['createdBy'] as string,
    createdAt,
    revision,
  };
}

function eventJson(event: StoredEvent): JsonObject {
  const { id, type, subject, payload, correlationId } = event;
  const plain = { id, type, subject, payload, correlationId: correlationId ?? '', time: event.at };
  return plain as unknown as { readonly [key: string]: Json };
}

function checked(asked: NewTrigger): NewTrigger {
  const parsed = shape.safeParse(assertObject(asked, 'triggers.put'));
  if (parsed.success) return asked;
  assertUsable(parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`));
  return asked;
}

function assertUsable(faults: readonly string[]): void {
  if (faults.length === 0) return;
  throw new KeelsonError('INVALID', `This trigger cannot be used: ${faults.join('; ')}.`, {
    details: { faults },
  });
}
