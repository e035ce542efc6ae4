import type { Evidence, EvidenceQuery } from '../contracts/evidence-source.ts';
import type { ModelSignature } from '../contracts/model-runtime.ts';
import type { Scope } from '../contracts/scope.ts';
import type { JsonObject } from '../json.ts';
import { readVersionById } from '../registry/model-records.ts';
import { inputTensors, isTable } from '../registry/validation/input-tensors.ts';
import { TestFault } from '../registry/validation/test-fault.ts';
import type { StoredPrediction } from './predictions/stored-predictions.ts';

/** How many requests are looked at, the newest, and how many callers are named. */
const mostRequests = 5_000;
const mostCallers = 100;

/**
 * Which callers of the candidate the signature of the baseline would refuse, from the requests of a period. A caller
 * is known by the sticky key of its requests; those that came without are counted as `unnamed`.
 */
export async function refusedCallers(
  query: EvidenceQuery,
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  predictions: () => Promise<readonly StoredPrediction[]>,
): Promise<Omit<Evidence, 'figure' | 'at'>> {
  const { signature } = await readVersionById(scope, query.baselineVersionId ?? '');
  // A signature without tensors refuses nothing that could be told from rows.
  if (signature === undefined || signature.inputs.length === 0) return { samples: 0, inputs: {} };
  const rows = (await predictions())
    .filter(({ role, versionId }) => role === 'primary' && versionId === query.candidateVersionId)
    .slice(-mostRequests);
  const callers = new Map<string, Tally>();
  const unnamed = tally();
  let refused = 0;
  for (const { key, features } of rows) {
    const caller = key === undefined ? unnamed : (callers.get(key) ?? tally());
    if (key !== undefined) callers.set(key, caller);
    caller.requests += 1;
    const why = whyRefused(signature, features);
    if (why === undefined) continue;
    refused += 1;
    caller.refused += 1;
    if (caller.why === '') caller.why = why;
  }
  const named = [...callers]
    .filter(([, each]) => each.refused > 0)
    .toSorted(([, a], [, b]) => b.refused - a.refused)
    .slice(0, mostCallers)
    .map(([key, each]) => ({ key, ...each }));
  return { samples: rows.length, inputs: { refused, callers: named, unnamed: { ...unnamed } } };
}

interface Tally {
  requests: number;
  refused: number;
  /** Of the first that is refused. */
  why: string;
}

function tally(): Tally {
  return { requests: 0, refused: 0, why: '' };
}

function whyRefused({ inputs }: ModelSignature, features: JsonObject): string | undefined {
  const known = new Set(
    inputs.flatMap((spec) => (isTable(spec) ? (spec.columns ?? []) : [spec.name])),
  );
  const other = Object.keys(features).find((name) => !known.has(name));
  if (other !== undefined) return `it sends ${other}, which the version does not take`;
  try {
    inputTensors(inputs, [features]);
    return undefined;
  } catch (error) {
    if (error instanceof TestFault) return error.message.replace(/^row 1,? /, '');
    throw error;
  }
}
