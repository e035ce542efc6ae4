import type {
  Change,
  ClaimRequest,
  Commit,
  CommitResult,
  MetadataStore,
} from '../../src/contracts/metadata-store.ts';
import type { Predicate, Selector } from '../../src/contracts/query.ts';
import type { StoredRecord } from '../../src/contracts/record.ts';
import type { compareRecords } from '../../src/language/compare-records.ts';
import { evaluatePredicate } from '../../src/language/evaluate-predicate.ts';
import { type Evaluable, selectValue } from '../../src/language/select-value.ts';
import { ReferenceHarness } from '../../src/testing/model/reference-harness.ts';
import type { ReferenceWorld } from '../../src/testing/model/reference-world.ts';

/** A comparison, `in`, `between`, `like` or `present`. */
export type Leaf = Exclude<Predicate, { readonly op: 'and' | 'or' | 'not' }>;

/** A metadata store with one fault, and the one case that must find it. */
export interface BrokenStore {
  readonly breaks: string;
  /** The fault, in a few words. */
  readonly how: string;
  /** Refusals that it leaves out. */
  readonly omits?: readonly string[];
  /** Judges a predicate in another way. */
  readonly evaluate?: typeof evaluatePredicate;
  /** Sorts in another way. */
  readonly compare?: typeof compareRecords;
  /** Puts other methods in front of those of a handle. */
  readonly wrap?: (store: MetadataStore, world: ReferenceWorld) => Partial<MetadataStore>;
}

/** Opens broken stores for the suite. */
export class BrokenHarness extends ReferenceHarness {
  readonly #broken: BrokenStore;

  constructor(broken: BrokenStore) {
    super();
    this.#broken = broken;
    for (const label of broken.omits ?? []) this.world.omitted.add(label);
    if (broken.evaluate !== undefined) this.world.evaluate = broken.evaluate;
    if (broken.compare !== undefined) this.world.compare = broken.compare;
  }

  override async openSecond(): Promise<MetadataStore> {
    const store = await super.openSecond();
    const parts = this.#broken.wrap?.(store, this.world) ?? {};
    return new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(name in parts ? parts : target, name) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

/** Judges some comparisons in another way: `judge` answers undefined for the others. */
export function judging(
  judge: (leaf: Leaf, value: unknown, record: Evaluable) => boolean | undefined,
): typeof evaluatePredicate {
  const evaluate = (predicate: Predicate, record: Evaluable): boolean => {
    switch (predicate.op) {
      case 'and':
        return predicate.of.every((part) => evaluate(part, record));
      case 'or':
        return predicate.of.some((part) => evaluate(part, record));
      case 'not':
        return !evaluate(predicate.of, record);
      default: {
        const judged = judge(predicate, selectValue(record, predicate.left), record);
        return judged ?? evaluatePredicate(predicate, record);
      }
    }
  };
  return evaluate;
}

/** Judges as if the value that a comparison looks at were another one. */
export function seeing(see: (value: unknown, leaf: Leaf) => unknown): typeof evaluatePredicate {
  return judging((leaf, value) => {
    const seen = see(value, leaf);
    if (Object.is(seen, value)) return undefined;
    const left: Selector = { from: 'column', name: 'seen' };
    const columns = seen === undefined ? {} : { seen };
    return evaluatePredicate({ ...leaf, left }, { columns, body: {}, facets: {} } as Evaluable);
  });
}

/** Rewrites what is committed, change by change; undefined drops one. */
export function changing(
  change: (change: Change, commit: Commit) => Change | undefined,
): NonNullable<BrokenStore['wrap']> {
  return (store) => ({
    commit: (commit) => {
      const changes = commit.changes.flatMap((one) => change(one, commit) ?? []);
      return store.commit({ ...commit, changes });
    },
  });
}

/** Leaves refusals out for some commits only. */
export function omitting(
  labels: readonly string[],
  when: (change: Change, commit: Commit) => boolean,
): NonNullable<BrokenStore['wrap']> {
  return (store, world) => ({
    commit: (commit) => {
      if (!commit.changes.some((change) => when(change, commit))) return store.commit(commit);
      return without(world, labels, () => store.commit(commit));
    },
  });
}

/** Acts at once, with refusals left out. */
export function without<T>(world: ReferenceWorld, labels: readonly string[], act: () => T): T {
  const before = labels.filter((label) => !world.omitted.has(label));
  for (const label of before) world.omitted.add(label);
  // The reference store does all of its work before it yields.
  const answer = act();
  for (const label of before) world.omitted.delete(label);
  return answer;
}

/** Gives back other records than are stored. */
export function reading(
  read: (record: StoredRecord) => StoredRecord,
): NonNullable<BrokenStore['wrap']> {
  return (store) => ({
    find: async (...request) => {
      const record = await store.find(...request);
      return record === undefined ? undefined : read(record);
    },
    findMany: async (...request) => (await store.findMany(...request)).map(read),
    query: async (...request) => {
      const page = await store.query(...request);
      return { ...page, records: page.records.map(read) };
    },
  });
}

/** Does something after each commit that was accepted. */
export function afterCommit(
  act: (world: ReferenceWorld, commit: Commit, result: CommitResult) => CommitResult | undefined,
): NonNullable<BrokenStore['wrap']> {
  return (store, world) => ({
    commit: async (commit) => {
      const result = await store.commit(commit);
      return act(world, commit, result) ?? result;
    },
  });
}

/** Rewrites what is claimed. */
export function claiming(
  rewrite: (request: ClaimRequest, kind: string) => ClaimRequest,
): NonNullable<BrokenStore['wrap']> {
  return (store) => ({ claim: (kind, request) => store.claim(kind, rewrite(request, kind)) });
}

/** Looks whether a commit would pass, lets others in between, then commits without looking again. */
export function checkThenAct(
  labels: readonly string[],
  when: (commit: Commit) => boolean,
): NonNullable<BrokenStore['wrap']> {
  return (store, world) => ({
    commit: async (commit) => {
      if (!when(commit)) return await store.commit(commit);
      const before = world.state;
      try {
        await store.commit(commit);
      } finally {
        world.state = before;
      }
      await new Promise((resolve) => setImmediate(resolve));
      return await without(world, labels, () => store.commit(commit));
    },
  });
}
