import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { eventTypes, findDefinition, resolveType } from './event-catalogue.ts';
import { type CheckedPayload, problemOf } from './typed-event.ts';

/** A type of event of one's own, beside those of the platform. */
export interface EventTypeDeclaration {
  /** `noun.past-participle`, such as `invoice.sent`; the nouns of the platform's own types are taken. */
  readonly type: string;
  /** What it carries: a zod schema, or whatever has its `safeParse`. */
  readonly payload: { safeParse(value: unknown): CheckedPayload };
  /** `upcasts[0]` makes a payload of version 1 one of version 2, and so on; none is version 1. */
  readonly upcasts?: readonly ((payload: JsonObject) => JsonObject)[];
}

/** The declared types, ready for use. */
export interface DeclaredEvents {
  /** How payloads of a type are checked; nothing for a type that was not declared. */
  rules(type: string):
    | {
        readonly schemaVersion: number;
        readonly upcasts: readonly ((payload: JsonObject) => JsonObject)[];
        problem(payload: JsonObject): string | undefined;
      }
    | undefined;
}

const typeForm = /^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$/;

/** INVALID for types that are the platform's, declared twice, or no names of events. */
export function declareEvents(declarations: readonly EventTypeDeclaration[] = []): DeclaredEvents {
  const declared = new Map<string, EventTypeDeclaration>();
  for (const declaration of declarations) {
    const type = assertOwnType(declaration.type);
    if (declared.has(type))
      throw new KeelsonError('INVALID', `Event type ${type} is declared twice.`);
    declared.set(type, declaration);
  }
  return {
    rules(type) {
      const declaration = declared.get(type);
      if (declaration === undefined) return undefined;
      const { payload: schema, upcasts = [] } = declaration;
      const problem = (payload: JsonObject) => problemOf(schema.safeParse(payload));
      return { schemaVersion: upcasts.length + 1, upcasts, problem };
    },
  };
}

const ownNouns: ReadonlySet<string> = new Set([
  ...eventTypes.flatMap((type) => [nounOf(type), nounOf(findDefinition(type)?.alias ?? type)]),
  'audit',
  'keelson',
  'platform',
  'workspace',
]);

/** A type that the platform may come to use is nobody else's. */
export function assertOwnType(given: string): string {
  const type = assertText(given, 'An event type', 200);
  if (!typeForm.test(type)) {
    throw new KeelsonError(
      'INVALID',
      `Event type ${JSON.stringify(type)} is no name of an event: use noun.past-participle in lower case, such as invoice.sent.`,
    );
  }
  if (!ownNouns.has(nounOf(type))) return type;
  throw new KeelsonError(
    'INVALID',
    `Event type ${type} belongs to the platform, as all of ${nounOf(type)}.* do; choose another noun.`,
    { details: { type } },
  );
}

/**
 * The types that names mean, aliases resolved. INVALID for a name under one of the platform's nouns that
 * is none of its types: nothing would ever come.
 */
export function resolveTypes(names: readonly string[]): readonly string[] {
  return names.map((name) => {
    const type = resolveType(name);
    if (findDefinition(type) !== undefined || !ownNouns.has(nounOf(type))) return type;
    const near = eventTypes.filter((each) => nounOf(each) === nounOf(type));
    const hint = near.length === 0 ? '' : ` Of ${nounOf(type)} there are: ${near.join(', ')}.`;
    throw new KeelsonError(
      'INVALID',
      `There is no event type ${JSON.stringify(name)}; docs/events.md lists them.${hint}`,
      { details: { type: name } },
    );
  });
}

function nounOf(type: string): string {
  return type.split('.', 1)[0] as string;
}
