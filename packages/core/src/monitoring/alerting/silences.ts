import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import type { AlertEventPayloads } from '../../events/catalogue/alert-events.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { commitChanges, decideAndCommit } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { type Labels, type Matchers, matchersShape, matcherTexts, matches } from './matchers.ts';

/** Which alerts nobody shall be told of, until when, and why. */
export interface SilenceOptions {
  readonly match: Matchers;
  /** Why; kept. */
  readonly reason: string;
  /** Epoch ms; this, or `forMs`. */
  readonly untilAt?: number;
  readonly forMs?: number;
  /** Now when left out. */
  readonly startsAt?: number;
  /** It ends before its time when nothing it matches has fired for so long, in ms. */
  readonly endWhenIdleForMs?: number;
}

/** A silence as it is kept. */
export interface Silence {
  readonly id: string;
  readonly match: Matchers;
  readonly reason: string;
  readonly by: string;
  readonly startsAt: number;
  readonly endsAt: number;
  readonly endWhenIdleForMs?: number;
  /** When it last matched something that fired. */
  readonly matchedAt?: number;
  readonly ended?: { readonly at: number; readonly by: string; readonly reason: string };
}

/** Silences of a workspace. */
export interface SilenceStore {
  create(options: SilenceOptions): Promise<Silence>;
  /** NOT_FOUND by id. */
  get(id: string): Promise<Silence>;
  /** Those that have not ended, by their beginning; with `ended: true` all. */
  list(options?: { readonly ended?: boolean }): Promise<readonly Silence[]>;
  /** Ends one; nothing happens where it has ended. NOT_FOUND by id. */
  end(id: string, reason: AlertEventPayloads['silence.ended']['reason']): Promise<Silence>;
  /** Ends those whose time has come, or that have nothing to silence, and notes which have. */
  keep(firing: readonly Labels[], at: number): Promise<void>;
}

const longestMs = 366 * 86_400_000;
/** How often it is noted that a silence matches. */
const noteEveryMs = 300_000;

const shape = z.strictObject({
  match: matchersShape,
  reason: z.string().min(1).max(10_000),
  untilAt: z.number().optional(),
  forMs: z.number().int().min(1000).max(longestMs).optional(),
  startsAt: z.number().optional(),
  endWhenIdleForMs: z.number().int().min(60_000).optional(),
} satisfies Record<keyof SilenceOptions, z.ZodType>);

/** {@link SilenceStore} of a scope. */
export function createSilences(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'ids' | 'clock'>,
): SilenceStore {
  const { metadata, workspace, clock } = scope;

  function emit<T extends 'silence.created' | 'silence.ended'>(
    type: T,
    id: string,
    payload: AlertEventPayloads[T],
  ): Change {
    const said = { type, subject: `silence:${id}`, source: 'monitoring' } as const;
    return { op: 'emit', event: draftEvent(scope, { ...said, payload: payload as never }) };
  }

  async function getRecord(id: string): Promise<StoredRecord> {
    assertText(id, 'The id of a silence', 200);
    const record = await metadata.find(workspace, 'silence', id);
    if (record !== undefined) return record;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no silence ${id}; monitoring.silences.list says which there are.`,
    );
  }

  const store: SilenceStore = {
    async create(options) {
      const {
        match,
        reason,
        forMs,
        startsAt = clock.now(),
        ...more
      } = checkOptions(shape, options, 'monitoring.silence');
      const { untilAt, endWhenIdleForMs } = more;
      if ((untilAt === undefined) === (forMs === undefined)) {
        throw invalid('needs an end: give it one of untilAt (a time) and forMs');
      }
      const endsAt = untilAt ?? startsAt + (forMs as number);
      if (endsAt <= Math.max(startsAt, clock.now()))
        throw invalid('would be over before it begins');
      if (endsAt - startsAt > longestMs) throw invalid('would last for more than a year');
      const id = scope.ids.next();
      const by = scope.principal.id;
      const matchers = matcherTexts(match);
      const idle = endWhenIdleForMs === undefined ? {} : { endWhenIdleForMs };
      await commitChanges(
        scope,
        [
          {
            op: 'create',
            kind: 'silence',
            id,
            columns: { startsAt, endsAt, openKey: id },
            body: asJson({ match, reason, by, ...idle }) as JsonObject,
          },
          emit('silence.created', id, { silenceId: id, by, reason, matchers, startsAt, endsAt }),
        ],
        reason,
      );
      return store.get(id);
    },

    async get(id) {
      return silenceFromRecord(await getRecord(id));
    },

    async list(options = {}) {
      const { ended = false } = checkOptions(
        z.strictObject({ ended: z.boolean().optional() }),
        options,
        'monitoring.silences.list',
      );
      const left = { from: 'column', name: 'openKey' } as const;
      const where = ended ? {} : { where: { op: 'present', left } as const };
      const all: Silence[] = [];
      for await (const record of everyRecord(scope, 'silence', where)) {
        all.push(silenceFromRecord(record));
      }
      return all.sort((a, b) => a.startsAt - b.startsAt);
    },

    async end(id, reason) {
      await decideAndCommit(scope, async () => {
        const record = await getRecord(id);
        if (record.columns['openKey'] === undefined) return { changes: [], result: undefined };
        const by = scope.principal.id;
        const ended = { at: clock.now(), by, reason };
        const changes: Change[] = [
          {
            ...({ op: 'replace', kind: 'silence', id, expect: record.revision } as const),
            columns: { openKey: undefined },
            body: { ...record.body, ended },
          },
          emit('silence.ended', id, { silenceId: id, by, reason }),
        ];
        return { changes, result: undefined };
      });
      return store.get(id);
    },

    async keep(firing, at) {
      for (const silence of await store.list()) {
        const { id, endsAt, startsAt, endWhenIdleForMs, matchedAt = startsAt } = silence;
        if (at >= endsAt) {
          await store.end(id, 'EXPIRED');
          continue;
        }
        if (endWhenIdleForMs === undefined || at < startsAt) continue;
        const isOfUse = firing.some((labels) => matches(silence.match, labels));
        if (isOfUse && at - matchedAt >= Math.min(noteEveryMs, endWhenIdleForMs / 2)) {
          await note(id, at);
        } else if (!isOfUse && at - matchedAt >= endWhenIdleForMs) await store.end(id, 'IDLE');
      }
    },
  };

  async function note(id: string, matchedAt: number): Promise<void> {
    await decideAndCommit(scope, async () => {
      const { revision: expect, body } = await getRecord(id);
      const replace = { op: 'replace', kind: 'silence', id, expect } as const;
      return { changes: [{ ...replace, body: { ...body, matchedAt } }], result: undefined };
    });
  }

  return store;
}

/** Whether a silence keeps people from being told of alerts with these labels. */
export function silences(silence: Silence, labels: Labels, at: number): boolean {
  const isOn = silence.ended === undefined && at >= silence.startsAt && at < silence.endsAt;
  return isOn && matches(silence.match, labels);
}

function silenceFromRecord(record: StoredRecord): Silence {
  return {
    ...(record.body as unknown as Pick<Silence, 'match' | 'reason' | 'by' | 'ended'>),
    id: record.id,
    startsAt: record.columns['startsAt'] as number,
    endsAt: record.columns['endsAt'] as number,
  };
}

function invalid(problem: string): KeelsonError {
  return new KeelsonError('INVALID', `A silence ${problem}.`);
}
