import type { Scope } from '../../contracts/scope.ts';
import { archiveFromRecord, archiveRecords, readArchive } from '../../events/event-archives.ts';
import { eachEvent } from '../../events/read-events.ts';
import { canonicalJson } from '../../json.ts';
import { columnIs, everyRecord } from '../every-record.ts';
import { textOfStoredEvent } from './attestation.ts';
import { evidenceKind } from './chain-origin.ts';
import type { ErasedContent } from './erasure.ts';

/** Where a text stands: events, tags of runs, predictions with their labels. Reads all there is of them. */
export async function findContent(
  scope: Scope,
  text: string,
  signal: AbortSignal | undefined,
): Promise<Required<ErasedContent>> {
  // As it stands in JSON: quotes and control characters are escaped there.
  const inJson = JSON.stringify(text).slice(1, -1);
  const events = new Set<string>();
  for await (const event of eachEvent(scope, {})) {
    signal?.throwIfAborted();
    if (textOfStoredEvent(event).includes(inJson)) events.add(event.id);
  }
  for await (const record of archiveRecords(scope)) {
    for await (const event of readArchive(scope, archiveFromRecord(record))) {
      signal?.throwIfAborted();
      if (textOfStoredEvent(event).includes(inJson)) events.add(event.id);
    }
  }
  const abort = signal === undefined ? {} : { signal };
  for await (const { id, body } of everyRecord(scope, evidenceKind, {
    where: columnIs('what', 'event'),
    ...abort,
  })) {
    if (canonicalJson(body).includes(inJson)) events.add(id);
  }
  const tags: { readonly runId: string; readonly keys: readonly string[] }[] = [];
  for await (const { id, facets } of everyRecord(scope, 'run', { facets: ['tags'], ...abort })) {
    const keys = Object.entries(facets['tags'] ?? {}).flatMap(([key, value]) =>
      key.includes(text) || JSON.stringify(value).includes(inJson) ? [key] : [],
    );
    if (keys.length > 0) tags.push({ runId: id, keys });
  }
  const predictions: { readonly deploymentId: string; readonly requestIds: readonly string[] }[] =
    [];
  for await (const { id } of everyRecord(scope, 'deployment', abort)) {
    const requestIds = await requestsWith(scope, id, [text, inJson], signal);
    if (requestIds.length > 0) predictions.push({ deploymentId: id, requestIds });
  }
  return { events: [...events], tags, predictions };
}

/** The requests of whose rows a column has one of the texts. */
async function requestsWith(
  { series, workspace }: Scope,
  deploymentId: string,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const found = new Set<string>();
  const always = { from: -8.64e15, to: 8.64e15 };
  for (const stream of ['predictions', 'labels']) {
    for await (const rows of series.rows({ workspace, stream, owner: deploymentId }, always)) {
      signal?.throwIfAborted();
      const ids = rows.columns['requestId'];
      if (ids?.type !== 'text') continue;
      for (const [name, column] of Object.entries(rows.columns)) {
        if (column.type === 'number') {
          // A customer's number may be a feature: those alone are numbers that callers gave.
          if (!name.startsWith('number:')) continue;
          for (const [i, value] of column.values.entries()) {
            const isThere =
              column.missing?.[i] !== 1 && texts.some((one) => `${value}`.includes(one));
            if (isThere) found.add(String(ids.values[i]));
          }
          continue;
        }
        for (const [i, value] of column.values.entries()) {
          if (value !== null && texts.some((one) => value.includes(one))) {
            found.add(String(ids.values[i]));
          }
        }
      }
    }
  }
  return [...found];
}
