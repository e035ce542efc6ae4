import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { KeelsonError } from '../../errors.ts';
import { type RowFormat, readRows } from '../../pipelines/data-validation/row-reader.ts';
import { StepArtifact } from '../../pipelines/step-artifact.ts';
import { StepError } from '../../pipelines/step-policy.ts';
import { Reservoir } from '../../statistics/index.ts';

/** Of more rows a sample is read. */
export const mostFileRows = 200_000;

/** The rows of a file. */
export interface FileRows {
  readonly path: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** The names of its columns, as the first 1,000 rows have them. */
  readonly columns: readonly string[];
  /** Rows that could not be read. */
  readonly faults: number;
  /** How many there are, where `rows` is a random sample of them. */
  readonly sampledFrom?: number;
}

/**
 * The rows of a file on this machine: CSV with a head line, a JSON array, or JSON lines; a random sample of 200,000 where
 * there are more, the same each time. NOT_FOUND where there is no such file, INVALID for what is no table.
 */
export async function readRowsOfFile(
  path: string,
  options: { readonly format: RowFormat; readonly signal: AbortSignal },
): Promise<FileRows> {
  const found = await stat(path).catch((cause) => {
    throw new KeelsonError('NOT_FOUND', `There is no file ${path}.`, { cause });
  });
  if (!found.isFile()) throw new KeelsonError('INVALID', `${path} is no file.`);
  const facts = {
    ...{ name: basename(path), path, mimeType: 'application/octet-stream' },
    ...{ sha256: '', sizeBytes: found.size },
  };
  const file = new StepArtifact(facts, {
    open: async () =>
      Readable.toWeb(createReadStream(path)) as unknown as ReadableStream<Uint8Array>,
  });
  const seed = createHash('sha256').update(`${found.size}`).digest('hex');
  const kept = new Reservoir<Readonly<Record<string, unknown>>>(mostFileRows, seed);
  let total = 0;
  let faults = 0;
  try {
    const missing = ['', 'NA', 'NaN', 'null'];
    for await (const batch of readRows(file, 'The file', { missing, ...options })) {
      for (const each of batch) {
        if ('row' in each) kept.add(each.row);
        else faults += 1;
      }
      total += batch.length;
    }
  } catch (cause) {
    if (!(cause instanceof StepError)) throw cause;
    throw new KeelsonError('INVALID', `${path} is no table: ${cause.message}`, { cause });
  }
  const rows = kept.values;
  const columns = [...new Set(rows.slice(0, 1000).flatMap((row) => Object.keys(row)))];
  const sampled = total - faults > rows.length ? { sampledFrom: total - faults } : {};
  return { path, rows, columns, faults, ...sampled };
}
