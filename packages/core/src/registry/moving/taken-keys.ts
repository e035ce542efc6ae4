import { createHash } from 'node:crypto';
import type { MovedRecord, RecordLine } from '../../archive/record-lines.ts';
import { registryKinds } from '../../contracts/kinds/registry-kinds.ts';
import { trackingKinds } from '../../contracts/kinds/tracking-kinds.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { everyRecord } from '../../operations/every-record.ts';

const uniques = new Map(
  [...registryKinds, ...trackingKinds].map(({ name, unique = [] }) => [name, unique]),
);

/**
 * Ids and unique keys of everything in an archive: what comes twice is refused before anything is written,
 * because no store would take it, and half of a model would be there. Keeps 12 characters for each.
 */
export class TakenKeys {
  readonly #taken = new Set<string>();

  record({ kind, id, columns }: MovedRecord): void {
    this.#take(`${kind} ${id}`, JSON.stringify(['id', kind, id]));
    for (const { name, columns: names } of uniques.get(kind) ?? []) {
      const values = names.map((column) => columns[column]);
      if (values.includes(undefined)) continue;
      this.#take(`the ${name} of ${kind} ${id}`, JSON.stringify([name, values]));
    }
  }

  evidence(id: string): void {
    this.#take(`evidence ${id}`, JSON.stringify(['evidence', id]));
  }

  #take(what: string, key: string): void {
    const short = createHash('sha256').update(key).digest('base64url').slice(0, 12);
    if (this.#taken.has(short)) {
      throw new KeelsonError('INVALID', `The archive has ${what} twice; no export does.`);
    }
    this.#taken.add(short);
  }
}

/** CONFLICT for a transition that is to come under a key which another has here. */
export async function assertRequestKeysFree(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  lines: readonly RecordLine[],
): Promise<void> {
  const ids = new Map<unknown, string>();
  for (const { record } of lines) {
    const key = record.kind === 'stage_transition' ? record.columns['requestKey'] : undefined;
    if (key !== undefined) ids.set(key, record.id);
  }
  if (ids.size === 0) return;
  const left = { from: 'column', name: 'requestKey' } as const;
  const where: Predicate = { op: 'in', left, values: [...ids.keys()] as string[] };
  for await (const { id, columns } of everyRecord(scope, 'stage_transition', { where })) {
    const coming = ids.get(columns['requestKey']);
    if (coming === id) continue;
    throw new KeelsonError(
      'CONFLICT',
      `Transition ${id} was asked for here under the key ${JSON.stringify(columns['requestKey'])}, which transition ${coming} of the archive has; import into another workspace. Nothing was imported.`,
      { details: { kind: 'stage_transition', id: coming ?? '', takenBy: id } },
    );
  }
}
