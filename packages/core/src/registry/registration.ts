import type { Change } from '../contracts/metadata-store.ts';
import type { ModelSignature } from '../contracts/model-runtime.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { draftEvent } from '../events/draft-event.ts';
import { asJson, digestJson } from '../json.ts';
import { versionKey } from '../language/version-order.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { optional, type Run } from '../tracking/run.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { type ContentFacts, contentFacts } from './content-facts.ts';
import { healingOf } from './damage.ts';
import { gatherFiles, keepFiles } from './gather-files.ts';
import { lineageChanges, lineageOf } from './lineage-edges.ts';
import { findModel, is, lacks, readVersionById } from './model-records.ts';
import type { ModelFile, ModelLineage, ModelOrigin, ModelVersion } from './model-version.ts';
import { modelCreated, nameTaken } from './models.ts';
import { greaterVersion, nextVersion } from './next-version.ts';
import { assertRegisterOptions, type RegisterOptions } from './register-options.ts';
import { signatureBreaks } from './signature-breaks.ts';
import { type StepOrigins, stepOrigins } from './step-origins.ts';

/**
 * Registers a version: content first, verified; then one commit allots the number and the version,
 * READY. Killed before the commit, nothing is there. The same content from the same run (or under the
 * same explicit version) answers the version that exists; other content under it is a CONFLICT.
 */
export async function registerVersion(
  scope: Scope,
  tracking: Tracking,
  options: RegisterOptions,
): Promise<ModelVersion> {
  assertRegisterOptions(options);
  const name = options.model;
  await assertAllowed(scope, 'model.register', `model:${name}`);
  const startedAt = performance.now();
  const files = await gatherFiles(scope, tracking, options.from, options);
  const sourceRunId = 'runId' in options.from ? options.from.runId : undefined;
  const run = sourceRunId === undefined ? undefined : await tracking.getRun(sourceRunId);
  const origins = await stepOrigins(scope, tracking, run, files);
  const manifest = files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, sizeBytes }));
  const content: Content = {
    files: manifest,
    sha256: digestJson(manifest),
    sizeBytes: manifest.reduce((sum, file) => sum + file.sizeBytes, 0),
    lineage: lineageOf(options.lineage, run, origins.executionId),
    origins,
    metrics: options.metrics ?? metricsOf(run),
    ...(await contentFacts(scope, manifest, options)),
  };
  const id = await allot(scope, name, options, content, startedAt);
  return await readVersionById(scope, id);
}

/** So long after its put no collection takes content that nothing refers to; far less than it waits. */
const unguardedMs = 60_000;

interface Content extends ContentFacts {
  readonly files: readonly ModelFile[];
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly lineage: ModelLineage;
  readonly origins: StepOrigins;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What a run measured of its model: what it measured of the machine is no matter of the version. */
function metricsOf(run: Run | undefined): Readonly<Record<string, number>> {
  const measured = Object.entries(run?.metrics ?? {});
  return Object.fromEntries(measured.filter(([key]) => !key.startsWith('system/')));
}

async function allot(
  scope: Scope,
  name: string,
  options: RegisterOptions,
  content: Content,
  startedAt: number,
): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    if (performance.now() - startedAt > unguardedMs) await keepFiles(scope, content.files);
    try {
      return await decideAndCommit(scope, () => decide(scope, name, options, content));
    } catch (error) {
      // Two processes made the model at once: the second finds it.
      if (
        !isKeelsonError(error, 'CONFLICT') ||
        error.details['expected'] === true ||
        attempt >= 5
      ) {
        throw error;
      }
    }
  }
}

async function decide(
  scope: Scope,
  name: string,
  options: RegisterOptions,
  content: Content,
): Promise<{ readonly changes: readonly Change[]; readonly result: string }> {
  const model = await findModel(scope, name);
  if (model?.columns['deletedAt'] !== undefined) throw nameTaken(name, model);
  const same = model && (await sameVersion(scope, model.id, options, content));
  // Its content has just been put again, and was read back.
  if (same !== undefined) return { changes: healingOf(scope, same), result: same.id };
  const latest = await latestOf(scope, model);
  const former = latest?.body['signature'] as unknown as ModelSignature | undefined;
  const signatureBroken =
    former !== undefined &&
    (content.signature === undefined || signatureBreaks(former, content.signature).length > 0);
  const greatest = model?.body['greatestVersion'] as string | undefined;
  const version =
    options.version ??
    nextVersion(greatest, options.bump ?? 'auto', {
      signatureBroken,
      contentChanged: latest?.columns['sha256'] !== content.sha256,
    });
  const id = scope.ids.next();
  const modelId = model?.id ?? scope.ids.next();
  const number = ((model?.columns['lastNumber'] as number | undefined) ?? 0) + 1;
  return {
    changes: [
      modelChange(scope, model, modelId, name, {
        ...{ number, id, version, greatest },
        source: sourceOf(content.lineage),
      }),
      versionChange(scope, { id, modelId, name, number, version }, options, content),
      ...(await lineageChanges(scope, id, content.lineage, content.origins)),
      {
        op: 'emit',
        event: draftEvent(scope, {
          type: 'model.registered',
          subject: `model:${name}`,
          source: 'registry',
          payload: {
            modelId,
            name,
            versionId: id,
            version,
            number,
            sha256: content.sha256,
            ...optional('runId', content.lineage.sourceRunId),
          },
        }),
      },
    ],
    result: id,
  };
}

/** The version that this registration would make again, or the CONFLICT with one of other content. */
async function sameVersion(
  scope: Scope,
  modelId: string,
  options: RegisterOptions,
  content: Content,
): Promise<StoredRecord | undefined> {
  const { version } = options;
  if (version !== undefined) {
    const taken = await findOne(scope, [is('modelId', modelId), is('version', version)]);
    if (taken === undefined) return undefined;
    const deleted = taken.columns['deletedAt'] !== undefined;
    if (!deleted && taken.columns['sha256'] === content.sha256) return taken;
    const { sha256 } = taken.columns;
    const problem = deleted
      ? `was deleted (its content was ${sha256}); versions are never used again, so restore it, or`
      : `has content ${sha256}, not ${content.sha256}; versions never change, so`;
    throw new KeelsonError(
      'CONFLICT',
      `Version ${version} of ${options.model} ${problem} register this under a new one.`,
      { details: { expected: true, existing: sha256, given: content.sha256 } },
    );
  }
  const { sourceRunId } = content.lineage;
  if (sourceRunId === undefined) return undefined;
  const of = [is('modelId', modelId), is('sha256', content.sha256), is('sourceRunId', sourceRunId)];
  return await findOne(scope, [...of, lacks('deletedAt')]);
}

async function findOne(
  { metadata, workspace }: Scope,
  of: readonly Predicate[],
): Promise<StoredRecord | undefined> {
  const where = { op: 'and', of } as const;
  return (await metadata.query(workspace, 'model_version', { where, limit: 1 })).records[0];
}

async function latestOf(
  { metadata, workspace }: Scope,
  model: StoredRecord | undefined,
): Promise<StoredRecord | undefined> {
  const id = model?.columns['latestVersionId'] as string | undefined;
  return id === undefined ? undefined : await metadata.find(workspace, 'model_version', id);
}

function modelChange(
  scope: Scope,
  model: StoredRecord | undefined,
  modelId: string,
  name: string,
  next: {
    readonly number: number;
    readonly id: string;
    readonly version: string;
    readonly greatest: string | undefined;
    readonly source: ModelOrigin;
  },
): Change {
  const greatestVersion = greaterVersion(next.greatest, next.version);
  const columns = { lastNumber: next.number, latestVersionId: next.id };
  if (model !== undefined) {
    const body = { ...model.body, greatestVersion };
    return { op: 'replace', kind: 'model', id: model.id, expect: model.revision, columns, body };
  }
  const more = { columns, body: { greatestVersion } };
  return modelCreated(scope, modelId, { name, source: next.source }, more);
}

function versionChange(
  scope: Scope,
  place: {
    readonly id: string;
    readonly modelId: string;
    readonly name: string;
    readonly number: number;
    readonly version: string;
  },
  options: RegisterOptions,
  content: Content,
): Change {
  return {
    op: 'create',
    kind: 'model_version',
    id: place.id,
    columns: {
      modelId: place.modelId,
      modelName: place.name,
      number: place.number,
      version: place.version,
      versionKey: versionKey(place.version),
      sha256: content.sha256,
      sizeBytes: content.sizeBytes,
      format: content.format,
      sourceRunId: content.lineage.sourceRunId,
      createdBy: scope.principal.id,
      stage: 'DEVELOPMENT',
      status: 'READY',
      description: options.description ?? '',
    },
    body: {
      files: asJson(content.files),
      lineage: asJson(content.lineage),
      ...(content.signature === undefined ? {} : { signature: asJson(content.signature) }),
      ...(content.facts === undefined ? {} : { facts: asJson(content.facts) }),
    },
    facets: { tags: options.tags ?? {}, metrics: content.metrics },
  };
}

function sourceOf({ pipelineExecutionId, sourceRunId }: ModelLineage): ModelOrigin {
  if (pipelineExecutionId !== undefined) return 'PIPELINE';
  return sourceRunId === undefined ? 'IMPORT' : 'EXPERIMENT';
}
