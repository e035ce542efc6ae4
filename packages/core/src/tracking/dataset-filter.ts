import type { Order, Predicate, Selector } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { everyRecord } from '../operations/every-record.ts';

/** The facet under which the vocabulary of runs has datasets; no record has it. */
export const datasetFacet = 'datasets';

/** What may be asked of datasets: where it lies. `context` is MLflow's word for a role. */
const places: Readonly<
  Record<string, { readonly kind: 'dataset' | 'edge'; readonly column: string }>
> = {
  name: { kind: 'dataset', column: 'name' },
  digest: { kind: 'dataset', column: 'digest' },
  context: { kind: 'edge', column: 'role' },
  role: { kind: 'edge', column: 'role' },
};

const maxDatasets = 1_000;
const maxRuns = 5_000;

/** A condition on one value. */
type Condition = Extract<Predicate, { readonly left: Selector }>;

/**
 * A predicate over runs in which each condition on datasets (`datasets.name = 'iris'`) has become the runs that
 * have such a dataset: a run matches when any of its datasets does. INVALID for other names than name, digest
 * and context, and for a condition that too many datasets or runs fulfil.
 */
export async function resolveDatasets(scope: Scope, predicate: Predicate): Promise<Predicate> {
  switch (predicate.op) {
    case 'and':
    case 'or': {
      const of = await Promise.all(predicate.of.map((each) => resolveDatasets(scope, each)));
      return { op: predicate.op, of };
    }
    case 'not':
      return { op: 'not', of: await resolveDatasets(scope, predicate.of) };
    default:
      return isOfDatasets(predicate.left) ? await runsWith(scope, predicate) : predicate;
  }
}

/** Refuses, as INVALID, to order by datasets: a run may have many. */
export function assertNoDatasetOrder(orderBy: readonly Order[]): void {
  if (!orderBy.some(({ by }) => isOfDatasets(by))) return;
  throw new KeelsonError('INVALID', 'Runs cannot be ordered by their datasets; filter by them.');
}

function isOfDatasets(selector: Selector): selector is Extract<Selector, { from: 'facet' }> {
  return selector.from === 'facet' && selector.facet === datasetFacet;
}

async function runsWith(scope: Scope, condition: Condition): Promise<Predicate> {
  const { key } = condition.left as Extract<Selector, { from: 'facet' }>;
  const place = Object.hasOwn(places, key) ? places[key] : undefined;
  if (place === undefined) {
    throw new KeelsonError(
      'INVALID',
      `Datasets have ${Object.keys(places).join(', ')}, and no ${JSON.stringify(key.slice(0, 80))}.`,
    );
  }
  const where = { ...condition, left: { from: 'column', name: place.column } } as Predicate;
  const edges = place.kind === 'edge' ? where : await edgesOf(scope, where);
  if (edges === undefined) return { op: 'in', left: idColumn, values: [] };
  const runs = new Set<string>();
  for await (const { columns } of everyRecord(scope, 'edge', { where: edges, limit: 1_000 })) {
    runs.add(columns['to'] as string);
    if (runs.size > maxRuns) throw tooMany(`datasets.${key}`, `${maxRuns} runs`);
  }
  return { op: 'in', left: idColumn, values: [...runs] };
}

const idColumn: Selector = { from: 'column', name: 'id' };

async function edgesOf(scope: Scope, where: Predicate): Promise<Predicate | undefined> {
  const ids: string[] = [];
  for await (const { id } of everyRecord(scope, 'dataset', { where })) {
    ids.push(id);
    if (ids.length > maxDatasets) throw tooMany('datasets', `${maxDatasets} datasets`);
  }
  if (ids.length === 0) return undefined;
  return { op: 'in', left: { from: 'column', name: 'from' }, values: ids };
}

function tooMany(what: string, limit: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `The condition on ${what} holds for more than ${limit}; narrow it, by datasets.name or datasets.digest.`,
  );
}
