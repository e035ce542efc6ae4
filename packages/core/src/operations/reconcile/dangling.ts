import type { Finding } from '../../contracts/caretaker.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { everyRecord } from '../every-record.ts';
import { type Mend, type Mending, type MendingScope, settle } from './mending.ts';

/** A column that names a record: one of `to` has it as its id. */
export interface Reference {
  readonly kind: string;
  readonly column: string;
  /** The kinds that it may be of. */
  readonly to: readonly string[];
  /** Names that need no record. */
  readonly except?: (name: string) => boolean;
  /** What mends a record whose reference leads nowhere; left out where a person must decide. */
  readonly mend?: Mend;
}

const batch = 200;

/** Records that name what is not there. */
export async function danglingReferences(
  scope: MendingScope,
  component: string,
  references: readonly Reference[],
  how: Mending,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const reference of references) {
    let waiting: StoredRecord[] = [];
    const look = async (): Promise<void> => {
      for (const record of await dangling(scope, reference, waiting)) {
        const { column, to, mend } = reference;
        const problem = `Its ${column} ${String(record.columns[column])} is no ${to.join(' or ')} that is there.`;
        const fault = { component, record, problem, ...(mend === undefined ? {} : { mend }) };
        const finding = await settle(scope, fault, how);
        if (finding !== undefined) findings.push(finding);
      }
      waiting = [];
    };
    for await (const record of everyRecord(scope, reference.kind, { signal: how.signal })) {
      const name = record.columns[reference.column];
      if (name === undefined || reference.except?.(String(name)) === true) continue;
      waiting.push(record);
      if (waiting.length >= batch) await look();
    }
    await look();
  }
  return findings;
}

async function dangling(
  { metadata, workspace }: MendingScope,
  { column, to }: Reference,
  records: readonly StoredRecord[],
): Promise<readonly StoredRecord[]> {
  const target = (record: StoredRecord): string => record.columns[column] as string;
  let open = records;
  for (const kind of to) {
    if (open.length === 0) break;
    const ids = [...new Set(open.map(target))];
    const found = new Set((await metadata.findMany(workspace, kind, ids)).map(({ id }) => id));
    open = open.filter((record) => !found.has(target(record)));
  }
  return open;
}
