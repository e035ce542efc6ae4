import { z } from 'zod';
import type { JsonObject } from '../../json.ts';

/** One type of event: what it means, who says it, and what it carries. */
export interface EventDefinition<P extends object = object> {
  /** What has happened, in a sentence. */
  readonly meaning: string;
  /** The component that says it. */
  readonly source: string;
  /** The form of its subject, such as `run:{runId}`. */
  readonly subject: string;
  /** The version of the payload that is emitted today. */
  readonly schemaVersion: number;
  /** Another name under which filters find it. */
  readonly alias?: string;
  /** Declared for those who will emit it: this version emits none by itself. */
  readonly reserved?: true;
  readonly example: P;
  /** `upcasts[0]` makes a payload of version 1 one of version 2, and so on. */
  readonly upcasts: readonly ((payload: JsonObject) => JsonObject)[];
  /** What may be emitted: every field known, so that a slip is an error. */
  readonly emitted: z.ZodType;
  /** What may come back: fields that a later process has added are left alone. */
  readonly stored: z.ZodType;
}

/** A schema for each field of an interface; it may be missing where the field may. */
type Fields<P> = {
  readonly [K in keyof P]-?: z.ZodType<object extends Pick<P, K> ? P[K] | undefined : P[K]>;
};

/** A definition whose schema is held to the interface `P`. The version follows from the upcasts. */
export function defineEvent<P extends object>(
  definition: Pick<EventDefinition<P>, 'meaning' | 'source' | 'subject' | 'example'> &
    Partial<Pick<EventDefinition<P>, 'alias' | 'reserved' | 'upcasts'>> & {
      readonly fields: Fields<P>;
    },
): EventDefinition<P> {
  const { fields, upcasts = [], ...facts } = definition;
  return {
    ...facts,
    upcasts,
    schemaVersion: upcasts.length + 1,
    emitted: z.strictObject(fields),
    stored: z.looseObject(fields),
  };
}

/** Text that is there. */
export const text: z.ZodType<string> = z.string().min(1);

/** Any number, NaN and the infinities included: they survive every store. */
export const figure: z.ZodType<number> = z.custom<number>(
  (value) => typeof value === 'number',
  'must be a number',
);

/** A whole number from 0. */
export const count: z.ZodType<number> = z.int().min(0);

/** A list of texts. */
export const texts: z.ZodType<readonly string[]> = z.array(z.string());

/** A map of numbers. */
export const figures: z.ZodType<Readonly<Record<string, number>>> = z.record(z.string(), figure);

/** An object of JSON that others define. */
export const anyObject: z.ZodType<JsonObject> = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'must be an object',
);
