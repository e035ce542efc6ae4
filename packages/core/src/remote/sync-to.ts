import { KeelsonError } from '../errors.ts';
import { digestJson, type JsonObject } from '../json.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Registry } from '../registry/registry.ts';
import type { ActiveRun } from '../tracking/active-run.ts';
import type { Artifact } from '../tracking/artifacts.ts';
import type { Run } from '../tracking/run.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { uuidV7 } from '../uuid.ts';
import type { Link } from './link.ts';
import { missingPoints } from './missing-points.ts';
import { encodePoints, pointsMediaType } from './remote-points.ts';
import { SyncState } from './sync-state.ts';

/** How far a sync has got. */
export interface SyncProgress {
  /** Runs that were looked at, of so many. */
  readonly runs: number;
  readonly total: number;
  readonly points: number;
  readonly bytes: number;
}

/** What a sync did. */
export interface SyncReport {
  /** Runs that something was sent of. */
  readonly runs: number;
  /** Runs that the server had as they are. */
  readonly unchanged: number;
  readonly points: number;
  readonly artifacts: number;
  readonly datasets: number;
  readonly versions: number;
  /** Of artifacts and versions. */
  readonly bytes: number;
  /** Runs that have not ended: they are sent once they have. */
  readonly running: readonly string[];
  /** Runs that could not be sent, and why; the others were. */
  readonly failed: readonly { readonly runId: string; readonly why: string }[];
}

/** One side of a sync. */
export interface SyncSide {
  readonly tracking: Omit<Tracking, 'elsewhere' | 'exportExperiments' | 'importExperiments'>;
  readonly registry: Pick<
    Registry,
    'listModels' | 'listVersions' | 'findModel' | 'register' | 'openFile'
  >;
}

/** What is sent from where to where. */
export interface SyncParts {
  readonly from: SyncSide;
  readonly to: SyncSide;
  readonly link: Link;
  /** Where it is kept what the server has. */
  readonly stateFile: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SyncProgress) => void) | undefined;
}

const batchPoints = 65_536;

/** Brings a platform elsewhere to what another has; see `syncDirectory`. What it sends, it compares first: again is harmless. */
export async function syncTo(parts: SyncParts): Promise<SyncReport> {
  const { from, signal } = parts;
  const state = await SyncState.open(parts.stateFile);
  const tally = {
    runs: 0,
    unchanged: 0,
    points: 0,
    artifacts: 0,
    datasets: 0,
    versions: 0,
    bytes: 0,
  };
  const running: string[] = [];
  const failed: { runId: string; why: string }[] = [];
  const runs = await runsToSend(from.tracking);
  for (const [i, run] of runs.entries()) {
    assertGoingOn(signal);
    parts.onProgress?.({ runs: i, total: runs.length, points: tally.points, bytes: tally.bytes });
    if (run.status === 'RUNNING') {
      running.push(run.id);
      continue;
    }
    try {
      const digest = await digestOf(from, run);
      if (state.has(run.id, digest)) tally.unchanged += 1;
      else {
        await sendRun(parts, run, tally);
        tally.runs += 1;
        await state.keep(run.id, digest);
      }
    } catch (error) {
      assertGoingOn(signal);
      if (isOfTheLine(error)) throw error;
      failed.push({ runId: run.id, why: (error as Error).message });
    }
  }
  await sendVersions(parts, state, tally);
  parts.onProgress?.({
    runs: runs.length,
    total: runs.length,
    points: tally.points,
    bytes: tally.bytes,
  });
  return { ...tally, running, failed };
}

/** Parents before their children. */
async function runsToSend(tracking: SyncSide['tracking']): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for await (const run of tracking.eachRun({ limit: 500 })) runs.push(run);
  const byId = new Map(runs.map((run) => [run.id, run]));
  const depth = (run: Run, seen = 0): number => {
    const parent = run.parentRunId === undefined ? undefined : byId.get(run.parentRunId);
    return parent === undefined || seen > 100 ? 0 : 1 + depth(parent, seen + 1);
  };
  return runs.sort((a, b) => depth(a) - depth(b) || a.startedAt - b.startedAt);
}

/** What a run has, as far as it is sent: where this is the same, there is nothing to send. */
async function digestOf(from: SyncSide, run: Run): Promise<string> {
  const { tracking } = from;
  const summaries = await tracking.getMetricSummaries(run.id);
  const artifacts: string[] = [];
  for await (const each of everyArtifact(from, run.id)) artifacts.push(each.path, factsOf(each));
  const datasets = await tracking.listDatasets(run.id);
  const { heartbeatAt: _, ...rest } = run;
  return digestJson({
    run: rest,
    metrics: summaries.map(({ key, count, last, lastStep }) => [key, count, last, lastStep]),
    artifacts,
    datasets: datasets.map(({ id, role }) => [id, role]),
  });
}

type Tally = { -readonly [K in keyof Omit<SyncReport, 'running' | 'failed'>]: number };

async function sendRun(parts: SyncParts, run: Run, tally: Tally): Promise<void> {
  const { from, to, link, signal } = parts;
  const { name: experiment } = await from.tracking.getExperiment(run.experimentId);
  const path = `/remote/runs/${encodeURIComponent(run.id)}`;
  const isParentThere =
    run.parentRunId !== undefined && (await to.tracking.findRun(run.parentRunId)) !== undefined;
  const started = (await link.call({
    method: 'POST',
    path: '/remote/runs',
    json: {
      id: run.id,
      experiment,
      name: run.name,
      description: run.description,
      startedAt: run.startedAt,
      sourceType: run.sourceType,
      environment: run.environment,
      params: await from.tracking.getParams(run.id),
      tags: run.tags,
      ...(isParentThere ? { parentRunId: run.parentRunId } : {}),
      ...(run.sourceName === undefined ? {} : { sourceName: run.sourceName }),
      ...(run.sourceVersion === undefined ? {} : { sourceVersion: run.sourceVersion }),
    },
    signal,
  })) as JsonObject;
  const isNew = started['created'] === true;
  if (!isNew) await openAnew(parts, run);
  // From here on it is told to live, however long its points take.
  const handle = await to.tracking.joinRun(run.id);
  await sendPoints(parts, run, isNew, tally);
  await sendArtifacts(parts, handle, isNew, tally);
  const there = isNew ? [] : await to.tracking.listDatasets(run.id);
  for (const { id, ...dataset } of await from.tracking.listDatasets(run.id)) {
    if (there.some((each) => each.id === id && each.role === dataset.role)) continue;
    await link.call({ method: 'POST', path: `${path}/datasets`, json: dataset, signal });
    tally.datasets += 1;
  }
  const { status, statusReason, endedAt } = run;
  await handle.finish(
    status === 'RUNNING' ? 'COMPLETED' : status,
    statusReason,
    endedAt === undefined ? {} : { endedAt },
  );
}

/** Of a run that the server has: what is open to change, and the run itself where there is more to come. */
async function openAnew({ to, link, signal }: SyncParts, run: Run): Promise<void> {
  const there = await to.tracking.getRun(run.id);
  const path = `/remote/runs/${encodeURIComponent(run.id)}`;
  const isChanged = there.name !== run.name || there.description !== run.description;
  if (isChanged) {
    await to.tracking.updateRun(run.id, { name: run.name, description: run.description });
  }
  const gone = Object.keys(there.tags).filter((key) => !Object.hasOwn(run.tags, key));
  if (gone.length > 0) await to.tracking.removeRunTags(run.id, gone);
  if (Object.keys(run.tags).length > 0) await to.tracking.setRunTags(run.id, run.tags);
  await link.call({ method: 'POST', path: `${path}/join`, json: { resume: true }, signal });
  const params = Object.entries(run.params).filter(
    ([key, value]) => digestJson([there.params[key] ?? null]) !== digestJson([value]),
  );
  if (params.length === 0) return;
  const json = { params: Object.fromEntries(params) };
  await link.call({ method: 'POST', path: `${path}/params`, json, once: true, signal });
}

async function sendPoints(
  { from, to, link, signal }: SyncParts,
  run: Run,
  isNew: boolean,
  tally: Tally,
): Promise<void> {
  const there = isNew ? [] : await to.tracking.getMetricSummaries(run.id);
  const counts = new Map(there.map(({ key, count }) => [key, count]));
  // Numbered anew: a batch that was sent by a sync that was killed is not told from by its number, but by its points.
  const writer = `sync:${uuidV7()}`;
  let sequence = 0;
  for (const { key, count } of await from.tracking.getMetricSummaries(run.id)) {
    if (counts.get(key) === count) continue;
    const here = await from.tracking.getMetricHistory(run.id, key);
    const known = counts.has(key) ? await to.tracking.getMetricHistory(run.id, key) : undefined;
    const missing = missingPoints(here, known);
    for (let at = 0; at < missing.steps.length; at += batchPoints) {
      assertGoingOn(signal);
      const steps = missing.steps.subarray(at, at + batchPoints);
      sequence += 1;
      const bytes = encodePoints({
        ...{ writer, sequence, series: [{ runId: run.id, key }] },
        seriesIndex: new Uint32Array(steps.length),
        steps,
        timestamps: missing.timestamps.subarray(at, at + batchPoints),
        values: missing.values.subarray(at, at + batchPoints),
      });
      const body = bytes as NonNullable<RequestInit['body']>;
      const path = '/remote/points';
      await link.call({
        method: 'POST',
        path,
        bytes: () => body,
        mediaType: pointsMediaType,
        signal,
      });
      tally.points += steps.length;
    }
  }
}

async function sendArtifacts(
  { from, to, signal }: SyncParts,
  run: ActiveRun,
  isNew: boolean,
  tally: Tally,
): Promise<void> {
  const there = new Map<string, Artifact>();
  if (!isNew) for await (const each of everyArtifact(to, run.id)) there.set(each.path, each);
  for await (const each of everyArtifact(from, run.id)) {
    assertGoingOn(signal);
    const { path, sizeBytes, type, mimeType, metadata } = each;
    if (factsOf(there.get(path)) === factsOf(each)) continue;
    const bytes = await from.tracking.openArtifact(run.id, path);
    const said = { type, mimeType, metadata, onConflict: 'replace' } as const;
    await run.logArtifact(path, bytes, { ...said, ...(signal === undefined ? {} : { signal }) });
    tally.artifacts += 1;
    tally.bytes += sizeBytes;
  }
}

/** What there is to an artifact, beside where and when. */
function factsOf(artifact: Artifact | undefined): string {
  if (artifact === undefined) return '';
  const { sha256, type, mimeType, metadata } = artifact;
  return digestJson([sha256, type, mimeType, metadata]);
}

async function* everyArtifact({ tracking }: SyncSide, runId: string): AsyncGenerator<Artifact> {
  let cursor: string | undefined;
  do {
    const page = await tracking.listArtifacts(runId, cursor === undefined ? {} : { cursor });
    yield* page.artifacts;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** Versions by model and number; one that the server has of the same files stays as it is there. */
async function sendVersions(parts: SyncParts, state: SyncState, tally: Tally): Promise<void> {
  const { from, to, signal } = parts;
  for (const { name } of await from.registry.listModels()) {
    const model = await to.registry.findModel(name);
    const there = model === undefined ? [] : await to.registry.listVersions(name);
    for (const version of await from.registry.listVersions(name)) {
      assertGoingOn(signal);
      const digest = digestJson(version.files.map(({ path, sha256 }) => [path, sha256]));
      if (state.has(version.id, digest)) continue;
      const isThere = there.some((each) => each.version === version.version);
      if (!isThere) {
        await registerThere(parts, version);
        tally.versions += 1;
        tally.bytes += version.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      }
      await state.keep(version.id, digest);
    }
  }
}

async function registerThere(
  { from, to, signal }: SyncParts,
  version: ModelVersion,
): Promise<void> {
  const open = (path: string): AsyncIterable<Uint8Array> => ({
    async *[Symbol.asyncIterator]() {
      yield* await from.registry.openFile(version.id, path);
    },
  });
  const files = version.files.map(({ path }) => [path, open(path)]);
  await to.registry.register({
    model: version.model,
    version: version.version,
    from: { files: Object.fromEntries(files) },
    format: version.format,
    metrics: version.metrics,
    tags: version.tags,
    description: version.description,
    lineage: version.lineage,
    ...(version.signature === undefined ? {} : { signature: version.signature }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Without a line, or a right, the next run fares no better. */
function isOfTheLine(error: unknown): boolean {
  const code = error instanceof KeelsonError ? error.code : undefined;
  return code === 'UNAVAILABLE' || code === 'FORBIDDEN' || code === 'CLOSED' || code === undefined;
}

function assertGoingOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new KeelsonError('ABORTED', 'The sync was aborted; run it again, and it goes on.', {
    cause: signal.reason,
  });
}
