import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { canonicalJson, encodeJson, type Json, storableText } from '../json.ts';
import { decideAndCommit } from '../operations/decide-and-commit.ts';
import { assertTags, mergeTags, unsetTags } from './experiment.ts';
import type { RunRecords } from './run-records.ts';

/** What is written to a run while it runs, beside metrics and artifacts. */
export interface RunLogging {
  /** All or none; a value that another replaces stays in the history, and a warning says so. */
  logParams(runId: string, params: ReadonlyMap<string, Json>): Promise<void>;
  /** Open after the end too; several processes may set different tags at once. */
  setTags(runId: string, tags: Readonly<Record<string, string>>): Promise<void>;
  removeTags(runId: string, keys: readonly string[]): Promise<void>;
}

/** Tags of the user's own that a run may have. */
const maxRunTags = 50;

/** A param entry: what one call logged. None for a call that logged nothing. */
export function paramEntry(
  scope: Pick<Scope, 'clock' | 'ids'>,
  runId: string,
  params: Readonly<Record<string, Json>>,
): Change[] {
  if (Object.keys(params).length === 0) return [];
  const columns = { runId, loggedAt: scope.clock.now() };
  return [{ op: 'create', kind: 'param_entry', id: scope.ids.next(), columns, body: { params } }];
}

/** The verbs, bound to a scope. */
export function createRunLogging(
  scope: Scope,
  records: RunRecords,
  warn: (message: string, fields: object) => void,
): RunLogging {
  async function logParams(runId: string, params: ReadonlyMap<string, Json>): Promise<void> {
    const set = Object.fromEntries(params);
    let overwritten: ReturnType<typeof overwriting> = [];
    await records.whileLoggable(runId, 'params', (record) => {
      if (params.size === 0) return [];
      overwritten = overwriting(record.facets['params'] ?? {}, params);
      return [
        { op: 'merge', kind: 'run', id: runId, set: { params: set } },
        ...paramEntry(scope, runId, set),
      ];
    });
    for (const [key, what] of overwritten) {
      warn(`Param ${key} of run ${runId} ${what}; the former value stays in its history.`, {
        runId,
        key,
      });
    }
  }

  async function setTags(runId: string, tags: Readonly<Record<string, string>>): Promise<void> {
    assertTags(tags, maxRunTags);
    await decideAndCommit(scope, async () => {
      const record = await records.get(runId);
      return mergeTags(record, tags, maxRunTags);
    });
  }

  async function removeTags(runId: string, keys: readonly string[]): Promise<void> {
    checkOptions(z.object({ keys: z.array(z.string()) }), { keys }, 'Removing tags');
    await decideAndCommit(scope, async () => unsetTags(await records.get(runId), keys));
  }

  return { logParams, setTags, removeTags };
}

/** What a call changes of what was logged before, in words. */
function overwriting(
  former: Readonly<Record<string, Json>>,
  params: ReadonlyMap<string, Json>,
): readonly (readonly [key: string, what: string])[] {
  const told = (value: Json): string => storableText(encodeJson(value), 100);
  return [...params].flatMap(([key, value]) => {
    const before = Object.hasOwn(former, key) ? former[key] : undefined;
    if (before === undefined || canonicalJson(before) === canonicalJson(value)) return [];
    return [[storableText(key, 100), `was ${told(before)} and is now ${told(value)}`]];
  });
}
