import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, assertText, encodeJson, type JsonObject } from '../../json.ts';
import { assertAllowed, decideAndCommit } from '../../operations/decide-and-commit.ts';
import type { DataTable } from '../data-columns.ts';
import { type Baseline, type BaselineOptions, baselineOf } from './baseline.ts';
import { baselineFromRecord, type StoredBaseline } from './stored-baseline.ts';

/** What a version's data is compared with from now on. */
export interface SetBaselineOptions extends BaselineOptions {
  readonly deployment: { readonly id: string; readonly name: string };
  readonly versionId: string;
  /** Rows or columns, such as the training data; or a baseline that was made elsewhere. */
  readonly reference: DataTable | Baseline;
  readonly reason?: string;
}

/** Keeps the baselines of deployments. */
export interface Baselines {
  set(options: SetBaselineOptions): Promise<StoredBaseline>;
  /** The one in force for a version; of the version whose baseline was set last when left out. */
  find(deploymentId: string, versionId?: string): Promise<StoredBaseline | undefined>;
  /** Newest first. */
  list(deploymentId: string): Promise<readonly StoredBaseline[]>;
}

/** A record's body has room for so much. */
const maxBytes = 900_000;
/** What is stored has a smaller sample than a baseline that is used at once. */
const storedSample = 200;

/** Tells of a new baseline in the commit that makes it. */
export type TellOfBaseline = (
  name: string,
  told: {
    readonly deploymentId: string;
    readonly versionId: string;
    readonly at: number;
    readonly reason?: string;
  },
) => Change;

/** {@link Baselines} of a scope. */
export function createBaselines(scope: Scope, tell: TellOfBaseline): Baselines {
  const { metadata, workspace } = scope;

  async function current(
    deploymentId: string,
    versionId?: string,
  ): Promise<StoredBaseline | undefined> {
    const where: Predicate =
      versionId === undefined
        ? {
            op: 'and',
            of: [
              equals('deploymentId', deploymentId),
              { op: 'present', left: column('currentKey') },
            ],
          }
        : equals('currentKey', keyOf(deploymentId, versionId));
    const { records } = await metadata.query(workspace, 'baseline', {
      where,
      orderBy: [{ by: column('setAt'), direction: 'desc' }],
      limit: 1,
    });
    return records[0] && baselineFromRecord(records[0]);
  }

  async function set(given: SetBaselineOptions): Promise<StoredBaseline> {
    const { deployment, versionId, reference, reason, ...how } = checked(given);
    await assertAllowed(scope, 'monitor.manage', `deployment:${deployment.name}`);
    const baseline = isBaseline(reference)
      ? reference
      : baselineOf(reference, { sample: storedSample, ...how });
    assertWatchable(baseline);
    const id = scope.ids.next();
    const put = () =>
      decideAndCommit(scope, async () => {
        const setAt = scope.clock.now();
        const key = keyOf(deployment.id, versionId);
        const { records } = await metadata.query(workspace, 'baseline', {
          where: equals('currentKey', key),
          limit: 1,
        });
        const [before] = records;
        const retired: Change[] =
          before === undefined
            ? []
            : [
                {
                  op: 'replace',
                  kind: 'baseline',
                  id: before.id,
                  expect: before.revision,
                  columns: { currentKey: undefined },
                },
              ];
        const body = {
          deployment: deployment.name,
          baseline,
          ...(reason === undefined ? {} : { reason }),
        };
        return {
          changes: [
            ...retired,
            {
              op: 'create',
              kind: 'baseline',
              id,
              columns: { deploymentId: deployment.id, versionId, setAt, currentKey: key },
              body: asJson(body) as JsonObject,
            },
            tell(deployment.name, {
              ...{ deploymentId: deployment.id, versionId, at: setAt },
              ...(reason === undefined ? {} : { reason }),
            }),
          ],
          result: undefined,
          ...(reason === undefined ? {} : { reason }),
        };
      });
    try {
      await put();
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
      // Another has set the first one meanwhile: now it is there, and gives way.
      await put();
    }
    const record = await metadata.find(workspace, 'baseline', id);
    if (record === undefined) throw new KeelsonError('NOT_FOUND', `There is no baseline ${id}.`);
    return baselineFromRecord(record);
  }

  return {
    set,
    find: current,
    async list(deploymentId) {
      const { records } = await metadata.query(workspace, 'baseline', {
        where: equals('deploymentId', deploymentId),
        orderBy: [{ by: column('setAt'), direction: 'desc' }],
        limit: 100,
      });
      return records.map(baselineFromRecord);
    },
  };
}

const setShape = z.looseObject({
  deployment: z.looseObject({ id: z.string().min(1), name: z.string().min(1) }),
  versionId: z.string().min(1),
  reason: z.string().optional(),
});

function checked(given: SetBaselineOptions): SetBaselineOptions {
  checkOptions(setShape, given, 'monitoring.setBaseline');
  assertText(given.deployment.id, 'The id of a deployment');
  assertText(given.deployment.name, 'The name of a deployment');
  assertText(given.versionId, 'A version id');
  return given;
}

function assertWatchable(baseline: Baseline): void {
  if (baseline.features.length === 0) {
    const why = baseline.setAside.map(({ feature, reason }) => `${feature}: ${reason}`).join('; ');
    throw new KeelsonError(
      'INVALID',
      `The reference has no column that can be watched${why === '' ? '' : ` (${why})`}.`,
    );
  }
  const bytes = Buffer.byteLength(encodeJson(baseline));
  if (bytes <= maxBytes) return;
  throw new KeelsonError(
    'INVALID',
    `The baseline of ${baseline.features.length} features takes ${bytes} bytes, and at most ${maxBytes} can be kept. Name fewer columns, or give fewer bins, categories or a smaller sample.`,
  );
}

function isBaseline(reference: DataTable | Baseline): reference is Baseline {
  return !Array.isArray(reference) && (reference as Partial<Baseline>).format === 1;
}

function keyOf(deploymentId: string, versionId: string): string {
  return `${deploymentId}:${versionId}`;
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}

function equals(name: string, value: string): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}
