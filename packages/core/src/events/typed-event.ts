import type { StoredEvent } from '../contracts/event.ts';
import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { DeclaredEvents } from './declared-events.ts';
import { type EventAliases, type EventPayloads, findDefinition } from './event-catalogue.ts';

/** The type that a name means: aliases stand for theirs. */
export type ResolvedType<T extends string> = T extends keyof EventAliases ? EventAliases[T] : T;

/** What events of a type carry; JSON where the type is none of Keelson's. */
export type PayloadOf<T extends string> =
  ResolvedType<T> extends keyof EventPayloads ? EventPayloads[ResolvedType<T>] : JsonObject;

/** An event as readers see it: checked, and in the form of today's schema. */
export type EventOf<T extends string = string> = T extends string
  ? Omit<StoredEvent, 'type' | 'payload'> & {
      readonly type: ResolvedType<T>;
      readonly payload: PayloadOf<T>;
      /**
       * Set when a later version of the platform (or of whoever declares the type) wrote the payload:
       * it is as it was stored, and may have another form than the type here says.
       */
      readonly newerSchema?: true;
    }
  : never;

/** Steps from one version of a payload to the next, and the check of the last. */
interface PayloadRules {
  readonly schemaVersion: number;
  readonly upcasts: readonly ((payload: JsonObject) => JsonObject)[];
  /** What is wrong with a stored payload; nothing when it is as it should be. */
  problem(payload: JsonObject): string | undefined;
}

/**
 * A stored event as its type says: payloads of older versions are brought up to today's, those of newer
 * ones handed through and marked, types that nobody here has declared left alone. CORRUPT, naming the
 * event and the field, for a payload that does not fit its type.
 */
export function reviveEvent<T extends string>(
  event: StoredEvent,
  declared: DeclaredEvents,
): EventOf<T> {
  const rules = builtIn(event.type) ?? declared.rules(event.type);
  if (rules === undefined) return event as unknown as EventOf<T>;
  if (event.schemaVersion > rules.schemaVersion) {
    return { ...event, newerSchema: true } as unknown as EventOf<T>;
  }
  const payload = upcast(event, rules);
  const problem = rules.problem(payload);
  if (problem !== undefined) throw corrupt(event, problem);
  if (payload === event.payload) return event as unknown as EventOf<T>;
  return { ...event, payload, schemaVersion: rules.schemaVersion } as unknown as EventOf<T>;
}

function upcast(event: StoredEvent, rules: PayloadRules): JsonObject {
  let { payload } = event;
  for (const step of rules.upcasts.slice(Math.max(0, event.schemaVersion - 1))) {
    try {
      payload = step(payload);
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause);
      throw corrupt(
        event,
        `it cannot be brought up from version ${event.schemaVersion}: ${said}`,
        cause,
      );
    }
  }
  return payload;
}

function builtIn(type: string): PayloadRules | undefined {
  const definition = findDefinition(type);
  if (definition === undefined) return undefined;
  const { schemaVersion, upcasts, stored } = definition;
  return { schemaVersion, upcasts, problem: (payload) => problemOf(stored.safeParse(payload)) };
}

/** The outcome of a schema's check, of any copy or version of zod. */
export interface CheckedPayload {
  readonly success: boolean;
  readonly error?:
    | {
        readonly issues: readonly {
          readonly path: readonly PropertyKey[];
          readonly message: string;
        }[];
      }
    | undefined;
}

/** The first problem that a schema found, with the path to it. */
export function problemOf(checked: CheckedPayload): string | undefined {
  if (checked.success) return undefined;
  const [issue] = checked.error?.issues ?? [];
  if (issue === undefined) return 'payload: it does not fit';
  return `${['payload', ...issue.path.map(String)].join('.')}: ${issue.message}`;
}

function corrupt(event: StoredEvent, problem: string, cause?: unknown): KeelsonError {
  const { id, type, subject } = event;
  return new KeelsonError(
    'CORRUPT',
    `Event ${id} (${type} of ${subject}) is not what its type says: ${problem}.`,
    { details: { event: id, type, problem }, ...(cause === undefined ? {} : { cause }) },
  );
}
