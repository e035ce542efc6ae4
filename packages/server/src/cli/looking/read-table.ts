import { extname } from 'node:path';
import { KeelsonError } from '@keelson/core';
import { type FileRows, readRowsOfFile } from '@keelson/core/monitoring';
import { readParquet } from './read-parquet.ts';

const formats: Readonly<Record<string, 'csv' | 'json' | 'jsonl'>> = {
  ...{ '.csv': 'csv', '.json': 'json', '.jsonl': 'jsonl', '.ndjson': 'jsonl' },
};

/** The rows of a file by its ending. INVALID for one that is no table, NOT_FOUND for none. */
export async function readTable(path: string, signal: AbortSignal): Promise<FileRows> {
  const ending = extname(path).toLowerCase();
  if (ending === '.parquet') return readParquet(path, signal);
  const format = formats[ending];
  if (format !== undefined) return readRowsOfFile(path, { format, signal });
  throw new KeelsonError(
    'INVALID',
    `${path} ends in none of .csv, .json, .jsonl, .ndjson and .parquet: by that it is known how to read it.`,
  );
}
