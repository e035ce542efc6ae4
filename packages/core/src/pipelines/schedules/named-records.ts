import type { Columns, StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { assertText, type JsonObject } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { column, equals } from '../execution-records.ts';

/** What of a kind has a name in its workspace, belongs to a pipeline and can be paused. */
export interface NamedThing {
  readonly active: boolean;
}

/** How a kind is kept. */
export interface NamedKind<T> {
  readonly kind: string;
  /** As people call it: `schedule`. */
  readonly noun: string;
  readonly maxName: number;
  readonly fromRecord: (record: StoredRecord) => T;
}

/** What starts pipelines by a name: schedules, triggers. */
export interface NamedRecords<T extends NamedThing> {
  find(name: string): Promise<StoredRecord | undefined>;
  /** NOT_FOUND when there is none. */
  get(name: string): Promise<T>;
  /** By name, of one pipeline where it is named. */
  list(pipeline?: string): Promise<readonly T[]>;
  /** Makes it or changes it, as `draw` says of what is there. CONFLICT for a name that another pipeline's has. */
  put(
    of: { readonly name: string; readonly pipeline: string },
    draw: (there: StoredRecord | undefined) => {
      readonly columns: Columns;
      readonly body: JsonObject;
    },
  ): Promise<T>;
  /** Pauses it, or lets it go on; `more` is changed with that. NOT_FOUND when there is none. */
  setActive(name: string, active: boolean, more?: (there: T) => Columns): Promise<T>;
  /** NOT_FOUND when there is none. */
  remove(name: string): Promise<void>;
}

/** The named records of a kind, in the scope's workspace. */
export function createNamedRecords<T extends NamedThing>(
  scope: Scope,
  { kind, noun, maxName, fromRecord }: NamedKind<T>,
): NamedRecords<T> {
  const { metadata, workspace } = scope;
  const title = `${noun.charAt(0).toUpperCase()}${noun.slice(1)}`;

  async function find(name: string): Promise<StoredRecord | undefined> {
    const { records } = await metadata.query(workspace, kind, {
      where: equals('name', name),
      limit: 1,
    });
    return records[0];
  }

  async function record(name: string): Promise<StoredRecord> {
    const found = await find(assertText(name, `A ${noun}`, maxName));
    if (found !== undefined) return found;
    throw new KeelsonError('NOT_FOUND', `There is no ${noun} ${name} in workspace ${workspace}.`, {
      details: { [noun]: name },
    });
  }

  const putOnce: NamedRecords<T>['put'] = async ({ name, pipeline }, draw) => {
    await decideAndCommit(scope, async () => {
      const there = await find(name);
      if (there !== undefined && there.columns['pipeline'] !== pipeline) {
        throw new KeelsonError(
          'CONFLICT',
          `${title} ${name} is one of pipeline ${String(there.columns['pipeline'])}; remove it, or take another name.`,
        );
      }
      const { columns, body } = draw(there);
      const id = there?.id ?? scope.ids.next();
      const createdBy = scope.principal.id;
      return {
        changes: [
          there === undefined
            ? { op: 'create', kind, id, columns: { ...columns, name, pipeline, createdBy }, body }
            : { op: 'replace', kind, id, expect: there.revision, columns, body },
        ],
        result: undefined,
      };
    });
    return fromRecord(await record(name));
  };

  return {
    find,
    get: async (name) => fromRecord(await record(name)),

    async list(pipeline) {
      const { records } = await metadata.query(workspace, kind, {
        ...(pipeline === undefined ? {} : { where: equals('pipeline', pipeline) }),
        orderBy: [{ by: column('name'), direction: 'asc' }],
        limit: 1000,
      });
      return records.map(fromRecord);
    },

    put: (of, draw) => againWhenTaken(() => putOnce(of, draw)),

    async setActive(name, active, more = () => ({})) {
      await decideAndCommit(scope, async () => {
        const there = await record(name);
        const thing = fromRecord(there);
        if (thing.active === active) return { changes: [], result: undefined };
        const columns = { ...more(thing), active };
        return {
          changes: [{ op: 'replace', kind, id: there.id, expect: there.revision, columns }],
          result: undefined,
        };
      });
      return fromRecord(await record(name));
    },

    async remove(name) {
      await decideAndCommit(scope, async () => {
        const { id, revision } = await record(name);
        return { changes: [{ op: 'remove', kind, id, expect: revision }], result: undefined };
      });
    },
  };
}

/** Two processes that put one name for the first time: who comes second finds it there. */
async function againWhenTaken<T>(put: () => Promise<T>): Promise<T> {
  try {
    return await put();
  } catch (error) {
    const taken = isKeelsonError(error, 'CONFLICT') && error.details['unique'] !== undefined;
    if (!taken) throw error;
    return put();
  }
}
