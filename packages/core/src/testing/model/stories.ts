import { inspect } from 'node:util';
import fc from 'fast-check';
import type { Commit, MetadataStore } from '../../contracts/metadata-store.ts';
import { isKeelsonError } from '../../errors.ts';
import { equal } from '../assertions.ts';
import { type MetadataStoreHarness, suiteKinds } from '../metadata/scene.ts';
import { ReferenceHarness } from './reference-harness.ts';
import { begin, type Operation, operation, type Told, wholeOf } from './story-operations.ts';

/** A harness whose clock can be moved: leases are part of the stories. */
export type ClockedHarness = MetadataStoreHarness & Required<Pick<MetadataStoreHarness, 'clock'>>;

/** What an operation came to: an answer, or a code with the record it names. */
async function outcome(store: MetadataStore, told: Told, { run }: Operation): Promise<unknown> {
  try {
    return { answer: await run(store, told) };
  } catch (error) {
    if (!isKeelsonError(error)) throw error;
    const { kind, id } = error.details;
    return { code: error.code, kind, id };
  }
}

/** Two handles on one store, used in turn, and what was told to it. */
class Side {
  readonly told: Told;
  readonly handles: readonly MetadataStore[];

  private constructor(handles: readonly MetadataStore[], revisions: Told['revision']) {
    this.handles = handles;
    this.told = {
      revision: revisions,
      claims: [],
      eventCursors: new Map(),
      pageCursor: undefined,
      eventNumber: 0,
    };
  }

  static async open(harness: MetadataStoreHarness, revisions: Told['revision']): Promise<Side> {
    const first = await harness.open(suiteKinds);
    return new Side([first, await harness.openSecond()], revisions);
  }

  async do(
    step: number,
    operation: Operation,
    through: (store: MetadataStore) => MetadataStore = (store) => store,
  ): Promise<unknown> {
    const handle = this.handles[step % 2];
    if (handle === undefined) throw new Error('There are two handles.');
    this.told.eventNumber = step;
    return await outcome(through(handle), this.told, operation);
  }
}

/** How often each kind of change was part of a commit that passed. */
type Passed = Map<string, number>;

function count(passed: Passed, commit: Commit): void {
  for (const { op } of commit.changes) passed.set(op, (passed.get(op) ?? 0) + 1);
}

/** A store that writes down what it is asked, so that a failure can be read and told again. */
function transcribed(store: MetadataStore, calls: string[], passed: Passed): MetadataStore {
  return new Proxy(store, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]) => {
        calls.push(
          inspect([name, ...args], {
            depth: 9,
            breakLength: Number.POSITIVE_INFINITY,
            compact: true,
          }),
        );
        const answer = method.apply(target, args);
        if (name === 'commit')
          void answer.then(() => count(passed, args[0] as Commit)).catch(() => undefined);
        return answer;
      };
    },
  });
}

async function sameStory(
  steps: readonly (readonly [Operation, number])[],
  open: () => ClockedHarness,
  passed: Passed,
): Promise<void> {
  await using reference = new ReferenceHarness();
  await using tested = open();
  const revisions: Told['revision'] = (workspace, kind, id) =>
    reference.world.state.records.get(JSON.stringify([workspace, kind, id]))?.revision ?? 0;
  const expected = await Side.open(reference, revisions);
  const actual = await Side.open(tested, revisions);
  for (const { handles } of [actual, expected])
    if (handles[0] !== undefined) await begin(handles[0]);
  const calls: string[] = [];
  for (const [step, [operation, ms]] of steps.entries()) {
    // The reference goes second: what an operation expects is read from it.
    const seen = await actual.do(step, operation, (store) => transcribed(store, calls, passed));
    const due = await expected.do(step, operation);
    equal(seen, due, `Step ${step}, ${operation.what}. The story:\n${calls.join('\n')}\n`);
    calls.push(`+${ms} ms`);
    reference.clock.advance(ms);
    await tested.clock.advance(ms);
  }
  for (const [i, store] of actual.handles.entries()) {
    const due = await wholeOf(expected.handles[i] ?? store);
    equal(await wholeOf(store), due, `What is there after this story:\n${calls.join('\n')}\n`);
  }
}

/**
 * Tells random stories to a store and to the reference store: both must answer alike, step by step, and
 * hold the same at the end. Rejects with the story where they do not. Answers how often each kind of
 * change came to pass: a story in which nothing does proves nothing.
 */
export async function tellStories(
  open: () => ClockedHarness,
  options: { readonly seed: number; readonly runs: number },
): Promise<ReadonlyMap<string, number>> {
  const passed: Passed = new Map();
  const step = fc.tuple(operation, fc.constantFrom(0, 0, 0, 1, 30, 150));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), (steps) =>
      sameStory(steps, open, passed),
    ),
    { numRuns: options.runs, seed: options.seed },
  );
  return passed;
}

/** The changes that stories must have made come to pass. */
export const storyOps: readonly string[] = [
  ...['create', 'restore', 'replace', 'merge', 'remove', 'assert', 'adjust', 'emit', 'hold'],
];
