import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { storableText } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import type { RuleReading } from './read-rules.ts';

/** Whether a rule can be evaluated for a deployment. */
export interface RuleSight {
  readonly deploymentId: string;
  readonly rule: string;
  /** NO_DATA: nothing can be said; ERROR: it cannot be evaluated. Neither means that all is well. */
  readonly sight: 'OK' | 'NO_DATA' | 'ERROR';
  /** Epoch ms. */
  readonly since: number;
  /** Why. */
  readonly message?: string;
}

/** Remembers which rules see nothing, apart from any alert. */
export interface RuleSights {
  note(deploymentId: string, readings: readonly RuleReading[], at: number): Promise<void>;
  list(deploymentId?: string): Promise<readonly RuleSight[]>;
  /** Forgets those of rules that are no longer in force; looks once a minute. */
  forget(isInForce: (deploymentId: string, rule: string) => boolean): Promise<void>;
}

const knownMs = 60_000;

/** {@link RuleSights} of a scope. */
export function createRuleSights(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal'>,
): RuleSights {
  /** What this process knows to be stored, so that nothing is read or written where nothing changes. */
  const known = new Map<string, RuleSight['sight']>();
  let knownAt = performance.now();
  let forgotAt = Number.NEGATIVE_INFINITY;

  async function records(deploymentId?: string): Promise<readonly StoredRecord[]> {
    const where =
      deploymentId === undefined ? {} : { where: columnIs('deploymentId', deploymentId) };
    const all: StoredRecord[] = [];
    for await (const record of everyRecord(scope, 'rule_sight', where)) all.push(record);
    return all;
  }

  return {
    async note(deploymentId, readings, at) {
      const seen = readings.map(({ rule, verdicts }) => ({
        id: `${deploymentId}:${rule.name}`,
        rule: rule.name,
        ...sightOf(verdicts),
      }));
      // Another process may have had its turn since.
      if (performance.now() - knownAt > knownMs) {
        known.clear();
        knownAt = performance.now();
      }
      if (seen.every(({ id, sight }) => (known.get(id) ?? 'unknown') === sight)) return;
      const stored = new Map((await records(deploymentId)).map((each) => [each.id, each]));
      const changes = seen.flatMap(({ id, rule, sight, message }): Change[] => {
        const record = stored.get(id);
        if ((record?.columns['sight'] ?? 'OK') === sight) return [];
        const body = message === undefined ? {} : { message: storableText(message, 1000) };
        const moving = { sight, since: at };
        if (record === undefined) {
          const columns = { deploymentId, rule, ...moving };
          return [{ op: 'create', kind: 'rule_sight', id, columns, body }];
        }
        const expect = record.revision;
        return [{ op: 'replace', kind: 'rule_sight', id, expect, columns: moving, body }];
      });
      try {
        await commitChanges(scope, changes);
        for (const { id, sight } of seen) known.set(id, sight);
      } catch (error) {
        // Another evaluator has noted it; the next round looks again.
        if (!isKeelsonError(error, 'STALE', 'CONFLICT')) throw error;
      }
    },

    async forget(isInForce) {
      if (performance.now() - forgotAt < knownMs) return;
      forgotAt = performance.now();
      const gone = (await records()).filter(
        ({ columns }) => !isInForce(columns['deploymentId'] as string, columns['rule'] as string),
      );
      for (const { id } of gone) known.delete(id);
      await commitChanges(
        scope,
        gone
          .slice(0, 400)
          .map(({ id, revision }) => ({ op: 'remove', kind: 'rule_sight', id, expect: revision })),
      );
    },

    async list(deploymentId) {
      return (await records(deploymentId)).map(({ columns, body }) => ({
        deploymentId: columns['deploymentId'] as string,
        rule: columns['rule'] as string,
        sight: columns['sight'] as RuleSight['sight'],
        since: columns['since'] as number,
        ...(typeof body['message'] === 'string' ? { message: body['message'] } : {}),
      }));
    },
  };
}

function sightOf(verdicts: RuleReading['verdicts']): Pick<RuleSight, 'sight' | 'message'> {
  const blind = verdicts.find((verdict) => verdict.blind === 'ERROR') ?? verdicts[0];
  const isBlind =
    blind?.blind === 'ERROR' || verdicts.every(({ blind: each }) => each !== undefined);
  if (!isBlind || blind?.blind === undefined) return { sight: 'OK' };
  return { sight: blind.blind, message: blind.summary };
}
