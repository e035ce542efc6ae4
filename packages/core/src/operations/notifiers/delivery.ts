import type { Notification } from '../../contracts/ports.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { isKeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';

/** A notification on its way to one receiver, or what became of it. */
export interface Delivery {
  readonly id: string;
  readonly notifier: string;
  readonly eventId: string;
  readonly notification: Notification;
  /** CANCELLED: it was not sent any more, because it was outdated or somebody had answered already. */
  readonly state: 'PENDING' | 'DELIVERED' | 'FAILED' | 'CANCELLED';
  /** Attempts that have ended. */
  readonly attempts: number;
  readonly createdAt: number;
  /** No attempt before this time, in epoch ms. */
  readonly dueAt: number;
  /** When it came to its state for good, in epoch ms. */
  readonly endedAt?: number;
  /** What the receiver answered last, such as 200 of HTTP or 250 of SMTP. */
  readonly code?: number;
  /** The receiver's words, or what went wrong, cut short. */
  readonly said?: string;
  /** Why the receiver shows it to nobody. */
  readonly suppressed?: string;
}

/** A delivery out of its record. */
export function deliveryFromRecord(record: StoredRecord): Delivery {
  const { columns, body } = record;
  const code = columns['code'] as number | undefined;
  return {
    ...(body as unknown as Pick<Delivery, 'notification' | 'endedAt' | 'said' | 'suppressed'>),
    id: record.id,
    notifier: columns['notifier'] as string,
    eventId: columns['eventId'] as string,
    state: columns['state'] as Delivery['state'],
    attempts: columns['attempts'] as number,
    createdAt: record.createdAt,
    dueAt: columns['dueAt'] as number,
    ...(code === undefined ? {} : { code }),
  };
}

/** The columns and the body of a delivery's record. */
export function deliveryRecord(delivery: Omit<Delivery, 'id' | 'createdAt'>): {
  readonly columns: Record<string, string | number | undefined>;
  readonly body: JsonObject;
} {
  const { notifier, eventId, notification, state, attempts, dueAt, code, ...rest } = delivery;
  const { type, key } = notification;
  const body = {
    notification,
    ...pick(rest, 'endedAt'),
    ...pick(rest, 'said'),
    ...pick(rest, 'suppressed'),
  };
  return {
    columns: { notifier, eventId, type, key, state, attempts, dueAt, code },
    body: body as unknown as JsonObject,
  };
}

function pick<T extends object, K extends keyof T>(from: T, key: K): Partial<Pick<T, K>> {
  return from[key] === undefined ? {} : ({ [key]: from[key] } as Partial<Pick<T, K>>);
}

const firstRestMs = 1000;
const longestRestMs = 300_000;

/** How long to rest after so many failures in a row: doubling, the upper half of it at random. */
export function restAfter(failures: number, random: () => number = Math.random): number {
  const ms = Math.min(longestRestMs, firstRestMs * 2 ** Math.min(failures - 1, 20));
  return Math.round(ms / 2 + (random() * ms) / 2);
}

/** Whether no later attempt can succeed. */
export function isHopeless(error: unknown): boolean {
  return isKeelsonError(error, 'FAILED', 'INVALID');
}

/** What the receiver asked for, in ms. */
export function retryAfterOf(error: unknown): number | undefined {
  const asked = isKeelsonError(error) ? error.details['retryAfterMs'] : undefined;
  return typeof asked === 'number' && asked >= 0 ? asked : undefined;
}

/** The status that an error tells of. */
export function codeOf(error: unknown): number | undefined {
  const code = isKeelsonError(error) ? error.details['status'] : undefined;
  return Number.isSafeInteger(code) ? (code as number) : undefined;
}
