import { extname } from 'node:path';
import type { ContentInfo } from '../../contracts/artifact-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { decodeJson, encodeJson, isPlainObject, type JsonObject } from '../../json.ts';
import { parseCsv } from './csv.ts';
import type { DataFormat, SuiteData, SuiteDataSource } from './suite.ts';

type DataScope = Pick<Scope, 'artifacts'>;

const maxRows = 1_000_000;
/** All of it is in memory while a suite runs. */
const maxBytes = 256 * 1024 * 1024;

/** Keeps rows as content. INVALID, naming the row, for what is none; NOT_FOUND for content that is gone. */
export async function keepData(
  scope: DataScope,
  name: string,
  source: Exclude<SuiteDataSource, 'given'>,
): Promise<SuiteData> {
  const content = await contentOf(scope, name, source);
  const format = 'rows' in source ? 'jsonl' : (source.format ?? formatOf(source));
  const { sha256, sizeBytes } = content;
  const rows = (await readData(scope, name, { sha256, sizeBytes, format, rows: 0 })).length;
  if (rows === 0) throw new KeelsonError('INVALID', `Data ${name} of the suite has no rows.`);
  return { sha256, sizeBytes, format, rows };
}

async function contentOf(
  { artifacts }: DataScope,
  name: string,
  source: Exclude<SuiteDataSource, 'given'>,
): Promise<ContentInfo> {
  if ('rows' in source) return await artifacts.put(linesOf(name, source.rows));
  if ('file' in source) return await artifacts.put({ path: source.file });
  if ('bytes' in source) return await artifacts.put(source.bytes);
  const { sha256 } = source;
  const found = (await artifacts.keep(sha256)) ? await artifacts.find(sha256) : undefined;
  if (found !== undefined) return found;
  throw new KeelsonError('NOT_FOUND', `The content ${sha256} of data ${name} is not there.`);
}

function formatOf(source: object): DataFormat {
  const isCsv = 'file' in source && extname(String(source.file)).toLowerCase() === '.csv';
  return isCsv ? 'csv' : 'jsonl';
}

/** Rows as lines of JSON; they read back as they are, NaN included. */
async function* linesOf(name: string, rows: readonly unknown[]): AsyncGenerator<Uint8Array> {
  assertCount(name, rows.length);
  for (const [i, row] of rows.entries()) {
    const place = `row ${i + 1} of data ${name}`;
    if (!isPlainObject(row)) throw new KeelsonError('INVALID', `${place} is no object.`);
    yield Buffer.from(`${encodeJson(row, place)}\n`);
  }
}

/** The rows that are kept. CORRUPT where the content is damaged. */
export async function readData(
  { artifacts }: DataScope,
  name: string,
  { sha256, sizeBytes, format }: SuiteData,
  signal?: AbortSignal,
): Promise<readonly JsonObject[]> {
  if (sizeBytes > maxBytes) {
    throw new KeelsonError(
      'INVALID',
      `Data ${name} has ${sizeBytes} bytes; at most ${maxBytes} are allowed: take a sample.`,
    );
  }
  const parts: Uint8Array[] = [];
  for await (const part of await artifacts.open(sha256, undefined, signal)) {
    parts.push(Uint8Array.from(part));
  }
  const text = Buffer.concat(parts).toString('utf8');
  try {
    const rows = format === 'csv' ? parseCsv(text) : parseLines(text);
    assertCount(name, rows.length);
    return rows;
  } catch (cause) {
    if (isKeelsonError(cause)) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeelsonError('INVALID', `Data ${name} cannot be read as ${format}: ${why}.`, {
      cause,
    });
  }
}

function assertCount(name: string, count: number): void {
  if (count <= maxRows) return;
  throw new KeelsonError(
    'INVALID',
    `Data ${name} has ${count} rows; at most ${maxRows} are allowed: take a sample.`,
  );
}

function parseLines(text: string): JsonObject[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const row = parseLine(line, i + 1);
    if (isPlainObject(row)) return [row as JsonObject];
    throw new Error(`line ${i + 1} is no object`);
  });
}

function parseLine(line: string, number: number): unknown {
  try {
    return decodeJson(line);
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    throw new Error(`line ${number} is no JSON`, { cause: error });
  }
}
