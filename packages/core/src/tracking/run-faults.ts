import type { StoredRecord } from '../contracts/record.ts';

const dayMs = 86_400_000;

/** What cannot be of a run's record: times out of order, an end without a status. */
export function faultsOfRun(record: StoredRecord, now: number): readonly string[] {
  const { columns } = record;
  const status = columns['status'] as string;
  const startedAt = columns['startedAt'] as number;
  const endedAt = columns['endedAt'] as number | undefined;
  const durationMs = columns['durationMs'] as number | undefined;
  const faults: string[] = [];
  if (startedAt > now + dayMs) faults.push('it starts in the future');
  if (status === 'RUNNING' && endedAt !== undefined) faults.push('it runs and has an end');
  if (status !== 'RUNNING' && endedAt === undefined) faults.push(`it is ${status} and has no end`);
  if (endedAt !== undefined && endedAt < startedAt) faults.push('it ends before it starts');
  else if (
    endedAt !== undefined &&
    durationMs !== undefined &&
    durationMs !== endedAt - startedAt
  ) {
    faults.push(
      `it lasts ${durationMs} ms, and ${endedAt - startedAt} ms lie between start and end`,
    );
  }
  return faults;
}
