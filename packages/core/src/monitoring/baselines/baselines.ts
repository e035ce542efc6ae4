import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Route } from '../../contracts/traffic-router.ts';
import { mainTarget } from '../../deployments/deployment.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, canonicalJson, encodeJson, type JsonObject } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs } from '../../operations/every-record.ts';
import type { Baseline } from './baseline.ts';
import { type BaselineSource, baselineFromRecord, type StoredBaseline } from './stored-baseline.ts';

/** A baseline that is to be in force. */
export interface NewBaseline {
  readonly deployment: { readonly id: string; readonly name: string };
  readonly versionId: string;
  readonly baseline: Baseline;
  readonly source: BaselineSource;
  readonly provisional?: boolean;
  readonly reason?: string | undefined;
  /** `any`: one that is in force stays; `same`: it stays where it is equal. It gives way when left out. */
  readonly keep?: 'any' | 'same';
}

/** Keeps the baselines of deployments. */
export interface Baselines {
  /** Answers the one that is in force then. INVALID where nothing in it can be watched, or too much. */
  put(given: NewBaseline): Promise<StoredBaseline>;
  /**
   * The one in force for a version; when left out of the version that most requests go to, else of the one whose
   * baseline was set last.
   */
  find(deploymentId: string, versionId?: string): Promise<StoredBaseline | undefined>;
  /** Newest first. */
  list(deploymentId: string): Promise<readonly StoredBaseline[]>;
}

/** A record's body has room for so much. */
const maxBytes = 900_000;

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

/** {@link Baselines} of a scope; `changed` is told, in this process, of a deployment that has a new one. */
export function createBaselines(
  scope: Scope,
  tell: TellOfBaseline,
  changed: (deploymentId: string) => void = () => undefined,
): Baselines {
  const { metadata, workspace } = scope;

  async function first(where: Predicate): Promise<StoredBaseline | undefined> {
    const { records } = await metadata.query(workspace, 'baseline', {
      where,
      orderBy: [{ by: column('setAt'), direction: 'desc' }],
      limit: 1,
    });
    return records[0] && baselineFromRecord(records[0]);
  }

  async function find(
    deploymentId: string,
    versionId?: string,
  ): Promise<StoredBaseline | undefined> {
    if (versionId !== undefined)
      return first(columnIs('currentKey', keyOf(deploymentId, versionId)));
    const route = await metadata.find(workspace, 'route', deploymentId);
    const main = route && mainTarget(route.body as unknown as Route);
    const found = main && (await first(columnIs('currentKey', keyOf(deploymentId, main))));
    if (found) return found;
    return first({
      op: 'and',
      of: [columnIs('deploymentId', deploymentId), { op: 'present', left: column('currentKey') }],
    });
  }

  async function put(given: NewBaseline): Promise<StoredBaseline> {
    const { deployment, versionId, baseline, source, provisional, reason, keep } = given;
    assertWatchable(baseline);
    const why = reason === undefined ? {} : { reason };
    const decide = (): Promise<string> =>
      decideAndCommit(scope, async () => {
        const setAt = scope.clock.now();
        const key = keyOf(deployment.id, versionId);
        const { records } = await metadata.query(workspace, 'baseline', {
          where: columnIs('currentKey', key),
          limit: 1,
        });
        const [before] = records;
        const stays =
          before !== undefined &&
          (keep === 'any' ||
            (keep === 'same' &&
              canonicalJson(baselineFromRecord(before).baseline) === canonicalJson(baseline)));
        if (stays) return { changes: [], result: before.id };
        const id = scope.ids.next();
        const columns = { deploymentId: deployment.id, versionId, setAt, currentKey: key };
        const body = asJson({
          ...{ deployment: deployment.name, baseline, source, ...why },
          ...(provisional === true ? { provisional } : {}),
        }) as JsonObject;
        return {
          changes: [
            ...(before === undefined ? [] : [retired(before)]),
            { op: 'create', kind: 'baseline', id, columns, body },
            tell(deployment.name, { deploymentId: deployment.id, versionId, at: setAt, ...why }),
          ],
          result: id,
          ...why,
        };
      });
    const id = await decide().catch((error: unknown) => {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
      // Another has set the first one meanwhile: now it is there, and stays or gives way.
      return decide();
    });
    changed(deployment.id);
    const record = await metadata.find(workspace, 'baseline', id);
    if (record === undefined) throw new KeelsonError('NOT_FOUND', `There is no baseline ${id}.`);
    return baselineFromRecord(record);
  }

  return {
    put,
    find,
    async list(deploymentId) {
      const { records } = await metadata.query(workspace, 'baseline', {
        where: columnIs('deploymentId', deploymentId),
        orderBy: [{ by: column('setAt'), direction: 'desc' }],
        limit: 100,
      });
      return records.map(baselineFromRecord);
    },
  };
}

function retired({ id, revision }: { readonly id: string; readonly revision: number }): Change {
  return {
    ...{ op: 'replace', kind: 'baseline', id, expect: revision },
    columns: { currentKey: undefined },
  };
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

function keyOf(deploymentId: string, versionId: string): string {
  return `${deploymentId}:${versionId}`;
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}
