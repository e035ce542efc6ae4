import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { BackupProgress, BackupReport } from '../contracts/backup.ts';
import type { Caretaker } from '../contracts/caretaker.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import type { Owners } from '../events/subscription.ts';
import { assertText } from '../json.ts';
import { type Access, createAccess } from './access.ts';
import type { AccessAuthorizer } from './access-authorizer.ts';
import { type RecordAsOf, recordAsOf } from './as-of.ts';
import { type Audit, createAudit } from './audit/audit.ts';
import { assertAllowed } from './decide-and-commit.ts';
import { collectGarbage, type GarbageOptions, type GarbageReport } from './garbage.ts';
import type { Health } from './health/health.ts';
import type { Incidents } from './incidents/incidents.ts';
import type { Notifications } from './notifiers/notifications.ts';
import { createOnce, type Once } from './once.ts';
import type { WorkspaceQuotas } from './quota-keeper.ts';
import { createQuotas, type Quotas } from './quotas.ts';
import {
  type ReconcileOptions,
  type ReconcileReport,
  reconcilePlatform,
} from './reconcile/reconcile.ts';
import type { Sagas } from './sagas.ts';
import { type VerifyOptions, type VerifyReport, verifyPlatform } from './verification.ts';

/** Care for what the platform keeps. */
export interface Operations extends Once, Health {
  /**
   * Frees what nobody needs any more: experiments and runs deleted longer than the retention, with all that
   * is theirs; then content that no run, model version or pipeline refers to; then leftovers of broken
   * uploads. In this workspace, while others work.
   */
  gc(options?: GarbageOptions): Promise<GarbageReport>;
  /**
   * Writes a backup of all workspaces into a directory that is absent or empty, while others work: what was
   * durable when it began, and every content that its records name. `verifyBackup` and `restoreBackup` read
   * it. A backup that was broken off is none, and goes on when it is made again into the same directory.
   * CONFLICT for a directory with a finished one; EXHAUSTED when the disk is full; UNSUPPORTED where the
   * records lie on a server, which has backups of its own.
   */
  backup(dir: string, options?: BackupOptions): Promise<BackupReport>;
  /**
   * Looks whether the database is whole and every content that records of this workspace name is there
   * (or, with `contents: 'read'`, is what was stored byte by byte), and names what is not.
   */
  verify(options?: VerifyOptions): Promise<VerifyReport>;
  /** What went wrong, how it was mended, and what was learned. */
  readonly incidents: Incidents;
  /** Who did what. */
  readonly audit: Audit;
  /**
   * Looks for what cannot be in this workspace: references that lead nowhere, times out of order, models that
   * disagree with their versions, contents that are missing, damaged or nobody's; with `mend` it mends what
   * needs no person's decision, and says what it did.
   */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>;
  /**
   * Time travel: a record of a kind with history (`run`, `model_version`, `route`, `rollout` …) as it was at a
   * time, with who made it so; `undefined` where it was not there. Models, deployments, routes and experiments
   * are found by their names too. Tags, params and metrics have no revisions and are not in it. INVALID for kinds
   * without history.
   */
  asOf(kind: string, id: string, at: number | Date): Promise<RecordAsOf | undefined>;
  /** Who may do what. Enforced where the platform was opened with `access`. */
  readonly access: Access;
  /**
   * The metrics of this process and of the platform's workspace, as Prometheus's text (format 0.0.4, to be
   * answered as `metricsContentType`). docs/observability/metrics.md lists them.
   */
  metrics(): Promise<string>;
  /** Those who tell people, and what became of what they were to deliver. */
  readonly notifications: Notifications;
  /**
   * Changes of several steps that end wholly done or wholly undone, whatever process dies. They are driven
   * by the loops of `platform.start()`, in every process that has added their definitions.
   */
  readonly sagas: Omit<Sagas, 'loops'>;
  /** What the workspace may use up. */
  readonly quotas: Quotas;
}

/** How a backup is made. */
export interface BackupOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BackupProgress) => void;
}

const backupShape = z.strictObject({
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof BackupOptions, z.ZodType>);

/** What operations need beside their scope. */
export interface OperationsParts {
  readonly incidents: Incidents;
  readonly owners: Owners;
  /** All that the platform keeps. */
  readonly kinds: readonly KindDeclaration[];
  /** Where the platform was opened with `access`. */
  readonly authorizer?: AccessAuthorizer;
  readonly quotas: WorkspaceQuotas;
  /** One for each room that keeps records. */
  readonly caretakers: readonly Caretaker[];
  readonly notifications: Notifications;
  readonly sagas: Sagas;
  metrics(): Promise<string>;
  /** Of the platform, whatever workspace this is. */
  health(): Health;
  collectLeftovers(olderThanMs: number): Promise<number>;
  /** Left out where the records are not ours to copy. */
  readonly backUp?: (dir: string, options: BackupOptions) => Promise<BackupReport>;
  /** Writes the database anew; answers whether no byte of what was deleted is left. */
  readonly compactDatabase?: () => Promise<boolean>;
  /** Problems of the database; left out where it is not ours to check. */
  readonly checkDatabase?: (signal: AbortSignal | undefined) => Promise<readonly string[]>;
}

/** Operations, bound to a workspace and a principal. */
export function createOperations(scope: Scope, parts: OperationsParts): Operations {
  const { loops: _, ...sagas } = parts.sagas;
  return {
    ...createOnce(scope, parts.owners),
    sagas,
    notifications: parts.notifications,
    metrics: () => parts.metrics(),
    health: (options) => parts.health().health(options),
    recoveries: (filter) => parts.health().recoveries(filter),
    serviceLevels: (options) => parts.health().serviceLevels(options),
    gc: (options) => collectGarbage(scope, parts, options),
    reconcile: (options) => reconcilePlatform(scope, parts, options),
    verify: (options) => verifyPlatform(scope, parts, options),
    incidents: parts.incidents,
    audit: createAudit(scope, parts.compactDatabase),
    async asOf(kind, id, at) {
      await assertAllowed(scope, 'audit.read', `workspace:${scope.workspace}`);
      return recordAsOf(scope, parts.kinds, { kind, id, at });
    },
    access: createAccess(scope, parts.authorizer),
    quotas: createQuotas(scope, parts.quotas),
    async backup(dir, options = {}) {
      checkOptions(backupShape, options, 'backup');
      assertText(dir, 'The directory of a backup');
      await assertAllowed(scope, 'platform.backup', 'platform');
      if (parts.backUp !== undefined) return await parts.backUp(dir, options);
      throw new KeelsonError(
        'UNSUPPORTED',
        'Records or series of this platform lie on a server that it was handed; back that up with its own tools (pg_dump, snapshots), and then the artifacts.',
      );
    },
  };
}
