import semver from 'semver';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import { is, lacks, readModel, readVersion, readVersionById } from './model-records.ts';
import {
  type Model,
  type ModelVersion,
  modelVersionFromRecord,
  versionFacets,
} from './model-version.ts';
import { versionsInProduction } from './stage-moves.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;

/** Words that stand for a version by themselves, and so can be no alias. */
export const reservedWords: ReadonlySet<string> = new Set([
  'latest',
  'development',
  'staging',
  'production',
  'archived',
]);

/** Reads `model@what`; the last `@` divides, so names may have some. */
function parseReference(reference: string): {
  readonly model: string;
  readonly what: string;
} {
  assertText(reference, 'A reference to a version', 1000);
  const at = reference.lastIndexOf('@');
  const [model, what] = [reference.slice(0, at), reference.slice(at + 1)];
  if (at > 0 && what !== '') return { model, what };
  throw new KeelsonError(
    'INVALID',
    `${JSON.stringify(reference)} names no version; write model@1.4.0, model@3, model@^1.2, model@champion, model@latest or model@production.`,
  );
}

/** The version that a reference means now; NOT_FOUND that says what there is instead. */
export async function resolveVersion(scope: ReadScope, reference: string): Promise<ModelVersion> {
  const { model: name, what } = parseReference(reference);
  const model = await readModel(scope, name);
  const word = what.toLowerCase();
  if (reservedWords.has(word)) return await byWord(scope, model, word);
  if (/^[0-9]{1,15}$/.test(what)) return await byNumber(scope, model, Number(what));
  if (semver.valid(what) === what) return await readVersion(scope, name, what);
  const aliased = Object.hasOwn(model.aliases, what) ? model.aliases[what] : undefined;
  if (aliased !== undefined) return await readVersionById(scope, aliased);
  if (semver.validRange(what) !== null) return await byRange(scope, model, what);
  const aliases = Object.keys(model.aliases).sort().slice(0, 20).join(', ');
  throw new KeelsonError(
    'NOT_FOUND',
    `Model ${name} has no alias ${what}; ${aliases === '' ? 'it has none' : `it has ${aliases}`}.`,
  );
}

async function byWord(scope: ReadScope, model: Model, word: string): Promise<ModelVersion> {
  const found =
    word === 'production'
      ? (await versionsInProduction(scope, model.id)).find(
          ({ id }) => id === (model.productionVersionId ?? id),
        )
      : await newest(scope, model, word === 'latest' ? undefined : word.toUpperCase());
  if (found !== undefined) return found;
  const lack = word === 'latest' ? 'no version' : `no version in ${word.toUpperCase()}`;
  throw new KeelsonError('NOT_FOUND', `Model ${model.name} has ${lack}.`);
}

async function newest(
  scope: ReadScope,
  model: Model,
  stage: string | undefined,
): Promise<ModelVersion | undefined> {
  const of: Predicate[] = [is('modelId', model.id), lacks('deletedAt')];
  if (stage !== undefined) of.push(is('stage', stage));
  const { records } = await scope.metadata.query(scope.workspace, 'model_version', {
    where: { op: 'and', of },
    orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'desc' }],
    facets: versionFacets,
    limit: 1,
  });
  return records[0] && modelVersionFromRecord(records[0]);
}

async function byNumber(scope: ReadScope, model: Model, number: number): Promise<ModelVersion> {
  const where: Predicate = { op: 'and', of: [is('modelId', model.id), is('number', number)] };
  const { records } = await scope.metadata.query(scope.workspace, 'model_version', {
    ...{ where, facets: versionFacets, limit: 1 },
  });
  const version = records[0]?.columns['version'] as string | undefined;
  // As by its semver: a deleted one is refused with the remedy.
  if (version !== undefined) return await readVersion(scope, model.name, version);
  throw new KeelsonError('NOT_FOUND', `Model ${model.name} has no version number ${number}.`);
}

async function byRange(scope: ReadScope, model: Model, range: string): Promise<ModelVersion> {
  let best: ModelVersion | undefined;
  const all = everyRecord(scope, 'model_version', {
    where: {
      op: 'and',
      of: [is('modelId', model.id), is('status', 'READY'), lacks('deletedAt')],
    },
    facets: versionFacets,
  });
  for await (const record of all) {
    const version = modelVersionFromRecord(record);
    if (semver.satisfies(version.version, range) && isBetter(version, best)) best = version;
  }
  if (best !== undefined) return best;
  throw new KeelsonError('NOT_FOUND', `Model ${model.name} has no version in ${range}.`);
}

function isBetter(version: ModelVersion, best: ModelVersion | undefined): boolean {
  if (best === undefined) return true;
  const [a, b] = [version.deprecated === undefined, best.deprecated === undefined];
  return a === b ? semver.gt(version.version, best.version) : a;
}
