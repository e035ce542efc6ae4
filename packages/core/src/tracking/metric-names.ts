import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { MetricDirection } from './metric-direction.ts';
import type { MetricName } from './metric-name.ts';

/** What is to be agreed on about a metric. */
export interface NewMetricName {
  /** 1 to 255 characters. */
  readonly name: string;
  /** At most 100. */
  readonly aliases?: readonly string[];
  readonly direction?: MetricDirection;
  /** At most 50 characters. */
  readonly unit?: string;
  /** At most 2,048 characters. */
  readonly description?: string;
}

/** The names of metrics that a workspace has agreed on. Points keep the key that they were logged under. */
export interface MetricNames {
  /**
   * Defines a metric, or defines it anew: what is left out is removed. CONFLICT, naming both, where a name
   * or an alias stands for another metric already.
   */
  defineMetric(metric: NewMetricName): Promise<MetricName>;
  /** By name or alias. */
  findMetricName(spelling: string): Promise<MetricName | undefined>;
  /** All of the workspace, by name ascending. */
  listMetricNames(): Promise<readonly MetricName[]>;
  /** Removes a metric's name and aliases, not its points. NOT_FOUND when there is no such name. */
  removeMetricName(name: string): Promise<void>;
}

const shape = z.strictObject({
  name: z.string(),
  aliases: z.array(z.string()).max(100).optional(),
  direction: z.enum(['higher', 'lower']).optional(),
  unit: z.string().optional(),
  description: z.string().optional(),
} satisfies Record<keyof NewMetricName, z.ZodType>);

/** The names of metrics, bound to a scope. */
export function createMetricNames(scope: Scope): MetricNames {
  const { metadata, workspace } = scope;

  async function bySpelling(spellings: readonly string[]): Promise<readonly StoredRecord[]> {
    const left = { from: 'column', name: 'spelling' } as const;
    const where = { op: 'in', left, values: spellings } as const;
    const query = { where, limit: 1000 };
    return (await metadata.query(workspace, 'metric_name', query)).records;
  }

  async function byCanonical(name: string): Promise<readonly StoredRecord[]> {
    const left = { from: 'column', name: 'canonical' } as const;
    const where = { op: 'compare', left, cmp: '=', value: name } as const;
    return (await metadata.query(workspace, 'metric_name', { where, limit: 1000 })).records;
  }

  async function all(): Promise<readonly StoredRecord[]> {
    const records: StoredRecord[] = [];
    let cursor: string | undefined;
    do {
      const page = await metadata.query(workspace, 'metric_name', {
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      records.push(...page.records);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return records;
  }

  async function find(spelling: string): Promise<MetricName | undefined> {
    const [record] = await bySpelling([assertText(spelling, 'A metric name')]);
    if (record === undefined) return undefined;
    return namesFrom(await byCanonical(record.columns['canonical'] as string))[0];
  }

  async function define(metric: NewMetricName): Promise<MetricName> {
    const spellings = [metric.name, ...(metric.aliases ?? [])];
    await decideAndCommit(scope, async () => {
      const taken = await bySpelling(spellings);
      for (const record of taken) assertOwn(record, metric.name);
      const former = await byCanonical(metric.name);
      const changes = defining(metric, former, () => scope.ids.next());
      return { changes, result: undefined };
    });
    return (await find(metric.name)) as MetricName;
  }

  return {
    async defineMetric(metric) {
      assertMetricName(metric);
      await assertAllowed(scope, 'metric.define', `metric-name:${metric.name}`);
      try {
        return await define(metric);
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT') || error.details['unique'] === undefined)
          throw error;
        // Another has taken a spelling meanwhile: looked at again, it says which and for what.
        return define(metric);
      }
    },

    findMetricName: find,

    async listMetricNames() {
      return namesFrom(await all());
    },

    async removeMetricName(name) {
      assertText(name, 'A metric name');
      await assertAllowed(scope, 'metric.define', `metric-name:${name}`);
      await decideAndCommit(scope, async () => {
        const records = await byCanonical(name);
        if (records.length === 0) {
          throw new KeelsonError('NOT_FOUND', `There is no metric name ${JSON.stringify(name)}.`, {
            details: { name },
          });
        }
        return { changes: records.map(removal), result: undefined };
      });
    },
  };
}

function assertMetricName(metric: NewMetricName): void {
  checkOptions(shape, metric, 'A metric name');
  assertText(metric.unit ?? '', 'A unit', 50);
  assertText(metric.description ?? '', 'A description', 2048);
  const spellings = [metric.name, ...(metric.aliases ?? [])];
  for (const spelling of spellings) {
    if (assertText(spelling, 'A metric name', 255) === '')
      throw new KeelsonError('INVALID', 'A metric name is empty.');
  }
  const twice = spellings.find((spelling, i) => spellings.indexOf(spelling) !== i);
  if (twice === undefined) return;
  throw new KeelsonError('INVALID', `The name ${JSON.stringify(twice)} is given twice.`);
}

function assertOwn(record: StoredRecord, name: string): void {
  const { spelling, canonical } = record.columns;
  if (canonical === name) return;
  const what = spelling === canonical ? 'is a metric of its own' : `is an alias of ${canonical}`;
  throw new KeelsonError(
    'CONFLICT',
    `${JSON.stringify(spelling)} ${what}; it cannot stand for ${JSON.stringify(name)} too. Change that definition first.`,
    { details: { spelling: String(spelling), canonical: String(canonical), name } },
  );
}

/** What leads from the records of a metric's spellings to those that it is to have. */
function defining(
  metric: NewMetricName,
  former: readonly StoredRecord[],
  nextId: () => string,
): Change[] {
  const { name, aliases = [], direction, unit, description = '' } = metric;
  const known = new Map(former.map((record) => [record.columns['spelling'], record]));
  const changes: Change[] = [];
  for (const spelling of [name, ...aliases]) {
    const own = spelling === name;
    const columns = own ? { canonical: name, direction, unit } : { canonical: name };
    const body = own ? { description } : {};
    const there = known.get(spelling);
    known.delete(spelling);
    if (there === undefined) {
      const created = { ...columns, spelling };
      changes.push({ op: 'create', kind: 'metric_name', id: nextId(), columns: created, body });
    } else if (own) {
      const { id, revision } = there;
      changes.push({ op: 'replace', kind: 'metric_name', id, expect: revision, columns, body });
    }
  }
  return [...changes, ...[...known.values()].map(removal)];
}

function removal(record: StoredRecord): Change {
  return { op: 'remove', kind: 'metric_name', id: record.id, expect: record.revision };
}

function namesFrom(records: readonly StoredRecord[]): readonly MetricName[] {
  const aliases = new Map<string, string[]>();
  for (const { columns } of records) {
    const canonical = columns['canonical'] as string;
    const of = aliases.get(canonical) ?? [];
    if (columns['spelling'] !== canonical) of.push(columns['spelling'] as string);
    aliases.set(canonical, of);
  }
  return records
    .filter(({ columns }) => columns['spelling'] === columns['canonical'])
    .map((record) => toName(record, aliases.get(record.columns['canonical'] as string) ?? []))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function toName({ columns, body }: StoredRecord, aliases: readonly string[]): MetricName {
  const { direction, unit } = columns;
  const { description } = body;
  return {
    name: columns['canonical'] as string,
    aliases: aliases.toSorted(),
    ...(direction === undefined ? {} : { direction: direction as MetricDirection }),
    ...(unit === undefined ? {} : { unit: unit as string }),
    ...(typeof description === 'string' && description !== '' ? { description } : {}),
  };
}
