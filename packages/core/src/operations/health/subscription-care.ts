import type { Caretaker, Recovery } from '../../contracts/caretaker.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Scope } from '../../contracts/scope.ts';
import { lagOf, namedSubscriptions } from '../../events/subscription-records.ts';
import { schedules } from './check-schedules.ts';

const stalledMs = 300_000;
/** A hundred events each: whoever emits without end shall not keep a recovery for ever. */
const maxRounds = 1000;

/** How far behind a subscription is. */
interface Lag {
  readonly subscription: string;
  readonly lagMs: number;
}

/** Looks after subscriptions: those whose next event has waited for long are handed over here, if they can be. */
export function subscriptionCare(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  loops: () => readonly Loop[],
): Caretaker {
  return {
    component: 'events',
    checks: [
      {
        ...schedules.deep,
        failureThreshold: 1,
        name: 'subscriptions',
        component: 'events',
        kind: 'deep',
        critical: false,
        shared: true,
        async run(signal) {
          const lags = await lagsOf(scope, signal);
          const letters = await scope.metadata.count(scope.workspace, 'dead_letter', undefined);
          const stalled = lags.filter(({ lagMs }) => lagMs > stalledMs);
          const details = {
            subscriptions: lags.length,
            longestLagMs: Math.max(0, ...lags.map(({ lagMs }) => lagMs)),
            deadLetters: letters.count,
          };
          if (stalled.length === 0) {
            return { status: 'HEALTHY', message: 'Events are handed over.', details };
          }
          const names = stalled
            .slice(0, 10)
            .map(({ subscription, lagMs }) => `${subscription} (${Math.round(lagMs / 1000)} s)`);
          const message = `Events wait for ${names.join(', ')}.`;
          return { status: 'DEGRADED', message, details };
        },
      },
    ],
    recoveries: [handOver(scope, loops)],
  };
}

/** Has events handed over by whatever subscriptions this process has. */
function handOver(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  loops: () => readonly Loop[],
): Recovery {
  return {
    name: 'hand over events',
    priority: 50,
    canHandle: ({ check }) => check === 'subscriptions',
    async run(signal) {
      for (const loop of loops()) {
        for (let round = 0; round < maxRounds && !signal.aborted; round += 1) {
          if (!(await loop.runOnce(signal))) break;
        }
      }
      const stalled = (await lagsOf(scope, signal)).filter(({ lagMs }) => lagMs > stalledMs);
      if (stalled.length === 0) return { outcome: 'SUCCESS', message: 'Nothing waits any more.' };
      const names = stalled.map(({ subscription }) => subscription).join(', ');
      const mine = loops().map(({ name }) => name);
      const foreign = stalled.every(
        ({ subscription }) => !mine.includes(`subscription:${subscription}`),
      );
      if (!foreign) return { outcome: 'PARTIAL', message: `Events still wait for ${names}.` };
      return {
        outcome: 'MANUAL_REQUIRED',
        message: `No handler of ${names} is in this process.`,
        steps: [
          `Start a process that subscribes as ${names} and calls platform.start().`,
          'Where nobody needs it any more, call platform.events.removeSubscription().',
        ],
      };
    },
  };
}

async function lagsOf(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  signal: AbortSignal,
): Promise<readonly Lag[]> {
  const lags: Lag[] = [];
  for (const { name, types } of await namedSubscriptions(scope)) {
    signal.throwIfAborted();
    lags.push({ subscription: name, lagMs: await lagOf(scope, name, types) });
  }
  return lags;
}
