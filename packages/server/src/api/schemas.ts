import { z } from 'zod';

/** Schemas that have a name in the OpenAPI document. */
export const components: z.core.$ZodRegistry<{ id: string }> = z.registry<{ id: string }>();

/** A schema for each field of a type, none forgotten. */
type Fields<T> = { readonly [K in keyof T]-?: z.ZodType };

/** An object as it is answered: more fields may come, and clients pass over what they do not know. */
export function answered<T>(id: string, fields: Fields<T>): z.ZodType<T> {
  const schema = z.looseObject(fields as z.ZodRawShape);
  components.add(schema, { id });
  return schema as unknown as z.ZodType<T>;
}

/** An object as it is asked for: fields that are not known are refused. */
export function asked<T>(fields: Fields<T>): z.ZodType<T> {
  return z.strictObject(fields as z.ZodRawShape) as unknown as z.ZodType<T>;
}

/** Any number, those that JSON has not included. */
export const figure: z.ZodType<number> = z.union([
  z.number(),
  z.strictObject({ $number: z.enum(['NaN', 'Infinity', '-Infinity', '-0']) }),
]) as unknown as z.ZodType<number>;
components.add(figure, { id: 'Figure' });

/** JSON of the caller's. */
export const anyJson: z.ZodType = z.unknown();

/** Epoch milliseconds. */
export const time: z.ZodType<number> = z.number().describe('Epoch milliseconds');

/** A count or a place in a series. */
export const whole: z.ZodType<number> = z.number().int();

/** Texts by key. */
export const tags: z.ZodType<Record<string, string>> = z.record(z.string(), z.string());

/** An object of the caller's. */
export const looseObject: z.ZodType<Record<string, unknown>> = z.record(z.string(), z.unknown());

/** What every list takes. */
export const paging: { readonly limit: z.ZodType; readonly cursor: z.ZodType } = {
  limit: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .describe('How many at most; 50 when left out')
    .optional(),
  cursor: z.string().describe('Where the page begins: the `cursor` of the page before').optional(),
};

/** Where the next page begins; left out at the end. */
export const cursor: z.ZodType = z
  .string()
  .describe('Of the next page; left out at the end')
  .optional();

/** An identity by which the examples of the table go. */
export const exampleRun = '01990000-0000-7000-8000-000000000001';
/** Another one. */
export const exampleRun2 = '01990000-0000-7000-8000-000000000002';
/** A time to come by which they go. */
export const exampleTime = 4_000_000_000_000;
