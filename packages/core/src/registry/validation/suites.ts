import { assertObject } from '../../check-options.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, canonicalJson, type JsonObject } from '../../json.ts';
import {
  assertAllowed,
  commitChanges,
  type Decision,
  decideAndCommit,
} from '../../operations/decide-and-commit.ts';
import { getModelRecord, is } from '../model-records.ts';
import { assertSuite, dataOfTests, namesOfTests } from './check-suite.ts';
import { goldenCase } from './golden-test.ts';
import type {
  KeptTest,
  SuiteData,
  SuiteDataSource,
  ValidationSuite,
  ValidationSuiteOptions,
} from './suite.ts';
import { keepData } from './suite-data.ts';
import { TestFault } from './test-fault.ts';

/** The suites that are kept with models. */
export interface Suites {
  /**
   * Keeps a suite, in place of the one of that name. Its rows become content, so that it can be run again on
   * the same. The same suite again changes nothing. INVALID, naming each place, for what is none.
   */
  setValidationSuite(model: string, suite: ValidationSuiteOptions): Promise<ValidationSuite>;
  /** NOT_FOUND with the names of those there are. */
  getValidationSuite(model: string, name: string): Promise<ValidationSuite>;
  /** By name. */
  listValidationSuites(model: string): Promise<readonly ValidationSuite[]>;
  /** Reports stay; whether there was one to remove. */
  removeValidationSuite(model: string, name: string): Promise<boolean>;
}

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;
type SuiteBody = Omit<ValidationSuite, 'id' | 'model' | 'name' | 'revision' | 'updatedAt'>;

const kind = 'validation_suite';

/** Suites, bound to a scope. */
export function createSuites(scope: Scope): Suites {
  return {
    async setValidationSuite(model, options) {
      assertText(model, 'A model name');
      await assertAllowed(scope, 'model.validate', `model:${model}`);
      assertSuite(assertObject(options, 'setValidationSuite'));
      await getModelRecord(scope, model);
      const body = await bodyOf(scope, options);
      const name = options.name.trim();
      await decideAndCommit(scope, () => decide(scope, model, name, body));
      return await readSuite(scope, model, name);
    },

    getValidationSuite: (model, name) => readSuite(scope, model, name),

    async listValidationSuites(model) {
      const { id } = await getModelRecord(scope, model);
      const { records } = await scope.metadata.query(scope.workspace, kind, {
        where: is('modelId', id),
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        limit: 1000,
      });
      return records.map((record) => suiteFromRecord(record, model));
    },

    async removeValidationSuite(model, name) {
      assertText(name, 'The name of a suite');
      await assertAllowed(scope, 'model.validate', `model:${model}`);
      const { id: modelId } = await getModelRecord(scope, model);
      const record = await findSuite(scope, modelId, name);
      if (record === undefined) return false;
      const { id, revision: expect } = record;
      await commitChanges(scope, [{ op: 'remove', kind, id, expect }]);
      return true;
    },
  };
}

/** A suite's record by its model and name. */
export async function findSuite(
  scope: ReadScope,
  modelId: string,
  name: string,
): Promise<StoredRecord | undefined> {
  const where = { op: 'and', of: [is('modelId', modelId), is('name', name)] } as const;
  return (await scope.metadata.query(scope.workspace, kind, { where, limit: 1 })).records[0];
}

/** As {@link Suites.getValidationSuite}. */
export async function readSuite(
  scope: ReadScope,
  model: string,
  name: string,
): Promise<ValidationSuite> {
  assertText(name, 'The name of a suite');
  const { id } = await getModelRecord(scope, model);
  const record = await findSuite(scope, id, name);
  if (record !== undefined) return suiteFromRecord(record, model);
  const where = is('modelId', id);
  const { records } = await scope.metadata.query(scope.workspace, kind, { where, limit: 20 });
  const known = records.map(({ columns }) => String(columns['name'])).join(', ');
  throw new KeelsonError(
    'NOT_FOUND',
    `Model ${model} has no validation suite ${JSON.stringify(name)}; ${known === '' ? 'registry.setValidationSuite() makes one' : `there are ${known}`}.`,
  );
}

function suiteFromRecord(record: StoredRecord, model: string): ValidationSuite {
  const { id, revision, updatedAt, columns, body } = record;
  const name = columns['name'] as string;
  return { ...(body as unknown as SuiteBody), id, model, name, revision, updatedAt };
}

/** The contents that a suite's record names. */
export function contentsOfSuite({ body }: Pick<StoredRecord, 'body'>): readonly string[] {
  const data = Object.values((body['data'] ?? {}) as unknown as SuiteBody['data']);
  return data.flatMap((each) => (each === 'given' ? [] : [each.sha256]));
}

async function decide(
  scope: Scope,
  model: string,
  name: string,
  next: SuiteBody,
): Promise<Decision<undefined>> {
  const { id: modelId } = await getModelRecord(scope, model);
  const former = await findSuite(scope, modelId, name);
  const body = next as unknown as JsonObject;
  const result = undefined;
  if (former === undefined) {
    const id = scope.ids.next();
    const columns = { modelId, name };
    return { changes: [{ op: 'create', kind, id, columns, body }], result };
  }
  if (canonicalJson(former.body) === canonicalJson(body)) return { changes: [], result };
  const { id, revision: expect } = former;
  return { changes: [{ op: 'replace', kind, id, expect, body }], result };
}

async function bodyOf(scope: Scope, options: ValidationSuiteOptions): Promise<SuiteBody> {
  const names = namesOfTests(options.tests);
  const data: Record<string, SuiteData | 'given'> = {};
  for (const [name, source] of Object.entries(options.data ?? {})) {
    data[name] = source === 'given' ? source : await keepData(scope, name, source);
  }
  const tests: KeptTest[] = [];
  for (const [i, test] of options.tests.entries()) {
    const name = names[i] as string;
    if (test.test !== 'golden' || test.cases === undefined) {
      tests.push({ ...test, name });
      continue;
    }
    const { cases, ...rest } = test;
    assertCases(name, cases);
    const own = `cases of ${name}`;
    data[own] = await keepData(scope, own, { rows: cases as unknown as readonly JsonObject[] });
    tests.push({ ...rest, name, data: own });
  }
  assertUsed(options.data ?? {}, tests);
  const { description = '', batchRows = 64 } = options;
  const { predictTimeoutMs = 30_000, loadTimeoutMs = 120_000 } = options;
  const settings = { batchRows, predictTimeoutMs, loadTimeoutMs };
  return asJson({ description, data, tests, ...settings }, 'suite') as unknown as SuiteBody;
}

function assertCases(name: string, cases: readonly unknown[]): void {
  for (const [i, each] of cases.entries()) {
    try {
      goldenCase(assertObject(each, `Case ${i + 1} of ${name}`) as JsonObject, i);
    } catch (error) {
      if (!(error instanceof TestFault)) throw error;
      throw new KeelsonError('INVALID', `Test ${name}: ${error.message}.`, { cause: error });
    }
  }
}

/** Rows that no test uses are a slip of the pen. */
function assertUsed(
  data: Readonly<Record<string, SuiteDataSource>>,
  tests: readonly KeptTest[],
): void {
  const used = dataOfTests(tests);
  const idle = Object.keys(data).filter((name) => !used.has(name));
  if (idle.length === 0) return;
  throw new KeelsonError('INVALID', `No test of the suite uses its data ${idle.join(', ')}.`);
}
