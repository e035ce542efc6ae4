import type { ArchiveReader } from '../archive/archive-reader.ts';
import { type RecordLine, readRecordLines } from '../archive/record-lines.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { everyRecord } from '../operations/every-record.ts';
import { otherContent, sameContent } from '../operations/restoring-records.ts';
import { checkImported } from './check-imported.ts';
import { datasetsPath, metricNamesPath } from './export-layout.ts';

/** What experiments share: datasets and agreed metric names. Read whole; there are few. */
export interface SharedLines {
  readonly datasets: readonly RecordLine[];
  readonly metricNames: readonly RecordLine[];
}

/** Reads what experiments share. */
export async function readShared(
  archive: ArchiveReader,
  signal: AbortSignal,
): Promise<SharedLines> {
  const linesOf = async (path: string, kind: string): Promise<readonly RecordLine[]> => {
    const lines: RecordLine[] = [];
    if (archive.find(path) === undefined) return lines;
    for await (const line of readRecordLines(archive.open(path, signal), path)) {
      checkImported(line, { path, kinds: [kind] });
      lines.push(line);
    }
    return lines;
  };
  return {
    datasets: await linesOf(datasetsPath, 'dataset'),
    metricNames: await linesOf(metricNamesPath, 'metric_name'),
  };
}

/**
 * Which of the metric names are to be restored, and how many are not. What the workspace has agreed on
 * itself stays: a metric any of whose spellings stands for something here is not brought along.
 */
export async function missingNames(
  scope: Scope,
  lines: readonly RecordLine[],
): Promise<{ readonly missing: readonly RecordLine[]; readonly skipped: number }> {
  if (lines.length === 0) return { missing: [], skipped: 0 };
  const here = new Map<string, StoredRecord>();
  for await (const record of everyRecord(scope, 'metric_name')) {
    here.set(String(record.columns['spelling']), record);
  }
  const own = new Set<string>();
  const same = new Set<string>();
  for (const { record } of lines) {
    const taken = here.get(String(record.columns['spelling']));
    if (taken === undefined) continue;
    if (taken.id !== record.id) own.add(String(record.columns['canonical']));
    else if (sameContent(taken, record)) same.add(record.id);
    else throw otherContent(taken, record);
  }
  const missing = lines.filter(
    ({ record }) => !same.has(record.id) && !own.has(String(record.columns['canonical'])),
  );
  return { missing, skipped: lines.length - missing.length };
}
