import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { RevisionEntry, StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, assertText, canonicalJson, type JsonObject } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { type AlertRule, checkAlertRule, figuresOf } from './alert-rule.ts';

/** A rule as it is kept. */
export interface StoredAlertRule extends AlertRule {
  readonly id: string;
  readonly revision: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Which rule of a name is meant: that of a deployment, or the general one. */
export interface RuleOf {
  /** The deployment's name; the general rule when left out. */
  readonly deployment?: string;
}

/** Keeps alert rules, with the history of each. */
export interface RuleStore {
  put(rule: AlertRule, reason?: string): Promise<StoredAlertRule>;
  /** Undefined where there is none. */
  find(name: string, of?: RuleOf): Promise<StoredAlertRule | undefined>;
  /** NOT_FOUND where there is none. */
  get(name: string, of?: RuleOf): Promise<StoredAlertRule>;
  /** All, or those in force for a deployment: its own, and the general ones that it has none of the name of. */
  list(of?: RuleOf): Promise<readonly StoredAlertRule[]>;
  /** Nothing happens where there is none. */
  remove(name: string, of?: RuleOf & { readonly reason?: string }): Promise<void>;
  history(name: string, of?: RuleOf): Promise<readonly RevisionEntry[]>;
}

const ofShape = z.strictObject({
  deployment: z.string().min(1).max(1000).optional(),
  reason: z.string().max(10_000).optional(),
});

/** {@link RuleStore} of a scope; `figures` are the names that a rule may read. */
export function createRuleStore(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'ids'>,
  figures: () => readonly string[],
): RuleStore {
  const { metadata, workspace } = scope;

  async function recordOf(name: string, of: RuleOf): Promise<StoredRecord | undefined> {
    const query = { where: columnIs('key', keyOf(name, of)), limit: 1 };
    return (await metadata.query(workspace, 'alert_rule', query)).records[0];
  }

  function assertFigures(rule: AlertRule): void {
    const known = figures();
    const unknown = figuresOf(rule).filter((each) => !known.includes(each));
    if (unknown.length === 0) return;
    throw new KeelsonError(
      'INVALID',
      `The alert rule ${JSON.stringify(rule.name)} reads ${unknown.join(', ')}, which is no figure; there are ${[...known].sort().join(', ')}.`,
      { details: { unknown } },
    );
  }

  async function write(rule: AlertRule, reason: string | undefined): Promise<void> {
    await decideAndCommit(scope, async () => {
      const found = await recordOf(rule.name, rule);
      const body = asJson(rule) as JsonObject;
      const enabled = rule.enabled ?? true;
      const why = reason === undefined ? {} : { reason };
      if (found === undefined) {
        const { name, deployment } = rule;
        const columns = { key: keyOf(name, rule), name, deployment, enabled };
        const create = { op: 'create', kind: 'alert_rule', id: scope.ids.next(), columns, body };
        return { changes: [create as never], result: undefined, ...why };
      }
      // Stores may give keys back in another order.
      if (canonicalJson(found.body) === canonicalJson(body)) {
        return { changes: [], result: undefined };
      }
      const { id, revision: expect } = found;
      const replace = { op: 'replace', kind: 'alert_rule', id, expect, columns: { enabled }, body };
      return { changes: [replace as never], result: undefined, ...why };
    });
  }

  const store: RuleStore = {
    async put(given, reason) {
      const rule = checkAlertRule(given);
      assertFigures(rule);
      try {
        await write(rule, reason);
      } catch (error) {
        // Somebody else made it in between.
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        await write(rule, reason);
      }
      const { name, deployment } = rule;
      return store.get(name, deployment === undefined ? {} : { deployment });
    },

    async find(name, of = {}) {
      assertText(name, 'The name of an alert rule', 100);
      checkOptions(ofShape, of, 'monitoring.alertRules');
      const { deployment } = of;
      const record = await recordOf(name, deployment === undefined ? {} : { deployment });
      return record && ruleFromRecord(record);
    },

    async get(name, of = {}) {
      const found = await store.find(name, of);
      if (found !== undefined) return found;
      const whose = of.deployment === undefined ? '' : ` of deployment ${of.deployment}`;
      throw new KeelsonError(
        'NOT_FOUND',
        `There is no alert rule ${JSON.stringify(name)}${whose}; monitoring.alertRules.list says which there are.`,
      );
    },

    async list(of = {}) {
      checkOptions(ofShape, of, 'monitoring.alertRules.list');
      const all: StoredAlertRule[] = [];
      for await (const record of everyRecord(scope, 'alert_rule')) all.push(ruleFromRecord(record));
      all.sort((a, b) => (keyOf(a.name, a) < keyOf(b.name, b) ? -1 : 1));
      return of.deployment === undefined ? all : rulesFor(all, of.deployment);
    },

    async remove(name, of = {}) {
      assertText(name, 'The name of an alert rule', 100);
      checkOptions(ofShape, of, 'monitoring.alertRules.remove');
      await decideAndCommit(scope, async () => {
        const found = await recordOf(name, of);
        const { reason } = of;
        const why = reason === undefined ? {} : { reason };
        if (found === undefined) return { changes: [], result: undefined };
        const { id, revision: expect } = found;
        const changes = [{ op: 'remove', kind: 'alert_rule', id, expect } as const];
        return { changes, result: undefined, ...why };
      });
    },

    async history(name, of = {}) {
      const { id } = await store.get(name, of);
      return metadata.history(workspace, 'alert_rule', id);
    },
  };
  return store;
}

/** Those of the rules that are in force for a deployment: its own take the place of general ones. */
export function rulesFor<T extends AlertRule>(all: readonly T[], deployment: string): readonly T[] {
  const own = all.filter((rule) => rule.deployment === deployment);
  const names = new Set(own.map(({ name }) => name));
  const general = all.filter((rule) => rule.deployment === undefined && !names.has(rule.name));
  return [...own, ...general];
}

function keyOf(name: string, { deployment }: RuleOf): string {
  // No deployment is called `*`: names are checked where they are given.
  return `${deployment ?? '*'} ${name}`;
}

function ruleFromRecord(record: StoredRecord): StoredAlertRule {
  const { id, revision, createdAt, updatedAt } = record;
  return { ...(record.body as unknown as AlertRule), id, revision, createdAt, updatedAt };
}
