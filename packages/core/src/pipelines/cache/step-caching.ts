import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { SubmitOptions } from '../../contracts/executor.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { canonicalJson, digestJson, type Json, type JsonObject } from '../../json.ts';
import type { CachePolicy, StepDefinition } from '../definition.ts';
import { type ExecutionRecords, equals } from '../execution-records.ts';
import type { ExecutorsHere } from '../executors/executors-here.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import {
  type CachedFrom,
  type StepState,
  type StoredOutput,
  stepLabel,
} from '../step-execution.ts';
import { moduleLocation } from '../steps/module-loader.ts';
import { explainMiss, type KeyParts } from './explain-key.ts';
import { ImportedCode } from './imported-code.ts';
import { ModuleDigests } from './module-digest.ts';

/** What a result is kept under. */
export interface CacheKey {
  /** SHA-256 of the canonical JSON of the parts. */
  readonly key: string;
  readonly parts: KeyParts;
}

/** What there is for a key. */
export type CacheLook =
  | {
      readonly found: 'hit';
      readonly output: StoredOutput;
      readonly artifacts: readonly ArtifactFacts[];
      readonly from: CachedFrom;
      readonly explanation: string;
    }
  /** Somebody computes it now. */
  | { readonly found: 'busy'; readonly explanation: string }
  /** With the revision of what lies there and does not serve; 0 where nothing does. */
  | { readonly found: 'miss'; readonly explanation: string; readonly revision: number };

/** What a step has put out, to be kept. */
export interface CacheResult {
  readonly output: StoredOutput;
  readonly artifacts: readonly ArtifactFacts[];
}

/** Finds results that stand for those of a step, and keeps new ones. */
export interface StepCaching {
  /** Or why the step has none. */
  keyOf(
    pipeline: string,
    step: StepDefinition,
    given: { readonly parameters: JsonObject; readonly packed: JsonObject },
    options?: SubmitOptions,
  ): Promise<CacheKey | { readonly none: string }>;
  /**
   * Why a result of this process may not be kept under the key: an inline module, which this imports, may be
   * of other code here than it is on the disk by now.
   */
  unfit(step: StepDefinition, key: CacheKey): Promise<string | undefined>;
  /** What its code is, as the key has it; undefined where that cannot be told. */
  codeFor(step: StepDefinition): Promise<string | undefined>;
  look(key: CacheKey, policy: CachePolicy | undefined, forStep: StepState): Promise<CacheLook>;
  /**
   * For the commit that starts the attempt: CONFLICT or STALE where what lies there is not any more what `look` saw, such as when
   * another was quicker.
   */
  reserve(key: CacheKey, state: StepState, seenRevision: number): readonly Change[];
  /** For the commit that completes the step. */
  fill(state: StepState, result: CacheResult): Promise<readonly Change[]>;
  /** For every other commit that ends the step's running. */
  abandon(state: StepState): Promise<readonly Change[]>;
  /** The parts of a key, as far as they are kept. */
  partsOf(key: string): Promise<KeyParts | undefined>;
  /** Forgets results; answers how many. */
  clear(of: { readonly pipeline?: string; readonly step?: string }): Promise<number>;
}

/** What caching needs. */
export interface CachingParts {
  readonly records: Pick<ExecutionRecords, 'stepById'>;
  readonly executors?: ExecutorsHere;
  readonly modulesRoot?: string;
  /** Imports a module for a step that runs inline. */
  readonly loadModule: (module: string, name: string) => Promise<unknown>;
}

const kind = 'step_cache';

/** The cache of steps of the scope's workspace. */
export function createStepCaching(scope: Scope, parts: CachingParts): StepCaching {
  const { metadata, workspace, clock } = scope;
  const modules = new ModuleDigests();
  const imported = new ImportedCode();

  /** What a step's code is, or why that cannot be told. */
  async function codeOf(
    step: StepDefinition,
    options?: SubmitOptions,
  ): Promise<{ code: string } | { none: string }> {
    const { run } = step;
    switch (run.type) {
      case 'function':
        return run.version === undefined
          ? { none: 'it is a function without a version' }
          : { code: `version ${run.version}` };
      case 'module': {
        const code = run.isolation === 'inline' ? imported : modules;
        const found = await code.of(moduleLocation(run.module, parts.modulesRoot));
        return 'unknown' in found ? { none: found.unknown } : { code: found.digest };
      }
      case 'command': {
        if (run.version === undefined && run.files === undefined) {
          return { none: 'it is a command without a version or files' };
        }
        const digests = await Promise.all(
          (run.files ?? []).map((file) => fileDigest(file, run.cwd)),
        );
        return { code: JSON.stringify([run.version ?? '', ...digests]) };
      }
      case 'image': {
        const name = step.executor ?? 'docker';
        const executor = parts.executors?.find(name);
        const digest = await executor?.imageDigest?.(run.image, options);
        return digest === undefined
          ? { none: `the digest of its image ${run.image} is not known` }
          : { code: digest };
      }
    }
  }

  async function codeFor(step: StepDefinition): Promise<string | undefined> {
    // Who runs it tells what it ran in.
    if (step.run.type === 'image') return undefined;
    try {
      const found = await codeOf(step);
      return 'none' in found ? undefined : found.code;
    } catch (error) {
      // The attempt itself will say what is wrong with it.
      scope.logger.debug(
        { component: 'pipelines', step: step.name, error },
        `What the code of step ${step.name} is cannot be told.`,
      );
      return undefined;
    }
  }

  async function find(key: string): Promise<StoredRecord | undefined> {
    return metadata.find(workspace, kind, recordId(key));
  }

  async function nearest(pipeline: string, step: string): Promise<KeyParts | undefined> {
    const { records } = await metadata.query(workspace, kind, {
      where: {
        op: 'and',
        of: [equals('pipeline', pipeline), equals('step', step), equals('state', 'filled')],
      },
      orderBy: [{ by: { from: 'column', name: 'filledAt' }, direction: 'desc' }],
      limit: 1,
    });
    return records[0] && partsIn(records[0]);
  }

  async function whatIsGone(result: CacheResult): Promise<string | undefined> {
    const { output, artifacts } = result;
    const contents = [...artifacts, ...(output.content === undefined ? [] : [output.content])];
    for (const { sha256, path } of contents) {
      // Kept from collection until the commit refers to it.
      if (!(await scope.artifacts.keep(sha256))) return path;
    }
    return undefined;
  }

  return {
    codeFor,

    async keyOf(pipeline, step, { parameters, packed }, options) {
      let found: Awaited<ReturnType<typeof codeOf>>;
      try {
        found = await codeOf(step, options);
      } catch (error) {
        options?.signal?.throwIfAborted();
        // The attempt itself will say what is wrong with it.
        if (isKeelsonError(error, 'CLOSED')) throw error;
        found = { none: error instanceof Error ? error.message : String(error) };
      }
      if ('none' in found) return found;
      const matter = step.cache === false ? undefined : step.cache?.parameters;
      const inputs = Object.entries(packed).map(
        ([name, value]) => [name, digestOf(value)] as const,
      );
      const made: KeyParts = {
        definition: definitionDigest(step),
        runs: runsText(step),
        code: found.code,
        inputs: Object.fromEntries(inputs),
        parameters: Object.fromEntries(
          Object.entries(parameters).filter(
            ([name]) => matter === undefined || matter.includes(name),
          ),
        ),
      };
      return { key: digestJson({ format: 1, pipeline, step: step.name, ...made }), parts: made };
    },

    async unfit(step, { parts: own }) {
      const { run } = step;
      if (run.type !== 'module' || run.isolation !== 'inline') return undefined;
      try {
        await parts.loadModule(run.module, run.export);
      } catch (error) {
        // The attempt will fail of it.
        return `its module cannot be imported: ${(error as Error).message}`;
      }
      const found = await codeOf(step);
      if ('none' in found) return found.none;
      return found.code === own.code ? undefined : 'its module was changed as it was imported';
    },

    async look({ key, parts: own }, policy, forStep) {
      const record = await find(key);
      const miss = async (why?: string): Promise<CacheLook> => ({
        found: 'miss',
        revision: record?.revision ?? 0,
        explanation: why ?? explainMiss(own, await nearest(forStep.pipeline, forStep.step)),
      });
      if (record === undefined) return miss();
      const { columns, body } = record;
      const holder = columns['stepExecution'] as string;
      if (columns['state'] === 'reserved') {
        const other = holder === forStep.id ? undefined : await parts.records.stepById(holder);
        if (other?.status !== 'RUNNING' || other.cacheKey !== key) {
          // It may have completed, and filled the record, since that was read.
          const now = holder === forStep.id ? record : await find(key);
          return now?.revision === record.revision
            ? miss()
            : this.look({ key, parts: own }, policy, forStep);
        }
        const explanation = `the same is computed by step ${stepLabel(other)} of execution ${other.executionId}`;
        return { found: 'busy', explanation };
      }
      const filledAt = columns['filledAt'] as number;
      const { maxAgeMs } = policy ?? {};
      if (maxAgeMs !== undefined && clock.now() - filledAt > maxAgeMs) {
        return miss(`the result of ${timeText(filledAt)} is older than ${maxAgeMs} ms`);
      }
      const result = body['result'] as unknown as CacheResult;
      const gone = await whatIsGone(result);
      if (gone !== undefined) return miss(`${gone}, which the earlier result has, is gone`);
      const from = body['from'] as unknown as CachedFrom;
      const explanation = `same as step ${stepLabel(from)} of execution ${from.executionId}, which completed at ${timeText(from.at)}, because code, definition, inputs and parameters are the same`;
      return { found: 'hit', ...result, from, explanation };
    },

    reserve({ key, parts: own }, state, seenRevision) {
      const { id: stepExecution, executionId, pipeline, step } = state;
      const columns = { state: 'reserved', stepExecution, executionId, filledAt: undefined };
      const body = { parts: own as unknown as Json };
      const id = recordId(key);
      return [
        seenRevision === 0
          ? { op: 'create', kind, id, columns: { ...columns, key, pipeline, step }, body }
          : { op: 'replace', kind, id, expect: seenRevision, columns, body },
      ];
    },

    async fill(state, { output, artifacts }) {
      const record = state.cacheKey === undefined ? undefined : await find(state.cacheKey);
      if (record?.columns['stepExecution'] !== state.id) return [];
      const { executionId, step, mapKey, attempt } = state;
      const at = clock.now();
      const from = { executionId, step, mapKey, attempt, at };
      const result = { output: { ...output }, artifacts: artifacts.map((each) => ({ ...each })) };
      return [
        {
          ...{ op: 'replace', kind, id: record.id, expect: record.revision },
          columns: { state: 'filled', filledAt: at },
          body: { ...record.body, result: result as unknown as Json, from },
        },
      ];
    },

    async abandon(state) {
      const record = state.cacheKey === undefined ? undefined : await find(state.cacheKey);
      const mine = record?.columns['stepExecution'] === state.id;
      if (record === undefined || !mine || record.columns['state'] !== 'reserved') return [];
      return [{ op: 'remove', kind, id: record.id, expect: record.revision }];
    },

    async partsOf(key) {
      const record = await find(key);
      return record && partsIn(record);
    },

    async clear({ pipeline, step }) {
      let cleared = 0;
      for (;;) {
        const { records } = await metadata.query(workspace, kind, {
          where: {
            op: 'and',
            of: [
              equals('state', 'filled'),
              ...(pipeline === undefined ? [] : [equals('pipeline', pipeline)]),
              ...(step === undefined ? [] : [equals('step', step)]),
            ],
          },
          limit: 200,
        });
        if (records.length === 0) return cleared;
        const { id: by } = scope.principal;
        await metadata
          .commit({
            workspace,
            principal: by,
            changes: records.map(({ id, revision }) => ({
              op: 'remove',
              kind,
              id,
              expect: revision,
            })),
          })
          .then(() => {
            cleared += records.length;
          })
          .catch((error: unknown) => {
            // Somebody computes one of them anew: look again.
            if (!isKeelsonError(error, 'STALE')) throw error;
          });
      }
    },
  };
}

function partsIn({ body }: StoredRecord): KeyParts {
  return body['parts'] as unknown as KeyParts;
}

function recordId(key: string): string {
  return `cache-${key}`;
}

/** What of a definition changes what comes out; how often, where and how long it may run does not. */
function definitionDigest(step: StepDefinition): string {
  const { run, outputs, env, forEach, distributed } = step;
  const { version: _, files: __, ...what } = run as Record<string, unknown>;
  return digestJson({
    run: what as JsonObject,
    outputs: (outputs ?? {}) as unknown as Json,
    env: env ?? {},
    as: forEach?.as ?? '',
    distributed: (distributed ?? null) as unknown as Json,
  });
}

function runsText({ run, name }: StepDefinition): string {
  switch (run.type) {
    case 'function':
      return `step ${name}`;
    case 'module':
      return run.module;
    case 'command':
      return run.command.join(' ').slice(0, 100);
    case 'image':
      return `image ${run.image}`;
  }
}

function digestOf(value: Json | undefined): string {
  return createHash('sha256')
    .update(canonicalJson(contentOf(value ?? null)))
    .digest('hex');
}

/** A value with its artifacts as their contents: where they lie and which execution made them does not matter. */
function contentOf(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(contentOf);
  const fields = value as JsonObject;
  const facts = fields['$artifact'] as JsonObject | undefined;
  if (facts !== undefined && Object.keys(fields).length === 1) {
    return { $artifact: { sha256: facts['sha256'] ?? '', mimeType: facts['mimeType'] ?? '' } };
  }
  const parts = Object.entries(fields).map(
    ([key, part]) => [key, contentOf(part ?? null)] as const,
  );
  return Object.fromEntries(parts);
}

async function fileDigest(file: string, cwd: string | undefined): Promise<string> {
  const bytes = await readFile(resolve(cwd ?? process.cwd(), file));
  return createHash('sha256').update(bytes).digest('hex');
}

function timeText(at: number): string {
  return new Date(at).toISOString();
}
