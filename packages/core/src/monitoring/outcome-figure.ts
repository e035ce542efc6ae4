import type { Evidence, EvidenceQuery } from '../contracts/evidence-source.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Json, JsonObject } from '../json.ts';
import type { LabelledRequest } from './performance/labels.ts';
import type { StoredPrediction } from './predictions/stored-predictions.ts';

/** Reads what outcomes are made of. */
export interface OutcomeRows {
  predictions(): Promise<readonly StoredPrediction[]>;
  labelled(): Promise<readonly LabelledRequest[]>;
}

/**
 * The outcome of each unit (a user, where requests carry a key; a request otherwise) that one of the versions answered,
 * in the order in which they first came. A unit counts once, by its first request, for the version that it was
 * assigned to then. Outcomes that are not known yet are left out, of `unknown` counted.
 */
export async function outcomes(
  query: EvidenceQuery,
  scope: { readonly metadata: MetadataStore; readonly workspace: string },
  rows: OutcomeRows,
): Promise<Omit<Evidence, 'figure' | 'at'>> {
  const versions = new Set(query.versionIds ?? []);
  const firsts = new Map<string, StoredPrediction>();
  for (const row of await rows.predictions()) {
    if (row.role !== 'primary' || !versions.has(row.versionId)) continue;
    const unit = row.key ?? row.requestId;
    if (!firsts.has(unit)) firsts.set(unit, row);
  }
  const outcomeOf = await outcomeReader(query, scope, rows);
  const arms: Record<string, { exposures: number; unknown: number; values: number[] }> = {};
  for (const versionId of versions) arms[versionId] = { exposures: 0, unknown: 0, values: [] };
  for (const [unit, row] of firsts) {
    const arm = arms[row.versionId];
    if (arm === undefined) continue;
    arm.exposures += 1;
    const value = outcomeOf(row, unit);
    if (value === undefined) arm.unknown += 1;
    else arm.values.push(value);
  }
  return { samples: firsts.size, inputs: { arms } as unknown as JsonObject };
}

type Reader = (row: StoredPrediction, unit: string) => number | undefined;

async function outcomeReader(
  { outcome = {}, from = 0, to = Number.MAX_SAFE_INTEGER }: EvidenceQuery,
  { metadata, workspace }: { readonly metadata: MetadataStore; readonly workspace: string },
  rows: OutcomeRows,
): Promise<Reader> {
  const { source, equals, type, value } = outcome as {
    readonly source?: string;
    readonly equals?: Json;
    readonly type?: string;
    readonly value?: string;
  };
  switch (source) {
    case 'errors':
      return (row) => (row.error === undefined ? 0 : 1);
    case 'latency':
      return (row) => (row.error === undefined ? row.latencyMs : undefined);
    case 'accuracy':
    case 'label': {
      const labels = new Map((await rows.labelled()).map((each) => [each.requestId, each.label]));
      return (row) => {
        const label = labels.get(row.requestId);
        if (label === undefined) return undefined;
        if (source === 'accuracy')
          return row.error === undefined && row.prediction === label ? 1 : 0;
        if (equals !== undefined) return label === equals ? 1 : 0;
        return typeof label === 'number' ? label : undefined;
      };
    }
    case 'event': {
      const found = await eventsByUnit(metadata, workspace, type ?? '', { from, to });
      return ({ requestId }, unit) => {
        const payloads = found.get(unit) ?? found.get(requestId) ?? [];
        if (value === undefined) return payloads.length > 0 ? 1 : 0;
        return payloads.reduce((sum, payload) => sum + Number(payload[value] ?? 0), 0);
      };
    }
    default:
      return () => undefined;
  }
}

/** The payloads of events of a type, by the unit (`key`) or the request (`requestId`) that they name. */
async function eventsByUnit(
  metadata: MetadataStore,
  workspace: string,
  type: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<ReadonlyMap<string, readonly JsonObject[]>> {
  const found = new Map<string, JsonObject[]>();
  let after: string | undefined;
  for (;;) {
    const page = await metadata.readEvents({
      ...{ workspace, filter: { types: [type] }, limit: 1000 },
      ...(after === undefined ? {} : { after }),
    });
    for (const { payload, at } of page.events) {
      const unit = payload['key'] ?? payload['requestId'];
      if (typeof unit !== 'string' || at < from || at > to) continue;
      const all = found.get(unit) ?? [];
      found.set(unit, [...all, payload]);
    }
    if (page.events.length < 1000) return found;
    after = page.cursor;
  }
}
