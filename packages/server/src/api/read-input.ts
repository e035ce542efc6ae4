import { type Json, KeelsonError } from '@keelson/core';
import { z } from 'zod';
import { headerOf, type ServerRequest } from '../http/exchange.ts';
import { readBody } from '../http/request-body.ts';
import { type FieldProblem, refusal } from './problem.ts';
import type { AnyRoute } from './route.ts';
import { readWire } from './wire-json.ts';

/** What a request says, as its row has it. */
type Fields = Readonly<Record<string, unknown>>;

/**
 * Path, query and body of a request, checked against the row. INVALID, with the path of each field, for what is
 * missing, unknown or of another type.
 */
export async function readInput(
  row: AnyRoute,
  request: ServerRequest,
  given: { readonly params: Readonly<Record<string, string>>; readonly query: URLSearchParams },
): Promise<Fields> {
  const problems: FieldProblem[] = [];
  const params = readParams(row, given.params, problems);
  const query = readQuery(row, given.query, problems);
  const body = await readJsonBody(row, request, problems);
  if (problems.length > 0) throw badInput(problems);
  return { ...query, ...params, ...(body === undefined ? {} : { body: body.value }) };
}

/** INVALID, naming each field. */
export function badInput(problems: readonly FieldProblem[]): KeelsonError {
  const all = problems.map(({ path, message }) => `${path}: ${message}`).join('; ');
  return new KeelsonError('INVALID', `The request cannot be used: ${all}.`, {
    details: { problems },
  });
}

function readParams(row: AnyRoute, given: Fields, problems: FieldProblem[]): Fields {
  const read: Record<string, unknown> = { ...given };
  for (const [name, schema] of Object.entries(row.params ?? {})) {
    const checked = (schema as z.ZodType).safeParse(
      scalar(schema as z.ZodType, String(given[name])),
    );
    if (checked.success) read[name] = checked.data;
    else problems.push(...problemsOf(`path.${name}`, checked.error));
  }
  return read;
}

function readQuery(row: AnyRoute, query: URLSearchParams, problems: FieldProblem[]): Fields {
  const fields = (row.query ?? {}) as Readonly<Record<string, z.ZodType>>;
  const read: Record<string, unknown> = {};
  for (const sent of new Set(query.keys())) {
    const name = ownName(sent, fields, row.spellings);
    const schema = fields[name];
    const all = query.getAll(sent);
    if (schema === undefined) problems.push({ path: `query.${sent}`, message: unknown(fields) });
    else if (isList(schema))
      read[name] = all.flatMap((each) => (each === '' ? [] : each.split(',')));
    else if (all.length > 1)
      problems.push({ path: `query.${sent}`, message: 'is there more than once' });
    else read[name] = scalar(schema, all[0] ?? '');
  }
  for (const [name, schema] of Object.entries(fields)) {
    const checked = schema.safeParse(read[name]);
    if (!checked.success) problems.push(...problemsOf(`query.${name}`, checked.error));
  }
  return read;
}

async function readJsonBody(
  row: AnyRoute,
  request: ServerRequest,
  problems: FieldProblem[],
): Promise<{ readonly value: Json } | undefined> {
  const type = mediaTypeOf(request);
  const isJson = type === undefined || type === 'application/json' || type.endsWith('+json');
  const { upload } = row;
  const schema = upload === undefined ? row.body : upload.json;
  if (upload !== undefined && (!isJson || schema === undefined)) return undefined;
  // A body that nobody asked for is left unread.
  if (schema === undefined) return undefined;
  const bytes = await readBody(request);
  const isOptional = schema.safeParse(undefined).success;
  if (bytes.byteLength === 0 && isOptional) return undefined;
  if (!isJson) {
    const message = `The body is ${type}; this route takes ${['application/json', ...(upload?.mediaTypes ?? [])].join(', ')}.`;
    throw refusal(415, 'INVALID', message);
  }
  if (bytes.byteLength === 0) {
    problems.push({ path: 'body', message: 'is missing (JSON)' });
    return undefined;
  }
  const { sent, meant } = readWire(textOf(bytes));
  const checked = schema.safeParse(respelt(sent, schema, row.spellings));
  if (!checked.success) problems.push(...problemsOf('body', checked.error));
  return { value: respelt(meant, schema, row.spellings) as Json };
}

/** The media type of a body, in lower case, without its parameters. */
function mediaTypeOf({ headers }: Pick<ServerRequest, 'headers'>): string | undefined {
  const [type = ''] = (headerOf(headers, 'content-type') ?? '').split(';');
  return type.trim() === '' ? undefined : type.trim().toLowerCase();
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new KeelsonError('INVALID', 'The body is no UTF-8.', { cause });
  }
}

/** Fields under the names that the row has for them, also in lists of objects. */
function respelt(value: unknown, schema: z.ZodType, spellings: AnyRoute['spellings']): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const inner = innerOf(schema);
  if (Array.isArray(value)) {
    if (!(inner instanceof z.ZodArray)) return value;
    return value.map((each) => respelt(each, inner.element as z.ZodType, spellings));
  }
  const fields = shapeOf(inner);
  if (Object.keys(fields).length === 0) return value;
  return Object.fromEntries(
    Object.entries(value).map(([sent, of]) => {
      const name = ownName(sent, fields, spellings);
      const field = fields[name];
      return [name, field === undefined ? of : respelt(of, field, spellings)];
    }),
  );
}

function ownName(sent: string, fields: Fields, spellings: AnyRoute['spellings'] = {}): string {
  if (Object.hasOwn(fields, sent)) return sent;
  if (Object.hasOwn(spellings, sent)) return spellings[sent] as string;
  const camel = sent.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.hasOwn(fields, camel) ? camel : sent;
}

/** The fields of an object's schema; none where it is another. */
export function shapeOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> {
  const inner = innerOf(schema);
  return inner instanceof z.ZodObject ? (inner.shape as Record<string, z.ZodType>) : {};
}

function innerOf(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return innerOf(schema.unwrap() as z.ZodType);
  return schema;
}

function isList(schema: z.ZodType): boolean {
  return innerOf(schema) instanceof z.ZodArray;
}

/** A text of a path or query as the type that its schema asks for; the text where it is no such thing. */
function scalar(schema: z.ZodType, text: string): unknown {
  const inner = innerOf(schema);
  if (inner instanceof z.ZodNumber && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text))
    return Number(text);
  if (inner instanceof z.ZodBoolean && /^(true|false)$/.test(text)) return text === 'true';
  return text;
}

function problemsOf(root: string, error: z.ZodError): FieldProblem[] {
  return error.issues.flatMap((issue) => {
    const path = [root, ...issue.path.map(String)].join('.');
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ path: `${path}.${key}`, message: 'is not known here' }));
    const [, kind] =
      /^Invalid input: expected (\w+), received undefined$/.exec(issue.message) ?? [];
    const message =
      kind === undefined || kind === 'nonoptional' ? issue.message : `is missing (${kind})`;
    return [{ path, message }];
  });
}

function unknown(fields: Fields): string {
  const names = Object.keys(fields);
  return names.length === 0
    ? 'is not known here'
    : `is not known here; there are ${names.join(', ')}`;
}
