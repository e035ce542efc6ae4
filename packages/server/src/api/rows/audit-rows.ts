import type { AuditEntry, AuditFilter, AuditReport } from '@keelson/core';
import { z } from 'zod';
import type { Route } from '../route.ts';
import { answered, looseObject, time, whole } from '../schemas.ts';

interface EntryQuery {
  readonly subject?: string;
  readonly principal?: string;
  readonly action?: string;
  /** The newest so many. */
  readonly limit?: number;
}

interface Entries {
  readonly entries: readonly AuditEntry[];
  /** Whether there are older ones. */
  readonly more: boolean;
}

const text = z.string().min(1).optional();

/** Who did what, in chains that cannot be altered unseen. */
export const auditRows: {
  readonly entries: Route<EntryQuery, Entries>;
  readonly verify: Route<object, AuditReport>;
} = {
  entries: {
    method: 'GET',
    path: '/audit/entries',
    summary: 'Entries of the audit trail, newest first',
    permission: 'audit.read',
    query: {
      subject: text.describe('Such as model:fraud'),
      principal: text,
      action: text.describe('A type of event, such as model.promoted'),
      limit: z.number().int().min(1).max(1000).describe('100 when left out').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<Entries>('AuditEntries', {
        entries: z.array(
          answered<AuditEntry>('AuditEntry', {
            subject: z.string(),
            sequence: whole,
            at: time,
            principal: z.string(),
            action: z.string(),
            reason: z.string().optional(),
            correlationId: z.string().optional(),
            attests: z.array(looseObject),
            previous: z.string(),
            digest: z.string(),
          }),
        ),
        more: z.boolean(),
      }),
    },
    example: { subject: 'model:churn', limit: 10 },
    async run({ services, input: { limit = 100, ...filter } }) {
      let entries: AuditEntry[] = [];
      let more = false;
      for await (const entry of services.operations.audit.entries(filter as AuditFilter)) {
        entries.push(entry);
        if (entries.length < 2 * limit) continue;
        more = true;
        entries = entries.slice(-limit);
      }
      more ||= entries.length > limit;
      return { entries: entries.slice(-limit).toReversed(), more };
    },
  },
  verify: {
    method: 'POST',
    path: '/audit/verify',
    summary: 'Whether the audit trail is whole: every link, seal, event and record of it',
    permission: 'audit.read',
    answers: {
      as: 'json',
      schema: answered<AuditReport>('AuditReport', {
        intact: z.boolean(),
        broken: looseObject.optional(),
        problems: z.array(looseObject),
        problemCount: whole,
        seals: whole,
        events: whole,
        entries: whole,
        subjects: whole,
        archivedEvents: whole,
        erased: whole,
        imported: whole,
        coming: z.array(z.string()),
        unsealed: z.looseObject({ entries: whole, events: whole }),
        lastSeal: looseObject.optional(),
      }),
    },
    example: {},
    run: ({ services, signal }) => services.operations.audit.verify({ signal }),
  },
};
