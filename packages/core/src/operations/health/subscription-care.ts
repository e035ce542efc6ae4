import type { Caretaker, Recovery } from '../../contracts/caretaker.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { columnIs, everyRecord } from '../every-record.ts';
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
          'Where nobody needs the subscription any more, remove its record.',
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
  for await (const record of everyRecord(scope, 'subscription', { signal })) {
    lags.push(await lagOf(scope, record));
  }
  return lags;
}

async function lagOf(
  { metadata, workspace, clock }: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
  record: StoredRecord,
): Promise<Lag> {
  const subscription = record.columns['name'] as string;
  const cursor = record.columns['cursor'] as string | undefined;
  const where = columnIs('subscription', subscription);
  const interest = await metadata.query(workspace, 'event_interest', { where, limit: 1 });
  const types = interest.records[0]?.body['types'] as readonly string[] | undefined;
  // Whose types nobody has noted, nobody can say what waits for it.
  if (types === undefined || types.length === 0) return { subscription, lagMs: 0 };
  const { events } = await metadata.readEvents({
    ...{ workspace, filter: { types }, limit: 1 },
    ...(cursor === undefined ? {} : { after: cursor }),
  });
  const [first] = events;
  return { subscription, lagMs: first === undefined ? 0 : Math.max(0, clock.now() - first.at) };
}
