import { mkdtemp, rm } from 'node:fs/promises';
import { arch, availableParallelism, cpus, platform, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { ModelRuntime, ModelSignature } from '../../contracts/model-runtime.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText, isPlainObject, type JsonObject, storableText } from '../../json.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { optional } from '../../tracking/run.ts';
import { getModelRecord, readVersionById } from '../model-records.ts';
import type { ModelVersion } from '../model-version.ts';
import type { TestResult, ValidationEnvironment, ValidationReport } from './report.ts';
import { keepReport } from './reports.ts';
import { assertGoing, notRun, runTests } from './run-suite.ts';
import type { SuiteData, ValidationSuite } from './suite.ts';
import { keepData, readData } from './suite-data.ts';
import { readSuite } from './suites.ts';
import type { SampledRequest, TestContext } from './test-context.ts';
import { TestFault } from './test-fault.ts';
import { TestedModel } from './tested-model.ts';
import {
  assertHandedOver,
  assertValidateOptions,
  type ValidateOptions,
} from './validate-options.ts';

/** Writes a version's files into a directory. */
export type Download = (id: string, directory: string) => Promise<unknown>;

const defaultMaxBytes = 16 * 1024 ** 3;

/** Runs a suite on a version, keeps the report, and says so. */
export async function validateVersion(
  scope: Scope,
  download: Download,
  id: string,
  suiteName: string,
  options: ValidateOptions,
): Promise<ValidationReport> {
  assertValidateOptions(options);
  const version = await readVersionById(scope, id);
  await assertAllowed(scope, 'model.validate', `version:${id}`);
  const suite = await readSuite(scope, version.model, suiteName);
  const signature = assertTestable(version, options);
  assertHandedOver(suite, options);
  const startedAt = scope.clock.now();
  const data = await dataFor(scope, suite, options);
  const run = new SuiteRun(scope, download, {
    version,
    signature,
    suite,
    options,
    rows: data.rows,
  });
  const tests = await run.results();
  assertGoing(options.signal);
  return await keepReport(scope, {
    id: scope.ids.next(),
    modelId: version.modelId,
    model: version.model,
    versionId: version.id,
    version: version.version,
    suite: suite.name,
    suiteId: suite.id,
    suiteRevision: suite.revision,
    outcome: tests.every(({ outcome }) => outcome !== 'FAILED') ? 'PASSED' : 'FAILED',
    startedAt,
    endedAt: scope.clock.now(),
    by: scope.principal.id,
    data: data.kept,
    environment: environmentOf(options.runtime),
    tests,
  });
}

function assertTestable(version: ModelVersion, options: ValidateOptions): ModelSignature {
  const name = `${version.model}@${version.version}`;
  if (version.deletedAt !== undefined) {
    throw new KeelsonError('NOT_FOUND', `Version ${name} was deleted.`);
  }
  if (version.signature === undefined) {
    throw new KeelsonError(
      'INVALID',
      `Version ${name} has no signature, so nothing is known of what it takes; register it with one.`,
    );
  }
  const { maxModelBytes = defaultMaxBytes } = options;
  if (version.sizeBytes <= maxModelBytes) return version.signature;
  throw new KeelsonError(
    'EXHAUSTED',
    `Version ${name} has ${version.sizeBytes} bytes, more than the ${maxModelBytes} that options.maxModelBytes allows.`,
  );
}

interface Data {
  readonly rows: ReadonlyMap<string, readonly JsonObject[]>;
  readonly kept: ValidationReport['data'];
}

/** All rows, read once. Those handed over are kept as well: what a report says can be made again. */
async function dataFor(
  scope: Scope,
  suite: ValidationSuite,
  { data = {}, signal }: ValidateOptions,
): Promise<Data> {
  const rows = new Map<string, readonly JsonObject[]>();
  const kept: Record<string, { sha256: string; rows: number }> = {};
  for (const [name, source] of Object.entries(suite.data)) {
    assertGoing(signal);
    const found: SuiteData =
      source === 'given'
        ? await keepData(scope, name, { rows: await listOf(name, data[name] ?? []) })
        : source;
    rows.set(name, await readData(scope, name, found, signal));
    kept[name] = { sha256: found.sha256, rows: found.rows };
  }
  return { rows, kept };
}

async function listOf(
  name: string,
  source: Iterable<JsonObject> | AsyncIterable<JsonObject>,
): Promise<readonly JsonObject[]> {
  const all: JsonObject[] = [];
  for await (const row of source) {
    all.push(row);
    if (all.length > 1_000_000) {
      throw new KeelsonError('INVALID', `Data ${name} has more than 1,000,000 rows.`);
    }
  }
  return all;
}

interface RunParts {
  readonly version: ModelVersion;
  readonly signature: ModelSignature;
  readonly suite: ValidationSuite;
  readonly options: ValidateOptions;
  readonly rows: ReadonlyMap<string, readonly JsonObject[]>;
}

/** One run of a suite: the models it loads and the directory they lie in go with it. */
class SuiteRun {
  readonly #scope: Scope;
  readonly #download: Download;
  readonly #parts: RunParts;
  readonly #loaded: TestedModel[] = [];
  readonly #outputs = new Map<string, Promise<readonly JsonObject[]>>();
  #production: ReturnType<TestContext['production']> | undefined;

  constructor(scope: Scope, download: Download, parts: RunParts) {
    this.#scope = scope;
    this.#download = download;
    this.#parts = parts;
  }

  async results(): Promise<readonly TestResult[]> {
    const root = await mkdtemp(join(tmpdir(), 'keelson-validate-'));
    try {
      return await this.#resultsIn(root);
    } finally {
      for (const model of this.#loaded) await model.close();
      await rm(root, { recursive: true, force: true });
    }
  }

  async #resultsIn(root: string): Promise<readonly TestResult[]> {
    const { version, suite, options } = this.#parts;
    const { runtime, signal } = options;
    const tell = (test: string, done: number): void =>
      options.onProgress?.({ test, done, total: suite.tests.length });
    tell('download', 0);
    const directory = join(root, 'model');
    await this.#download(version.id, directory);
    assertGoing(signal);
    tell('load', 0);
    const rssBeforeLoad = process.memoryUsage.rss();
    let model: TestedModel;
    try {
      model = await this.#load(directory, this.#parts.signature);
    } catch (error) {
      if (error instanceof TestFault) return notRun(suite.tests, error.message);
      throw error;
    }
    const context: TestContext = {
      model,
      rows: (data) => this.#parts.rows.get(data) ?? [],
      outputs: (data) => this.#outputsOf(model, data),
      metrics: options.metrics ?? {},
      rssBeforeLoad,
      isolation: runtime.isolation,
      sampledRequests: (limit) => sample(options, limit),
      production: () => (this.#production ??= this.#loadProduction(root)),
    };
    const onTest = ({ name }: { readonly name: string }, done: number): void => tell(name, done);
    return await runTests(context, suite.tests, { signal, onTest });
  }

  async #load(directory: string, signature: ModelSignature): Promise<TestedModel> {
    const { suite, options } = this.#parts;
    const { runtime, config = {}, signal } = options;
    const source = { runtime, directory, signature, config, ...optional('signal', signal) };
    const model = await TestedModel.load(source, suite);
    this.#loaded.push(model);
    return model;
  }

  #outputsOf(model: TestedModel, data: string): Promise<readonly JsonObject[]> {
    const known = this.#outputs.get(data);
    if (known !== undefined) return known;
    const asked = model.predictRows(this.#parts.rows.get(data) ?? []);
    this.#outputs.set(data, asked);
    return asked;
  }

  async #loadProduction(root: string): ReturnType<TestContext['production']> {
    const { version, options } = this.#parts;
    const record = await getModelRecord(this.#scope, version.model);
    const id = record.columns['productionVersionId'] as string | undefined;
    if (id === undefined) return { none: 'nothing is in production to compare with' };
    if (id === version.id) return { none: 'it is itself in production: nothing to compare with' };
    const current = await readVersionById(this.#scope, id);
    if (current.signature === undefined) {
      return { none: `version ${current.version}, in production, has no signature to ask it by` };
    }
    assertTestable(current, options);
    const directory = join(root, 'production');
    await this.#download(id, directory);
    try {
      return { version: current.version, model: await this.#load(directory, current.signature) };
    } catch (error) {
      if (!(error instanceof TestFault)) throw error;
      throw new TestFault(`version ${current.version}, in production: ${error.message}`);
    }
  }
}

async function sample(
  { sampledRequests = [], signal }: ValidateOptions,
  limit: number,
): Promise<readonly SampledRequest[]> {
  const all: SampledRequest[] = [];
  for await (const request of sampledRequests) {
    assertGoing(signal);
    if (!isPlainObject(request) || !isPlainObject(request.features)) {
      throw new KeelsonError(
        'INVALID',
        `Sampled request ${all.length + 1} has no features: it takes { features, requestId? }.`,
      );
    }
    if (request.requestId !== undefined) assertText(request.requestId, 'A request id', 1000);
    all.push(request);
    if (all.length >= limit) break;
  }
  return all;
}

function environmentOf({ name, isolation }: ModelRuntime): ValidationEnvironment {
  return {
    runtime: storableText(String(name), 250),
    isolation: storableText(String(isolation), 250),
    node: process.version,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
  };
}
