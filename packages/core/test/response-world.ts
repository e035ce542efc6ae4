import type { StoredEvent } from '../src/contracts/event.ts';
import type { Scope } from '../src/contracts/scope.ts';
import { withCorrelation } from '../src/events/correlation.ts';
import { draftEvent } from '../src/events/draft-event.ts';
import type { Trouble } from '../src/monitoring/responses/response-decision.ts';
import { createResponses, type Responses } from '../src/monitoring/responses/responses.ts';
import { platformKinds } from '../src/platform-kinds.ts';
import { ownerText } from '../src/process-owner.ts';
import { openTestScope } from './open-test-scope.ts';
import { openRolloutWorld, type RolloutWorld } from './rollout-world.ts';

/** The world of rollouts with responses whose every step a test takes itself. */
export interface ResponseWorld extends RolloutWorld {
  readonly responses: Responses;
  readonly scope: Scope;
  readonly deploymentId: string;
  /** An alert's event, as it is stored; nobody has handled it. */
  alert(payload?: Partial<Record<keyof Trouble | 'kind', unknown>>): Promise<StoredEvent>;
  /** Any event of the deployment. */
  emit(type: string, payload: Readonly<Record<string, unknown>>): Promise<StoredEvent>;
  /** Hands an event to what decides, as a delivery would. */
  deliver(event: StoredEvent): Promise<void>;
  /** What carries out acts, and calendars, once each. */
  act(): Promise<void>;
  /** As another process would have them: nothing is in its memory. */
  another(): Promise<ResponseWorld>;
}

export async function openResponseWorld(): Promise<ResponseWorld> {
  const world = await openRolloutWorld();
  const { id: deploymentId } = await world.deployments.get('api');
  const opened: AsyncDisposable[] = [];

  async function over(): Promise<ResponseWorld> {
    const { scope, ...test } = await openTestScope({
      ...{ kinds: platformKinds, dir: world.dir, clock: { now: world.now } },
    });
    opened.push(test);
    const { pipelines, deployments, registry, tracking, monitoring } = world.platform;
    const owners = { self: `${ownerText()}:${opened.length}`, dead: () => [] };
    let handle: ((event: StoredEvent) => Promise<void>) | undefined;
    const events = {
      async subscribe(_name: string, _options: object, handler: typeof handle): Promise<void> {
        handle = handler;
      },
      deliver: async () => false,
    };
    const { loops: running, ...responses } = createResponses(scope, monitoring, {
      ...{ pipelines, deployments, registry, tracking, owners, events },
    });
    const { signal } = new AbortController();

    async function emit(
      type: string,
      payload: Readonly<Record<string, unknown>>,
    ): Promise<StoredEvent> {
      const correlationId = scope.ids.next();
      return withCorrelation({ correlationId }, async () => {
        const event = draftEvent(scope, {
          ...{ type, subject: 'deployment:api', source: 'test', payload: payload as never },
        });
        const { workspace, principal } = scope;
        await scope.metadata.commit({
          ...{ workspace, principal: principal.id, changes: [{ op: 'emit', event }] },
          correlationId,
        });
        const all = await Array.fromAsync(world.platform.events.each({ correlationId }));
        return all[0] as StoredEvent;
      });
    }

    return {
      ...{ ...world, responses, scope, deploymentId, emit },
      alert(payload = {}) {
        return emit('alert.triggered', {
          ...{ alertId: scope.ids.next(), deployment: 'api', deploymentId, rule: 'accuracy' },
          ...{ severity: 'WARNING', kind: 'CONCEPT_DRIFT', summary: 'accuracy fell' },
          ...{ at: world.now(), ...payload },
        });
      },
      async deliver(event) {
        // The subscription is made with the first policy.
        if (handle === undefined) await running[0]?.runOnce(signal);
        await handle?.(event);
      },
      async act() {
        for (const loop of running) await loop.runOnce(signal);
      },
      another: over,
    };
  }

  const first = await over();
  return {
    ...first,
    async [Symbol.asyncDispose]() {
      for (const each of opened) await each[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
    },
  };
}
