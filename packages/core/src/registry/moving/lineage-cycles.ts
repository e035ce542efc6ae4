import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';

/** Versions that are to come: what they are called, and what they came of. */
export type ComingParents = Map<
  string,
  { readonly label: string; readonly parents: readonly string[] }
>;

const batch = 500;

/**
 * INVALID, naming the cycle, when versions that are to come, together with those that are here, would come
 * of themselves. Reads only what is here and lies above those that are to come.
 */
export async function assertNoCycle(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  coming: ComingParents,
  signal: AbortSignal,
): Promise<void> {
  const here = await parentsHere(scope, coming, signal);
  const parentsOf = (id: string): readonly string[] =>
    coming.get(id)?.parents ?? here.get(id) ?? [];
  const cycle = findCycle(coming.keys(), parentsOf);
  if (cycle === undefined) return;
  const names = await namesOf(scope, cycle, coming);
  throw new KeelsonError(
    'INVALID',
    `Versions would come of themselves: ${names.join(' ← ')}. Nothing was imported.`,
    { details: { cycle } },
  );
}

/** What is here above the versions that are to come: version → its parents. */
async function parentsHere(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  coming: ComingParents,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const here = new Map<string, string[]>();
  const outside = [...coming.values()].flatMap(({ parents }) => parents);
  let next = new Set(outside.filter((id) => !coming.has(id)));
  while (next.size > 0) {
    const ids = [...next];
    next = new Set();
    for (const id of ids) here.set(id, []);
    for (let at = 0; at < ids.length; at += batch) {
      const part = ids.slice(at, at + batch);
      const left = { from: 'column', name: 'to' } as const;
      const of: Predicate[] = [{ op: 'in', left, values: part }, columnIs('role', 'parent')];
      for await (const { columns } of everyRecord(scope, 'edge', {
        where: { op: 'and', of },
        signal,
      })) {
        const from = String(columns['from']);
        here.get(String(columns['to']))?.push(from);
        if (!here.has(from) && !coming.has(from)) next.add(from);
      }
    }
  }
  return here;
}

/** The nodes of a cycle, its first again at its end; without recursion, however deep it goes. */
function findCycle(
  starts: Iterable<string>,
  parentsOf: (id: string) => readonly string[],
): readonly string[] | undefined {
  const done = new Set<string>();
  for (const start of starts) {
    if (done.has(start)) continue;
    const path: { readonly id: string; next: number }[] = [{ id: start, next: 0 }];
    const onPath = new Set([start]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const parent = parentsOf(top.id)[top.next];
      top.next += 1;
      if (parent === undefined) {
        path.pop();
        onPath.delete(top.id);
        done.add(top.id);
      } else if (onPath.has(parent)) {
        const ids = path.map(({ id }) => id);
        return [...ids.slice(ids.indexOf(parent)), parent];
      } else if (!done.has(parent)) {
        path.push({ id: parent, next: 0 });
        onPath.add(parent);
      }
    }
  }
  return undefined;
}

const namedNodes = 20;

async function namesOf(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  cycle: readonly string[],
  coming: ComingParents,
): Promise<readonly string[]> {
  const shown = cycle.length <= namedNodes ? cycle : cycle.slice(0, namedNodes);
  const records = await metadata.findMany(workspace, 'model_version', [...new Set(shown)]);
  const here = new Map(
    records.map(({ id, columns }) => [id, `${columns['modelName']} ${columns['version']}`]),
  );
  const names = shown.map((id) => coming.get(id)?.label ?? here.get(id) ?? id);
  return shown === cycle ? names : [...names, `… (${cycle.length - 1} versions)`];
}
