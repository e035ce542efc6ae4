import { z } from 'zod';
import { checkOptions, signalOption } from '../../check-options.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { assertText } from '../../json.ts';
import { assertAllowed, commitChanges } from '../decide-and-commit.ts';
import { everyRecord } from '../every-record.ts';
import { erasedKind } from './attested-things.ts';
import { type AuditEntry, entryFromRecord, entryKind } from './audit-entry.ts';
import { type AuditExportOptions, exportAudit } from './audit-export.ts';
import type { AuditReport } from './audit-report.ts';
import { type AuditVerifyOptions, verifyAudit } from './audit-verification.ts';
import {
  type ErasedContent,
  type Erasure,
  eraseEvents,
  erasePredictions,
  eraseTags,
  sizeOf,
} from './erasure.ts';
import { findContent } from './find-content.ts';
import { sealWorkspace } from './sealing.ts';

/** Which entries. Several conditions hold together. */
export interface AuditFilter {
  /** Such as `model:fraud`: in the order of its chain. Without it, entries come in the order of their times. */
  readonly subject?: string;
  readonly principal?: string;
  /** A type of event, such as `model.promoted`, or what was done to a record, such as `route changed`. */
  readonly action?: string;
  /** From this time on, in epoch ms. */
  readonly since?: number | Date;
  /** Before this time. */
  readonly until?: number | Date;
}

/** One thing that was erased. */
export interface ErasedThing {
  /** Of the call that erased it. */
  readonly erasureId: string;
  /** The id of the event; `event_archive:<id>` of an archive that was put in place of. */
  readonly what: string;
  /** Epoch ms. */
  readonly at: number;
  readonly by: string;
}

/** Who did what, in chains that cannot be altered unseen. */
export interface Audit {
  /**
   * Whether the trail is whole: every link of every chain, every event that is sealed, every revision of a
   * record that is attested. Names the first thing that was altered, removed or put in, and how much no seal
   * covers yet. ABORTED by its signal.
   */
  verify(options?: AuditVerifyOptions): Promise<AuditReport>;
  /** The entries that match. */
  entries(filter?: AuditFilter): AsyncIterable<AuditEntry>;
  /**
   * The trail as lines of JSON, each with its line feed, for people who have nothing of this platform: the first
   * says how it is verified. `docs/verify-audit-export.mjs` does it.
   */
  export(options?: AuditExportOptions): AsyncIterable<string>;
  /**
   * Where a text stands (a person's address, a customer's number): events, tags of runs, predictions. To be
   * looked at, and handed to `erase`. Reads all there is of them.
   */
  findContent(
    text: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Required<ErasedContent>>;
  /**
   * Erases content for good; the chains stay whole, because they hold salted digests, and the salts are destroyed:
   * `verify` counts what was erased, `erasures` tells by whom. At most 1,000 events, runs, or requests of a
   * deployment in a call. Killed or failed, the same call goes on.
   */
  erase(content: ErasedContent & { readonly reason: string }): Promise<Erasure>;
  /** Each thing that was erased out of what is attested. */
  erasures(): AsyncIterable<ErasedThing>;
  /** Seals now what happened until now; answers how many seals were made. A loop of `platform.start()` does it by the minute. */
  seal(options?: { readonly signal?: AbortSignal }): Promise<number>;
}

const time = z.union([
  z.number().refine((value) => !Number.isNaN(value), 'must be a time'),
  z.date(),
]);
const text = z.string().min(1);
const filterShape = z.strictObject({
  subject: text.optional(),
  principal: text.optional(),
  action: text.optional(),
  since: time.optional(),
  until: time.optional(),
} satisfies Record<keyof AuditFilter, z.ZodType>);
const verifyShape = z.strictObject({
  anchor: z.strictObject({ number: z.int().min(1).max(1e9), digest: z.string() }).optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof AuditVerifyOptions, z.ZodType>);
const exportShape = z.strictObject({
  subject: text.optional(),
  events: z.boolean().optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof AuditExportOptions, z.ZodType>);
const eraseShape = z.strictObject({
  events: z.array(text).max(1000).optional(),
  tags: z
    .array(z.strictObject({ runId: text, keys: z.array(text).max(1000) }))
    .max(1000)
    .optional(),
  predictions: z
    .array(z.strictObject({ deploymentId: text, requestIds: z.array(text).max(1000) }))
    .max(1000)
    .optional(),
  reason: text.max(2000),
} satisfies Record<keyof ErasedContent | 'reason', z.ZodType>);
const sealShape = z.strictObject({ signal: signalOption.optional() });

/** The audit of a workspace. */
export function createAudit(
  scope: Scope,
  /** Writes the embedded store anew; answers whether nothing of what was deleted is left. */
  compact?: () => Promise<boolean>,
): Audit {
  const here = `workspace:${scope.workspace}`;
  return {
    async verify(options = {}) {
      checkOptions(verifyShape, options, 'audit.verify');
      await assertAllowed(scope, 'audit.read', here);
      return verifyAudit(scope, options);
    },

    entries(filter = {}) {
      checkOptions(filterShape, filter, 'audit.entries');
      return entriesOf(scope, filter);
    },

    export(options = {}) {
      checkOptions(exportShape, options, 'audit.export');
      return exportAudit(scope, options);
    },

    async findContent(text, options = {}) {
      const { signal } = checkOptions(sealShape, options, 'audit.findContent');
      if (assertText(text, 'The text to be found') === '') {
        throw new KeelsonError('INVALID', 'The text to be found is empty: it stands everywhere.');
      }
      await assertAllowed(scope, 'audit.manage', here);
      return findContent(scope, text, signal);
    },

    async erase(content) {
      checkOptions(eraseShape, content, 'audit.erase');
      await assertAllowed(scope, 'audit.manage', here);
      const { events = [], tags = [], predictions = [], reason } = content;
      const erasureId = scope.ids.next();
      const event = draftEvent(scope, {
        type: 'audit.erased',
        subject: `erasure:${erasureId}`,
        source: 'operations',
        payload: { erasureId, reason, ...sizeOf(content) },
      });
      await commitChanges(scope, [{ op: 'emit', event }], reason);
      await eraseTags(scope, tags, reason);
      const rows = await erasePredictions(scope, predictions);
      const gone = await eraseEvents(scope, events, { erasureId, reason });
      const compacted = (await compact?.()) ?? false;
      return {
        id: erasureId,
        events: gone,
        tags: sizeOf({ tags }).tags,
        predictions: rows,
        compacted,
      };
    },

    async *erasures() {
      for await (const { id, columns } of everyRecord(scope, erasedKind)) {
        const { erasureId, at, by } = columns;
        yield { erasureId: erasureId as string, what: id, at: at as number, by: by as string };
      }
    },

    async seal(options = {}) {
      const { signal } = checkOptions(sealShape, options, 'audit.seal');
      await assertAllowed(scope, 'audit.manage', here);
      return sealWorkspace(scope, signal);
    },
  };
}

async function* entriesOf(
  scope: Scope,
  filter: AuditFilter,
): AsyncGenerator<AuditEntry, void, undefined> {
  const { subject, principal, action, since, until } = filter;
  const of: Predicate[] = [];
  const where = (name: string, cmp: '=' | '>=' | '<', value: string | number | undefined): void => {
    if (value !== undefined) of.push({ op: 'compare', left: { from: 'column', name }, cmp, value });
  };
  where('subject', '=', subject);
  where('principal', '=', principal);
  where('action', '=', action);
  where('at', '>=', since === undefined ? undefined : Number(since));
  where('at', '<', until === undefined ? undefined : Number(until));
  const by = { from: 'column', name: subject === undefined ? 'at' : 'sequence' } as const;
  const orderBy = [{ by, direction: 'asc' as const }];
  for await (const record of everyRecord(scope, entryKind, { where: { op: 'and', of }, orderBy })) {
    yield entryFromRecord(record);
  }
}
