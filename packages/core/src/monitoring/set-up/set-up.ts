import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Route } from '../../contracts/traffic-router.ts';
import { type Deployment, deploymentFromRecord, mainTarget } from '../../deployments/deployment.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { assertAllowed, decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import type { Alerts } from '../alerting/alerts.ts';
import type { Baselines } from '../baselines/baselines.ts';
import type { EndpointMetrics } from '../metrics/metrics.ts';
import { firstBaseline, firstWindow } from './first-baseline.ts';
import {
  checkSetUp,
  type MonitoringSetUp,
  type SetUpOptions,
  setUpFromRecord,
  type VersionSetUp,
} from './set-up-record.ts';

/** What deployments are watched for without anybody asking. */
export interface SetUpService {
  /**
   * Changes what is set up of a deployment by itself; what is left out stays. `false` forbids it: no baselines are made,
   * and its preset rules are taken away. `true`: as it comes. It may be said before there is a deployment of that name.
   */
  setUp(deployment: string, options: SetUpOptions | boolean): Promise<MonitoringSetUp>;
  /** NOT_FOUND where nothing was set up or said yet. */
  getSetUp(deployment: string): Promise<MonitoringSetUp>;
}

/** The work behind {@link SetUpService}. */
export interface SetUpWork extends SetUpService {
  /** Brings what is set up of a deployment into line with what it is now; any number of times, early or late. */
  follow(deployment: string): Promise<void>;
  /** Gives the versions that wait a baseline, as far as there are predictions; answers whether any got one. */
  fillWaiting(signal: AbortSignal): Promise<boolean>;
}

/** The preset rules of a deployment. */
export interface PresetRules {
  /** Sets those that are in force, takes the others away; answers their names. */
  set(
    deployment: { readonly id: string; readonly name: string },
    team: string | undefined,
    options: SetUpOptions,
  ): Promise<readonly string[]>;
  remove(deployment: string): Promise<void>;
}

/** What set-up stands on. */
export interface SetUpParts {
  readonly baselines: Baselines;
  readonly metrics: EndpointMetrics['metrics'];
  readonly alerts: Pick<Alerts, 'open' | 'resolve'>;
  readonly rules?: PresetRules;
  /** Told of a deployment whose settings have changed. */
  readonly changed: (deploymentId: string) => void;
}

const kind = 'monitoring_set_up';

/** {@link SetUpWork} of a scope. */
export function createSetUp(scope: Scope, parts: SetUpParts): SetUpWork {
  const { metadata, workspace } = scope;

  async function recordOf(name: string): Promise<StoredRecord | undefined> {
    const where = columnIs('deploymentName', name);
    return (await metadata.query(workspace, kind, { where, limit: 1 })).records[0];
  }

  async function deploymentOf(name: string): Promise<Deployment | undefined> {
    const query = { where: columnIs('name', name), limit: 1, facets: ['tags'] };
    const { records } = await metadata.query(workspace, 'deployment', query);
    return records[0] && deploymentFromRecord(records[0]);
  }

  /** Writes what is set up of a name, as it is decided on what is there. */
  async function write(
    name: string,
    decide: (before: MonitoringSetUp | undefined) => MonitoringSetUp,
  ): Promise<MonitoringSetUp> {
    const attempt = (): Promise<MonitoringSetUp> =>
      decideAndCommit(scope, async () => {
        const record = await recordOf(name);
        const before = record && setUpFromRecord(record);
        const after = decide(before);
        if (JSON.stringify(before) === JSON.stringify(after)) return { changes: [], result: after };
        return { changes: [changeTo(after, record)], result: after };
      });
    try {
      return await attempt();
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
      return await attempt();
    }
  }

  function changeTo(after: MonitoringSetUp, record: StoredRecord | undefined): Change {
    const { deployment, deploymentId, state, ...rest } = after;
    const waits = Object.values(after.versions).some(({ baseline }) => baseline === 'waiting');
    const columns = { deploymentId, state, waits: waits && state === 'ACTIVE' };
    const body = asJson(rest) as JsonObject;
    if (record === undefined) {
      const all = { ...columns, deploymentName: deployment };
      return { op: 'create', kind, id: scope.ids.next(), columns: all, body };
    }
    return { op: 'replace', kind, id: record.id, expect: record.revision, columns, body };
  }

  async function follow(name: string): Promise<void> {
    const deployment = await deploymentOf(name);
    if (deployment === undefined || deployment.status === 'TERMINATING') {
      await end(name, deployment);
      return;
    }
    // It has never answered: it may never do.
    if (deployment.status === 'CREATING') return;
    const record = await recordOf(name);
    const before = record && setUpFromRecord(record);
    if (before?.state === 'FORBIDDEN') return;
    const { id } = deployment;
    const options = before?.options ?? {};
    // Of a deployment of that name which is gone nothing holds.
    const known = before?.deploymentId === id ? before.versions : {};
    const versions = await versionsOf(deployment, options, known);
    const team = teamOf(deployment, options);
    const rules = (await parts.rules?.set(deployment, team, options)) ?? [];
    await write(name, (now) => {
      if (now?.state === 'FORBIDDEN') return now;
      const waited = now?.deploymentId === id ? now.versions : {};
      return {
        ...{ deployment: name, deploymentId: id, state: 'ACTIVE', options: now?.options ?? {} },
        ...{ versions: { ...versions, ...settled(waited) }, team, rules },
      };
    });
    parts.changed(id);
  }

  /** What becomes of each version that requests go to. */
  async function versionsOf(
    deployment: Deployment,
    options: SetUpOptions,
    known: MonitoringSetUp['versions'],
  ): Promise<Readonly<Record<string, VersionSetUp>>> {
    const route = await metadata.find(workspace, 'route', deployment.id);
    if (route === undefined) return known;
    const { targets, ...rest } = route.body as unknown as Route;
    const former = mainTarget({ targets, ...rest });
    const answering = targets.filter(({ weightPercent }) => weightPercent > 0);
    const found: Record<string, VersionSetUp> = { ...known };
    // The one that has been there first: others may take over what it has.
    const ids = answering.map(({ versionId }) => versionId);
    const ordered = [...ids.filter((id) => known[id]), former, ...ids];
    for (const versionId of new Set(ordered)) {
      const was = known[versionId]?.baseline;
      const stays = was === 'waiting' ? options.baseline !== false : was !== 'none';
      if (was !== undefined && stays) continue;
      const formerId = Object.keys(found).findLast((id) => id !== versionId);
      const since = scope.clock.now();
      const version = { deployment, versionId, formerId, options, since };
      found[versionId] = await firstBaseline(scope, parts, version);
    }
    return found;
  }

  /** Rules resolve, data stay. */
  async function end(name: string, deployment: Deployment | undefined): Promise<void> {
    const record = await recordOf(name);
    const before = record && setUpFromRecord(record);
    const id = deployment?.id ?? before?.deploymentId;
    if (id !== undefined) {
      await decideAndCommit(scope, async () => {
        const open = await parts.alerts.open(id);
        const at = scope.clock.now();
        const changes = open.flatMap((alert) =>
          parts.alerts.resolve(alert, at, 'the deployment was removed'),
        );
        return { changes, result: undefined };
      });
    }
    if (before === undefined || before.state === 'ENDED' || before.state === 'WISHED') return;
    await parts.rules?.remove(name);
    // What was forbidden stays so for the next of that name.
    if (before.state === 'FORBIDDEN') return;
    await write(name, (now) => ({ ...(now ?? before), state: 'ENDED', rules: [] }));
  }

  async function setUp(name: string, options: SetUpOptions | boolean): Promise<MonitoringSetUp> {
    assertText(name, 'A deployment name');
    checkSetUp(options);
    await assertAllowed(scope, 'monitor.manage', `deployment:${name}`);
    // Segments are counted from the first prediction on, also before it is known to answer.
    const id = (await deploymentOf(name))?.id;
    const set = await write(name, (before) => {
      const isOther = id !== undefined && id !== before?.deploymentId;
      const { state = 'WISHED', ...rest } = before ?? { versions: {}, rules: [] };
      const own = isOther ? { ...rest, versions: {}, deploymentId: id } : rest;
      const kept = { ...own, deployment: name };
      if (options === false) return { ...kept, options: {}, state: 'FORBIDDEN', rules: [] };
      const given = options === true ? {} : { ...before?.options, ...options };
      return { ...kept, options: given, state: state === 'FORBIDDEN' ? 'WISHED' : state };
    });
    if (options === false) await parts.rules?.remove(name);
    else await follow(name);
    if (set.deploymentId !== undefined) parts.changed(set.deploymentId);
    return getSetUp(name);
  }

  async function getSetUp(name: string): Promise<MonitoringSetUp> {
    assertText(name, 'A deployment name');
    const record = await recordOf(name);
    if (record !== undefined) return setUpFromRecord(record);
    throw new KeelsonError(
      'NOT_FOUND',
      `Nothing was set up for a deployment ${JSON.stringify(name)}: it is by itself once it answers, or by monitoring.setUp.`,
    );
  }

  async function fillWaiting(signal: AbortSignal): Promise<boolean> {
    let filled = false;
    let fault: unknown;
    const where = columnIs('waits', true);
    for await (const record of everyRecord(scope, kind, { where, signal })) {
      const { deployment: name, deploymentId: id, options, versions } = setUpFromRecord(record);
      for (const [versionId, { baseline, since }] of Object.entries(versions)) {
        if (id === undefined || baseline !== 'waiting') continue;
        const deployment = { id, name };
        const version = { deployment, versionId, formerId: undefined, options, since };
        try {
          if (!(await firstWindow(scope, parts, version))) continue;
        } catch (error) {
          // One of which nothing can be watched keeps no other waiting.
          fault ??= error;
          continue;
        }
        filled = true;
        await write(name, (now) => {
          const set = now ?? setUpFromRecord(record);
          const done: VersionSetUp = { baseline: 'first-window', since };
          return { ...set, versions: { ...set.versions, [versionId]: done } };
        });
      }
    }
    if (fault !== undefined) throw fault;
    return filled;
  }

  return { setUp, getSetUp, follow, fillWaiting };
}

/** Versions that have what they are to have. */
function settled(versions: MonitoringSetUp['versions']): MonitoringSetUp['versions'] {
  return Object.fromEntries(
    Object.entries(versions).filter(([, { baseline }]) => !['waiting', 'none'].includes(baseline)),
  );
}

function teamOf({ tags, createdBy }: Deployment, { team }: SetUpOptions): string {
  return team ?? tags['team'] ?? tags['owner'] ?? createdBy;
}
