import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { asJson, type Json, type JsonObject } from '../json.ts';

/** A time in which a deployment's monitor raised no alert, since its traffic went back to an earlier version. */
export interface MonitorWindow {
  /** The switch. */
  readonly from: number;
  /** The end of the watch after it. */
  readonly until: number;
  readonly reason: string;
  /** What was left: what it has answered until then says nothing of the version that answers now. */
  readonly versionId: string;
  /** Of the watch, where there is one. */
  readonly watchId?: string;
}

/** What the rules knew when a rollout began. */
interface Held {
  readonly rolloutId: string;
  readonly referenceSetAt: number;
  readonly states: Json;
}

interface MonitorBody {
  readonly states: Json;
  readonly windows?: readonly MonitorWindow[];
  readonly held?: Held;
}

type MonitorScope = Pick<Scope, 'metadata' | 'workspace'>;

/** How many windows a monitor keeps. */
const mostWindows = 50;

/** Keeps what the rules know, so that they may forget what a rollout shows them. */
export function monitorHeld(
  scope: MonitorScope,
  deploymentId: string,
  rolloutId: string,
): Promise<readonly Change[]> {
  return changed(scope, deploymentId, ({ body, columns }) => {
    const { states } = bodyOf(body);
    const referenceSetAt = columns['referenceSetAt'] as number;
    return { ...bodyOf(body), held: { rolloutId, referenceSetAt, states } };
  });
}

/** A rollout has come to its end: what it has shown counts. */
export function monitorReleased(
  scope: MonitorScope,
  deploymentId: string,
): Promise<readonly Change[]> {
  return changed(scope, deploymentId, ({ body }) => {
    const { held, ...rest } = bodyOf(body);
    return held === undefined ? undefined : rest;
  });
}

/**
 * Suspends the rules for a window and marks it; they know again what they knew before the rollout that is turned
 * back, unless they were given another reference since.
 */
export function monitorSuspended(
  scope: MonitorScope,
  deploymentId: string,
  window: MonitorWindow,
  rolloutId?: string,
): Promise<readonly Change[]> {
  return changed(scope, deploymentId, ({ body, columns }) => {
    const { held, windows = [], ...rest } = bodyOf(body);
    const knows = held?.referenceSetAt === columns['referenceSetAt'];
    const back = held !== undefined && held.rolloutId === rolloutId && knows;
    return {
      ...rest,
      ...(back ? { states: held.states } : {}),
      windows: [...windows, window].slice(-mostWindows),
    };
  });
}

/** The window of a watch lasts until another time. */
export function monitorWindowMoved(
  scope: MonitorScope,
  deploymentId: string,
  watchId: string,
  until: number,
): Promise<readonly Change[]> {
  return changed(scope, deploymentId, ({ body }) => {
    const { windows = [] } = bodyOf(body);
    const moved = windows.some((each) => each.watchId === watchId && each.until !== until);
    if (!moved) return undefined;
    const now = windows.map((each) => (each.watchId === watchId ? { ...each, until } : each));
    return { ...bodyOf(body), windows: now };
  });
}

/** Nothing where the deployment is not monitored, or nothing changes. */
async function changed(
  { metadata, workspace }: MonitorScope,
  id: string,
  change: (record: StoredRecord) => MonitorBody | undefined,
): Promise<readonly Change[]> {
  const record = await metadata.find(workspace, 'monitor', id);
  const body = record && change(record);
  if (record === undefined || body === undefined) return [];
  const expect = record.revision;
  return [{ op: 'replace', kind: 'monitor', id, expect, body: asJson(body) as JsonObject }];
}

function bodyOf(body: JsonObject): MonitorBody {
  return body as unknown as MonitorBody;
}
