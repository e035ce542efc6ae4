import { stat } from 'node:fs/promises';
import { KeelsonError } from '@keelson/core';
import { type FileRows, mostFileRows } from '@keelson/core/monitoring';
import { Reservoir } from '@keelson/core/statistics';

type Row = Readonly<Record<string, unknown>>;

const rowsAtOnce = 50_000;

/**
 * The rows of a Parquet file, by the package hyparquet, which is installed by those who want it. UNSUPPORTED, saying so,
 * without it; INVALID for a file that is none.
 */
export async function readParquet(path: string, signal: AbortSignal): Promise<FileRows> {
  const found = await stat(path).catch((cause) => {
    throw new KeelsonError('NOT_FOUND', `There is no file ${path}.`, { cause });
  });
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await hyparquet(path);
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const total = Number(metadata.num_rows);
    const kept = new Reservoir<Row>(mostFileRows, `${found.size}`);
    for (let rowStart = 0; rowStart < total; rowStart += rowsAtOnce) {
      signal.throwIfAborted();
      const rowEnd = Math.min(total, rowStart + rowsAtOnce);
      const rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd });
      for (const row of rows) kept.add(plainRow(row));
    }
    const rows = kept.values;
    const columns = [...new Set(rows.slice(0, 1000).flatMap((row) => Object.keys(row)))];
    const sampled = total > rows.length ? { sampledFrom: total } : {};
    return { path, rows, columns, faults: 0, ...sampled };
  } catch (cause) {
    signal.throwIfAborted();
    const why = (cause as Error).message;
    throw new KeelsonError('INVALID', `${path} is no Parquet file that can be read: ${why}`, {
      cause,
    });
  }
}

async function hyparquet(path: string): Promise<typeof import('hyparquet')> {
  try {
    return await import('hyparquet');
  } catch (cause) {
    throw new KeelsonError(
      'UNSUPPORTED',
      `Reading ${path} takes the package hyparquet: npm install hyparquet. Or write CSV or JSON lines.`,
      { cause },
    );
  }
}

/** Whole numbers of 64 bits as numbers; bytes are nothing that is compared. */
function plainRow(row: Readonly<Record<string, unknown>>): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? Number(value) : value,
    ]),
  );
}
