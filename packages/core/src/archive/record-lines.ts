import { z } from 'zod';
import type { RevisionEntry, StoredRecord } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { canonicalJson, decodeJson, isPlainObject, type JsonObject } from '../json.ts';

/** A record as archives carry it. */
export type MovedRecord = Omit<StoredRecord, 'workspace'>;

/** A line of a member of records. */
export interface RecordLine {
  readonly record: MovedRecord;
  /** For kinds that keep any, oldest first. */
  readonly history?: readonly RevisionEntry[];
  /** What else belongs to the record, such as what is known of its points. */
  readonly more?: JsonObject;
}

/** No record with its history is longer. */
const maxLineBytes = 256 * 1024 * 1024;

const number = z.custom<number>((value) => typeof value === 'number', 'must be a number');
const object = z.custom<object>(isPlainObject, 'must be an object');
const columns = object.refine(
  (value) => Object.values(value).every((each) => typeof each !== 'object'),
  'must be columns',
);

const shape = z.strictObject({
  record: z.strictObject({
    kind: z.string(),
    id: z.string(),
    revision: number,
    createdAt: number,
    updatedAt: number,
    columns,
    body: object,
    facets: object.refine((value) => Object.values(value).every(isPlainObject), 'must be facets'),
  } satisfies Record<keyof MovedRecord, z.ZodType>),
  history: z
    .array(
      z.strictObject({
        revision: number,
        at: number,
        by: z.string(),
        reason: z.string().optional(),
        correlationId: z.string().optional(),
        columns,
        body: object,
        removed: z.boolean(),
      } satisfies Record<keyof RevisionEntry, z.ZodType>),
    )
    .optional(),
  more: object.optional(),
});

/** One line for a record: equal records have equal lines, from whatever store they come. */
export function encodeRecordLine({ record, history, more }: RecordLine): string {
  const { kind, id, revision, createdAt, updatedAt, columns: own, body: text, facets } = record;
  const line = {
    record: { kind, id, revision, createdAt, updatedAt, columns: own, body: text, facets },
    ...(history === undefined ? {} : { history }),
    ...(more === undefined ? {} : { more }),
  };
  return `${canonicalJson(line, `${kind} ${id}`)}\n`;
}

/** Reads lines that {@link encodeRecordLine} has written. */
export function decodeRecordLines(text: string): readonly RecordLine[] {
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line, i) => decodeLine(line, `Line ${i + 1}`));
}

/** Reads the records of a member, line by line; INVALID, naming the line, for what is none. */
export async function* readRecordLines(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<RecordLine, void, undefined> {
  let number = 0;
  for await (const text of linesOf(bytes, path)) {
    number += 1;
    yield decodeLine(text, `Line ${number} of ${path}`);
  }
}

function decodeLine(text: string, place: string): RecordLine {
  let value: unknown;
  try {
    value = decodeJson(text);
  } catch (error) {
    throw new KeelsonError('INVALID', `${place} is no record.`, { cause: error });
  }
  const checked = shape.safeParse(value);
  if (checked.success) return value as RecordLine;
  const [issue] = checked.error.issues;
  const where = issue?.path.map(String).join('.') ?? '';
  throw new KeelsonError('INVALID', `${place} is no record: ${where} ${issue?.message ?? ''}.`, {
    cause: checked.error,
  });
}

async function* linesOf(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<string, void, undefined> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  for await (const piece of bytes) {
    let from = 0;
    for (let end = piece.indexOf(0x0a); end >= 0; end = piece.indexOf(0x0a, from)) {
      pieces.push(piece.subarray(from, end));
      yield Buffer.concat(pieces).toString('utf8');
      pieces = [];
      held = 0;
      from = end + 1;
    }
    if (from === piece.length) continue;
    held += piece.length - from;
    if (held > maxLineBytes) throw new KeelsonError('INVALID', `A line of ${path} has no end.`);
    pieces.push(Uint8Array.from(piece.subarray(from)));
  }
  if (held > 0) throw new KeelsonError('INVALID', `The last line of ${path} has no end.`);
}
