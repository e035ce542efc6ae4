import type { HealthCheck } from '../../contracts/caretaker.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Notifier } from '../../contracts/ports.ts';
import type { PredictionSink } from '../../contracts/prediction-sink.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { columnIs } from '../../operations/every-record.ts';
import { schedules } from '../../operations/health/check-schedules.ts';
import type { TurnPart } from './alerting-loop.ts';
import { duration } from './judge-rule.ts';
import type { RuleSights } from './rule-sights.ts';

/** A sign of life: where it stops, somebody outside of the platform notices. */
export interface Heartbeat {
  /** Such as a webhook of a dead man's switch. Not among the platform's notifiers. */
  readonly to: Notifier;
  /** 60,000 when left out. */
  readonly everyMs?: number;
}

/** What is behind, and since when. */
interface Stall {
  readonly job: string;
  readonly lagMs: number;
  readonly message: string;
}

const [kind, id] = ['alerting_turn', 'self-watch'];
const everyMs = 60_000;
const slowDeliveryMs = 15 * 60_000;
const brokenRuleMs = 10 * 60_000;
const manyPending = 50_000;
/** Each process has a log of its own. */
const logJob = 'prediction-log-';
/** What a process has said is forgotten then: it may have died. */
const saidMs = 3_600_000;

/** Looks once a minute at what monitoring itself does, and tells when it falls behind and when it has recovered. */
export function createSelfWatch(
  scope: Scope,
  parts: { readonly sights: RuleSights; predictions(): PredictionSink },
): TurnPart {
  const { metadata, workspace } = scope;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let droppedBefore = 0;
  const ownLog = `${logJob}${scope.ids.next()}`;

  async function slowDeliveries(now: number): Promise<readonly Stall[]> {
    const { records } = await metadata.query(workspace, 'delivery', {
      where: columnIs('state', 'PENDING'),
      orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'asc' }],
      limit: 100,
    });
    const oldest = new Map<string, number>();
    for (const { columns, body } of records) {
      const { at } = body['notification'] as { readonly at: number };
      const name = columns['notifier'] as string;
      oldest.set(name, Math.min(oldest.get(name) ?? at, at));
    }
    return [...oldest].flatMap(([name, at]) => {
      const lagMs = now - at;
      if (lagMs < slowDeliveryMs) return [];
      const message = `The notifier ${name} has not taken what it was to tell for ${duration(lagMs)}; operations.notifications.test('${name}') says what is wrong.`;
      return [{ job: `notifier-${name}`, lagMs, message }];
    });
  }

  async function brokenRules(now: number): Promise<readonly Stall[]> {
    const broken = (await parts.sights.list()).filter(
      ({ sight, since }) => sight === 'ERROR' && now - since >= brokenRuleMs,
    );
    const [first] = broken;
    if (first === undefined) return [];
    const lagMs = now - Math.min(...broken.map(({ since }) => since));
    const message = `${broken.length} alert rules cannot be evaluated, ${first.rule} among them: ${first.message ?? 'no reason is known'}`;
    return [{ job: 'alert-rules', lagMs, message }];
  }

  function slowPredictions(): readonly Stall[] {
    const { pending, dropped, lastError } = parts.predictions().health();
    const lost = dropped - droppedBefore;
    droppedBefore = dropped;
    if (lost <= 0 && pending <= manyPending) return [];
    const why = lastError === undefined ? '' : `: ${lastError}`;
    const message = `${pending} predictions of this process wait, ${Math.max(0, lost)} were lost in the last minute${why}.`;
    return [{ job: ownLog, lagMs: 0, message }];
  }

  return async (now) => {
    if (now - lookedAt < everyMs) return undefined;
    lookedAt = now;
    const found = [
      ...(await slowDeliveries(now)),
      ...(await brokenRules(now)),
      ...slowPredictions(),
    ];
    const record = await metadata.find(workspace, kind, id);
    const before = (record?.body['stalled'] ?? {}) as Readonly<Record<string, number>>;
    // What another process said of its own log, it takes back itself; one that has died does not.
    const others = Object.entries(before).filter(
      ([job, since]) => job.startsWith(logJob) && job !== ownLog && now - since < saidMs,
    );
    const after: Readonly<Record<string, number>> = {
      ...Object.fromEntries(others),
      ...Object.fromEntries(found.map(({ job }) => [job, before[job] ?? now])),
    };
    const fresh = found.filter(({ job }) => before[job] === undefined);
    const over = Object.entries(before).filter(([job]) => after[job] === undefined);
    if (fresh.length === 0 && over.length === 0) return undefined;
    const body = asJson({ stalled: after }) as JsonObject;
    const keep: Change =
      record === undefined
        ? { op: 'create', kind, id, columns: { dueAt: Number.MAX_SAFE_INTEGER }, body }
        : { op: 'replace', kind, id, expect: record.revision, body };
    const emit = <T extends 'monitoring.stalled' | 'monitoring.recovered'>(
      type: T,
      job: string,
      payload: Parameters<typeof draftEvent<T>>[1]['payload'],
    ): Change => {
      const said = { type, subject: `monitoring:${job}`, source: 'monitoring' };
      return { op: 'emit', event: draftEvent<T>(scope, { ...said, payload }) };
    };
    try {
      await commitChanges(scope, [
        keep,
        ...fresh.map((stall) => emit('monitoring.stalled', stall.job, stall)),
        ...over.map(([job, since]) =>
          emit('monitoring.recovered', job, { job, lastedMs: Math.max(0, now - since) }),
        ),
      ]);
    } catch (error) {
      // Another process has told it.
      if (!isKeelsonError(error, 'STALE', 'CONFLICT')) throw error;
    }
    return undefined;
  };
}

/** Sends a sign of life after each turn that came to its end. A receiver that is away is told of in the log, and no more. */
export function createHeartbeat(scope: Scope, { to, everyMs: beat = 60_000 }: Heartbeat): TurnPart {
  let sentAt = Number.NEGATIVE_INFINITY;
  return async (now, signal) => {
    if (now - sentAt < beat) return sentAt + beat;
    sentAt = now;
    const event = scope.ids.next();
    try {
      await to.notify(
        {
          ...{
            id: event,
            type: 'monitoring.heartbeat',
            key: 'monitoring.heartbeat',
            state: 'OPEN',
          },
          ...{ severity: 'INFO', at: now, title: 'Alert rules are evaluated', text: '' },
          ...{ details: { workspace: scope.workspace }, correlationId: event },
        } as const,
        AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
      );
    } catch (error) {
      const fields = { component: 'monitoring', notifier: to.name, error };
      scope.logger.warn(fields, 'The heartbeat of alerting was not taken.');
    }
    return now + beat;
  };
}

const lateMs = 120_000;

/** Whether somebody evaluates the alert rules that there are. */
export function evaluationCheck(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'clock'>,
): HealthCheck {
  return {
    ...schedules.shallow,
    ...{ component: 'monitoring', critical: false, kind: 'readiness', shared: true },
    name: 'alert evaluation',
    async run() {
      const { metadata, workspace, clock } = scope;
      const where: Predicate = columnIs('enabled', true);
      const rules = await metadata.query(workspace, 'alert_rule', { where, limit: 1, body: false });
      if (rules.records.length === 0)
        return { status: 'HEALTHY', message: 'There are no alert rules.' };
      const [first] = rules.records;
      const turn = await metadata.find(workspace, kind, 'alerting');
      const dueAt = (turn?.columns['dueAt'] as number | undefined) ?? first?.createdAt ?? 0;
      const lag = Math.max(0, clock.now() - dueAt);
      const details = { lagMs: lag };
      if (lag < lateMs)
        return { status: 'HEALTHY', message: 'Alert rules are evaluated.', details };
      const message = `No process has evaluated the alert rules for ${duration(lag)}: platform.start() in one of them does, unless its store is away.`;
      return { status: 'DEGRADED', message, details };
    },
  };
}
