import semver from 'semver';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { optional } from '../tracking/run.ts';
import { emitOfModel } from './emit-of-model.ts';
import { getModelRecord, readModel, readVersion } from './model-records.ts';
import { type Model, modelFromRecord } from './model-version.ts';
import { reservedWords } from './version-reference.ts';

/** Movable pointers to versions, such as `champion`. */
export interface Aliases {
  /**
   * Lets an alias point to a version, from wherever it pointed before. INVALID for names that would read as
   * something else in a reference: numbers, semantic versions and ranges, `latest`, stages, `v3`.
   */
  setAlias(model: string, alias: string, version: string): Promise<Model>;
  /** NOT_FOUND for an alias that is none. */
  removeAlias(model: string, alias: string): Promise<Model>;
}

const maxAliases = 100;

/** Aliases, bound to a scope. */
export function createAliases(scope: Scope): Aliases {
  async function point(name: string, alias: string, version: string | undefined): Promise<Model> {
    assertAlias(alias);
    assertText(name, 'A model name');
    await assertAllowed(scope, 'model.alias', `model:${name}`);
    await decideAndCommit(scope, async () => {
      const record = await getModelRecord(scope, name);
      const target = version === undefined ? undefined : await readVersion(scope, name, version);
      const { aliases } = modelFromRecord(record);
      if (target === undefined && !Object.hasOwn(aliases, alias)) {
        throw new KeelsonError('NOT_FOUND', `Model ${name} has no alias ${alias}.`);
      }
      if (target !== undefined && aliases[alias] === target.id) return { changes: [], result: 0 };
      const next = aliasMoves(scope, name, aliases, [{ alias, to: target?.id }]);
      if (Object.keys(next.aliases).length > maxAliases) {
        throw new KeelsonError('INVALID', `A model has ${maxAliases} aliases at most.`);
      }
      const { id, revision: expect } = record;
      const body: JsonObject = { ...record.body, aliases: next.aliases };
      const model: Change = { op: 'replace', kind: 'model', id, expect, body };
      // The version is as it was read: one that is being deleted takes no alias.
      const asserted: readonly Change[] =
        target === undefined
          ? []
          : [{ op: 'assert', kind: 'model_version', id: target.id, expect: target.revision }];
      return { changes: [model, ...asserted, ...next.changes], result: 0 };
    });
    return await readModel(scope, name);
  }

  return {
    setAlias: (model, alias, version) => point(model, alias, assertText(version, 'A version')),
    removeAlias: (model, alias) => point(model, alias, undefined),
  };
}

/** Moves of aliases: what the model has then, and the changes beside its own. */
export function aliasMoves(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  model: string,
  aliases: Readonly<Record<string, string>>,
  moves: readonly { readonly alias: string; readonly to: string | undefined }[],
): { readonly aliases: Readonly<Record<string, string>>; readonly changes: readonly Change[] } {
  const next = new Map(Object.entries(aliases));
  const changes: Change[] = [];
  for (const { alias, to } of moves) {
    const from = next.get(alias);
    if (from !== undefined) {
      changes.push({ op: 'merge', kind: 'model_version', id: from, unset: { aliases: [alias] } });
    }
    if (to === undefined) next.delete(alias);
    else {
      next.set(alias, to);
      const set = { aliases: Object.fromEntries([[alias, true]]) };
      changes.push({ op: 'merge', kind: 'model_version', id: to, set });
    }
    changes.push(
      emitOfModel(scope, 'alias.moved', model, {
        alias,
        ...optional('oldVersionId', from),
        ...optional('newVersionId', to),
      }),
    );
  }
  return { aliases: Object.fromEntries(next), changes };
}

function assertAlias(alias: string): void {
  assertText(alias, 'An alias', 255);
  const fits = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(alias);
  const reads =
    reservedWords.has(alias.toLowerCase()) ||
    /^v?[0-9.]+$/i.test(alias) ||
    semver.validRange(alias) !== null;
  if (fits && !reads) return;
  throw new KeelsonError(
    'INVALID',
    reads
      ? `An alias ${JSON.stringify(alias)} would read as a version, a range or a stage; take a word such as champion.`
      : `An alias ${JSON.stringify(alias)} stands in references; use letters, digits, dots, dashes and underscores.`,
  );
}
