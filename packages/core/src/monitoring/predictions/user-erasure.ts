import type { Scope } from '../../contracts/scope.ts';
import type { RowColumns, StreamKey } from '../../contracts/series-store.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { asJson, encodeJson, type JsonObject } from '../../json.ts';
import { commitChanges, decideAndCommit } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import type { PredictionSettingsKeeper } from './prediction-settings.ts';
import type { PseudonymKeys } from './pseudonym-keys.ts';
import { textAt } from './text-at.ts';
import { countRequests, eraseBy, findUserRows, isOfUser, type UserMarks } from './user-rows.ts';

/** What was erased of a user. */
export interface UserErasure {
  readonly id: string;
  /** Epoch ms. What is recorded of the user's later requests stays. */
  readonly erasedAt: number;
  /** Rows that are gone, of all deployments together. */
  readonly predictions: number;
  readonly samples: number;
  readonly labels: number;
  /** Notes of which requests an analysis has counted, and whatever other rows named a request of the user. */
  readonly others: number;
  /** The same, of each deployment that had any. */
  readonly deployments: readonly {
    readonly deploymentId: string;
    readonly predictions: number;
    readonly samples: number;
    readonly labels: number;
    readonly others: number;
  }[];
  /** All rows of the workspace were read again: how many, and how many of them were still the user's (0). */
  readonly proof: { readonly rowsRead: number; readonly found: number };
  /**
   * Baselines that have the user's id itself as a category, such as those that were made of a table with ids in it: they are not
   * rows, and are to be set anew by hand.
   */
  readonly mentions: readonly string[];
  /** Whether the bytes are gone from the embedded store's files too; false on servers, whose own cleaning lets go of them. */
  readonly compacted: boolean;
}

const kind = 'user_erasure';
const rounds = 5;
/** Clocks of processes may differ by so much. */
const skewMs = 60_000;
const dayMs = 86_400_000;

type Counts = { predictions: number; samples: number; labels: number; others: number };

/** What of rows is told apart in reports, by stream. */
const countedAs: Readonly<Record<string, keyof Counts>> = {
  predictions: 'predictions',
  prediction_samples: 'samples',
  labels: 'labels',
};

/** By what rows of a user are known who was erased, and when that was. */
interface ErasedUser {
  readonly mark: UserMarks;
  readonly erasedAt: number;
}

/** What {@link UserErasures} works with. */
export interface UserErasureParts {
  readonly keys: PseudonymKeys;
  readonly settings: PredictionSettingsKeeper;
  /** Stores what this process has recorded. */
  flush(): Promise<void>;
  /** Writes the embedded store anew; answers whether nothing of what was deleted is left. */
  readonly compact?: (() => Promise<boolean>) | undefined;
}

/**
 * Erases users. Labels go before the rows by which their requests are found, so that an erasure that was killed is finished by
 * repeating it. What other processes have recorded and not stored yet goes when they store it: they look, after each
 * batch, who was erased meanwhile.
 */
export class UserErasures {
  readonly #scope: Scope;
  readonly #parts: UserErasureParts;

  constructor(scope: Scope, parts: UserErasureParts) {
    this.#scope = scope;
    this.#parts = parts;
  }

  async erase(userId: string, reason: string): Promise<UserErasure> {
    const { metadata, clock, ids } = this.#scope;
    await this.#parts.flush();
    const anonymisers = await this.#parts.keys.all();
    const pseudonyms = new Set(anonymisers.map((each) => each.identity(userId)));
    const marks: UserMarks = {
      pseudonyms,
      isKey: (key) => key === userId,
      hasFeature: await this.#featureMark(userId),
    };
    const [id, erasedAt] = [ids.next(), clock.now()];
    // First, so that whoever stores rows of the user from now on finds it.
    await commitChanges(
      this.#scope,
      [
        {
          ...{ op: 'create', kind, id, columns: { erasedAt, state: 'ERASING' } },
          body: { pseudonyms: [...pseudonyms], reason },
        },
      ],
      reason,
    );
    const tally = new Map<string, Counts>();
    const requests = new Map<string, Set<string>>();
    let proof = { rowsRead: 0, found: 0 };
    for (let round = 0; round < rounds; round += 1) {
      await this.#eraseOnce(marks, requests, tally);
      proof = await this.#prove(marks, requests);
      if (proof.found === 0) break;
    }
    const deployments = [...tally].map(([deploymentId, counts]) => ({ deploymentId, ...counts }));
    const sum = (of: keyof Counts): number => deployments.reduce((all, each) => all + each[of], 0);
    const report = {
      ...{ id, erasedAt, deployments, proof },
      ...{ predictions: sum('predictions'), samples: sum('samples') },
      ...{ labels: sum('labels'), others: sum('others') },
      mentions: await this.#mentions(userId),
      compacted: (await this.#parts.compact?.()) ?? false,
    };
    await decideAndCommit(this.#scope, async () => {
      const record = await metadata.find(this.#scope.workspace, kind, id);
      const event = draftEvent(this.#scope, {
        type: 'audit.erased',
        subject: `erasure:${id}`,
        source: 'monitoring',
        payload: { erasureId: id, reason, events: 0, tags: 0, predictions: report.predictions },
      });
      return {
        changes: [
          {
            ...{ op: 'replace', kind, id, expect: record?.revision ?? 1 },
            columns: { state: proof.found === 0 ? 'DONE' : 'INCOMPLETE' },
            body: { ...record?.body, report: asJson(report) } as JsonObject,
          },
          { op: 'emit', event },
        ],
        result: undefined,
        reason,
      };
    });
    return report;
  }

  /**
   * Erases rows of a batch that was just stored, of users who were erased since its first row was recorded. An erasure that
   * begins later finds the batch itself.
   */
  async settleBatch(stream: StreamKey, batch: RowColumns, since: number): Promise<void> {
    const { columns } = batch;
    if (!Object.hasOwn(columns, 'userId') && !Object.hasOwn(columns, 'key')) return;
    const marks = await this.#marksSince(since - skewMs);
    if (marks.length === 0) return;
    const requestIds = requestsOfErased(marks, stream, batch);
    await eraseBy(this.#scope.series, stream, 'requestId', requestIds);
  }

  /** What a process left that was killed between storing a batch and looking who was erased: of the last day's erasures. */
  async settle(signal: AbortSignal): Promise<number> {
    const { series, workspace, clock } = this.#scope;
    const marks = await this.#marksSince(clock.now() - dayMs);
    if (marks.length === 0) return 0;
    const range = { from: -8.64e15, to: 8.64e15, columns: ['userId', 'key', 'requestId'] };
    let rows = 0;
    for (const stream of await series.streams(workspace)) {
      const requestIds = new Set<string>();
      // Each stream is read once, however many users were erased.
      for await (const batch of series.rows(stream, range)) {
        signal.throwIfAborted();
        for (const requestId of requestsOfErased(marks, stream, batch)) requestIds.add(requestId);
      }
      rows += await eraseBy(series, stream, 'requestId', requestIds);
    }
    return rows;
  }

  async #marksSince(at: number): Promise<readonly ErasedUser[]> {
    const left = { from: 'column', name: 'erasedAt' } as const;
    const where = { op: 'compare', left, cmp: '>=', value: at } as const;
    const records = await Array.fromAsync(everyRecord(this.#scope, kind, { where }));
    if (records.length === 0) return [];
    const anonymisers = await this.#parts.keys.all();
    return records.map(({ columns, body }) => {
      const pseudonyms = new Set(body['pseudonyms'] as readonly string[]);
      // The id itself is kept nowhere.
      const isKey = (key: string): boolean =>
        anonymisers.some((each) => pseudonyms.has(each.identity(key)));
      return { mark: { pseudonyms, isKey }, erasedAt: columns['erasedAt'] as number };
    });
  }

  async #eraseOnce(
    marks: UserMarks,
    requests: Map<string, Set<string>>,
    tally: Map<string, Counts>,
  ): Promise<void> {
    const { series, workspace } = this.#scope;
    const streams = await series.streams(workspace);
    const keys = new Set<string>();
    for (const stream of streams) {
      const found = await findUserRows(series, stream, marks);
      const known = requests.get(stream.owner) ?? new Set();
      for (const requestId of found.requestIds) known.add(requestId);
      for (const key of found.keys) keys.add(key);
      if (known.size > 0) requests.set(stream.owner, known);
    }
    // What is found by requests goes before what they are found by.
    const isFound = ({ stream }: StreamKey): boolean => stream.startsWith('prediction');
    for (const stream of streams.toSorted((a, b) => Number(isFound(a)) - Number(isFound(b)))) {
      const own = requests.get(stream.owner) ?? [];
      let rows = await eraseBy(series, stream, 'userId', marks.pseudonyms);
      rows += await eraseBy(series, stream, 'key', [...keys, ...marks.pseudonyms]);
      if (isFound(stream)) rows += await this.#eraseByFeature(marks, stream);
      else rows += await eraseBy(series, stream, 'requestId', own);
      if (rows === 0) continue;
      const counts = tally.get(stream.owner) ?? {
        predictions: 0,
        samples: 0,
        labels: 0,
        others: 0,
      };
      counts[countedAs[stream.stream] ?? 'others'] += rows;
      tally.set(stream.owner, counts);
    }
  }

  /** Rows that are known by a feature alone; a row with the same request id is taken for the same request. */
  async #eraseByFeature(marks: UserMarks, stream: StreamKey): Promise<number> {
    const { requestIds } = await findUserRows(this.#scope.series, stream, marks);
    return eraseBy(this.#scope.series, stream, 'requestId', requestIds);
  }

  async #prove(
    marks: UserMarks,
    requests: ReadonlyMap<string, ReadonlySet<string>>,
  ): Promise<{ rowsRead: number; found: number }> {
    const { series, workspace } = this.#scope;
    let [rowsRead, found] = [0, 0];
    const everything = { from: -8.64e15, to: 8.64e15 };
    for (const stream of await series.streams(workspace)) {
      for await (const { at, columns } of series.rows(stream, everything)) {
        rowsRead += at.length;
        for (let i = 0; i < at.length; i += 1) {
          if (isOfUser(marks, stream.owner, columns, i)) found += 1;
        }
      }
      const own = requests.get(stream.owner);
      if (own !== undefined && !stream.stream.startsWith('prediction')) {
        found += await countRequests(series, stream, own);
      }
    }
    return { rowsRead, found };
  }

  /** By the feature that settings say has the id of the user, whatever it was treated like when a row was stored. */
  async #featureMark(userId: string): Promise<NonNullable<UserMarks['hasFeature']>> {
    const features = new Map<string, string>();
    for await (const { id } of everyRecord(this.#scope, 'prediction_settings')) {
      const { anonymising } = await this.#parts.settings.get(id);
      if (anonymising?.userFeature !== undefined) features.set(id, anonymising.userFeature);
    }
    const quoted = JSON.stringify(userId);
    return (owner, columns, i) => {
      const name = features.get(owner);
      if (name === undefined) return false;
      if (textAt(columns, `text:${name}`, i) === userId) return true;
      const number = Object.hasOwn(columns, `number:${name}`)
        ? columns[`number:${name}`]
        : undefined;
      if (number?.type === 'number' && number.missing?.[i] !== 1) {
        return String(number.values[i]) === userId;
      }
      const rest = textAt(columns, 'features', i);
      if (rest === undefined || !(rest.includes(quoted) || rest.includes(userId))) return false;
      const value = (JSON.parse(rest) as JsonObject)[name];
      return value === userId || (typeof value === 'number' && String(value) === userId);
    };
  }

  async #mentions(userId: string): Promise<readonly string[]> {
    const quoted = JSON.stringify(userId);
    const found: string[] = [];
    for await (const { id, body } of everyRecord(this.#scope, 'baseline', { limit: 10 })) {
      if (encodeJson(body).includes(quoted)) found.push(`baseline:${id}`);
    }
    return found;
  }
}

/** The requests of rows that are of a user who was erased at their time or later. */
function requestsOfErased(
  users: readonly ErasedUser[],
  { owner }: StreamKey,
  { at, columns }: RowColumns,
): ReadonlySet<string> {
  const requestIds = new Set<string>();
  for (let i = 0; i < at.length; i += 1) {
    const time = at[i] as number;
    const isErased = users.some(
      ({ mark, erasedAt }) => time <= erasedAt && isOfUser(mark, owner, columns, i),
    );
    const requestId = isErased ? textAt(columns, 'requestId', i) : undefined;
    if (requestId !== undefined) requestIds.add(requestId);
  }
  return requestIds;
}
